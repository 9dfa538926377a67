"""How workers are told of an end: the caller's when a unit ends, the workers' when the caller dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from auharness.executors import local
from auharness.executors.local import run_local

PATIENCE_S = 60
SCRIPT = """
import os, sys, time
from pathlib import Path
from auharness.executors.local import run_local

def work(place):
    Path(place).with_suffix(".tmp").write_text(str(os.getpid()))
    Path(place).with_suffix(".tmp").rename(place)
    time.sleep(600)

if __name__ == "__main__":
    run_local(work, sys.argv[1:], jobs=2)
"""


def nap(spec: str) -> str | None:
    time.sleep(3 * local.TICK_S)
    return None if spec == "good" else spec


def test_the_end_of_each_unit_is_told_in_the_calling_thread() -> None:
    told: list[tuple[str, str | None, bool]] = []

    def ended(spec: str, reason: str | None) -> None:
        told.append((spec, reason, threading.current_thread() is threading.main_thread()))

    assert run_local(_fail_bad, ["good", "bad", "good"], jobs=1, ended=ended) == [("bad", "bad")]
    assert told == [("good", None, True), ("bad", "bad", True), ("good", None, True)]


def test_one_job_ticks_while_it_works_and_no_longer() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    run_local(nap, ["good"], jobs=1, tick=tick)
    assert ticks >= 2
    before = ticks
    time.sleep(2 * local.TICK_S)
    assert ticks == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_no_worker_outlives_its_caller(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    places = [tmp_path / "a", tmp_path / "b"]
    caller = subprocess.Popen([sys.executable, str(script), *map(str, places)], stderr=subprocess.PIPE)
    try:
        _wait(lambda: all(place.is_file() for place in places))
        workers = [int(place.read_text()) for place in places]
        assert all(psutil.pid_exists(worker) for worker in workers)
        os.kill(caller.pid, number)
        caller.communicate(timeout=PATIENCE_S)
        _wait(lambda: not any(_runs(worker) for worker in workers))
    finally:
        caller.kill()


def _fail_bad(spec: str) -> str | None:
    return None if spec == "good" else spec


def _runs(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
