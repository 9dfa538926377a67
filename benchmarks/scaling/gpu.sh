#!/usr/bin/env bash
# Correctness of the kernels on this GPU first, then the scaling suite, in under 9 minutes on one GPU.
#   benchmarks/scaling/gpu.sh [FILE]        default runs/scaling/mixers-cuda.jsonl; PYTHON=... picks the interpreter
# Points are on disk one by one: run it again to go on where it stopped. SKIP_TESTS=1 leaves the tests out the second time.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
out=${1:-runs/scaling/mixers-cuda.jsonl}
export PYTHONPATH="harness:plugins${PYTHONPATH:+:$PYTHONPATH}"

if [ -z "${SKIP_TESTS:-}" ]; then
  "$python" -m pytest -o addopts= --import-mode=importlib -p no:cacheprovider -q -m gpu tests/harness/ops tests/harness/efficiency
fi

scale() { "$python" -m auharness scale mixers --device cuda --out "$out" "$@"; }
status=0
# what the claim rests on first: operators and their peers, one sequence and a fixed number of tokens
scale --levels op --sweeps length,tokens --modes eager,graph --minutes 3.5 || status=$?
scale --levels layer --sweeps length,tokens --modes eager,compiled,graph --lengths 197,1024,4096,16384 --minutes 2 || status=$?
scale --levels model --sweeps length,frames --lengths 197,1024,4096 --minutes 1.5 || status=$?
scale --levels op --sweeps mini-batch --minutes 0.5 || status=$?
exit "$status"
