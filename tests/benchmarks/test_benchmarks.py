"""The benchmarks run, and `--benchmark-json` holds names and times as `auharness gate` reads them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auharness.gate.pytest_benchmark import read_session

ROOT = Path(__file__).parents[2]
SUITES = ("ssd", "attention", "data", "scoring", "records")
NAMES = (
    "bench_ssd.py::test_ssd[(4, 197)-torch-training]",
    "bench_attention.py::test_attention[(4, 197)-auharness-forward]",
    "bench_data.py::test_read_image[auharness]",
    "bench_data.py::test_read_video[auharness]",
    "bench_data.py::test_align_face[auharness]",
    "bench_data.py::test_write_crops[auharness]",
    "bench_data.py::test_read_crops[auharness]",
    "bench_scoring.py::test_f1[auharness]",
    "bench_scoring.py::test_score[fold-mean]",
    "bench_records.py::test_write_unit[auharness]",
    "bench_records.py::test_rebuild_index[auharness]",
    "bench_records.py::test_build_boards",
)
"""Of each suite what a gate compares over months; a benchmark that does another job gets another name."""


@pytest.mark.nightly
def test_every_suite_runs_and_the_gate_can_read_its_times(tmp_path: Path) -> None:
    files = [f"benchmarks/bench_{name}.py" for name in SUITES]
    out = tmp_path / "head.json"
    quick = ["--benchmark-max-time=0.01", "--benchmark-min-rounds=2", "--benchmark-timer=time.process_time"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *files, *quick]
    done = subprocess.run(
        [*command, f"--benchmark-json={out}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    times = read_session(out).times
    assert {f"benchmarks/{name}" for name in NAMES} <= times.keys()
    assert all(len(seconds) >= 2 for seconds in times.values())
