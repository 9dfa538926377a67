"""Writing subjects in several processes.

A worker is a fresh interpreter that is told what to do on its command line and reports each subject as one JSON line.
It is not started through `multiprocessing`, whose fresh processes run the caller's script again: a user's script that
calls the harness without a `__main__` guard would start itself without end. A worker ends when its standard input
closes, so none outlives a killed parent.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from auharness.data.synthetic.layouts import load_layout
from auharness.errors import DataError

__all__ = ["write_subjects"]

_MODULE = "auharness.data.synthetic.worker"


def write_subjects(
    root: Path,
    dataset: str,
    subjects: Sequence[str],
    *,
    size: str,
    seed: int,
    jobs: int,
    done: Callable[[str, Mapping[str, int]], None],
) -> None:
    """Write subjects below `root` with `jobs` processes; after each, `done(subject, totals)` is called, one at a time.

    Raises:
        DataError: a worker failed; what it said follows.
    """
    jobs = min(jobs, len(subjects))
    if jobs <= 1:
        layout = load_layout(dataset)
        for subject in subjects:
            done(subject, layout.write_subject(root, subject, size=size, seed=seed))
        return
    lock = threading.Lock()
    workers: list[subprocess.Popen[str]] = []

    def listen(worker: subprocess.Popen[str]) -> None:
        assert worker.stdout is not None and worker.stderr is not None
        for line in worker.stdout:
            subject, totals = json.loads(line)
            with lock:
                done(subject, totals)
        said = worker.stderr.read().strip()
        if worker.wait() != 0:
            last = said.splitlines()[-1] if said else f"exit status {worker.returncode}"
            raise DataError(f"a process that writes the {dataset} stand-in failed: {last}; run again to go on")

    try:
        for first in range(jobs):
            workers.append(_start(root, dataset, subjects[first::jobs], size=size, seed=seed))
        with ThreadPoolExecutor(jobs) as pool:
            for outcome in [pool.submit(listen, worker) for worker in workers]:
                outcome.result()
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _start(root: Path, dataset: str, subjects: Sequence[str], *, size: str, seed: int) -> subprocess.Popen[str]:
    # one thread per process: the libraries would otherwise each start one per core
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**os.environ, **single, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", _MODULE, str(root), dataset, size, str(seed), *subjects]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def _main(arguments: Sequence[str]) -> None:
    root, dataset, size, seed, *subjects = arguments
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    layout = load_layout(dataset)
    for subject in subjects:
        totals = layout.write_subject(Path(root), subject, size=size, seed=int(seed))
        sys.stdout.write(json.dumps([subject, totals]) + "\n")
        sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _main(sys.argv[1:])
