"""The real command in a process group of its own: killed, interrupted, asked to end; then the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auharness.results.store import iter_runs
from auharness.results.verify import verify_runs
from auharness.runner import RunResult

Marks = dict[Path, tuple[int, bytes]]
PATIENCE_S = 240
SETTINGS: dict[str, Any] = {"widths": [8], "recipe": {"epochs": 16, "batch_size": 8}}


class Command:
    """`auharness run` on the mini root, and the events that it writes."""

    def __init__(self, root: Path, runs: Path) -> None:
        self.runs = runs
        self.words = [sys.executable, "-m", "auharness", "run", "--model", "small-cnn", "--protocol", "bp4d-3fold"]
        self.words += ["--preset", "tiny", "--data-root", f"bp4d={root}", "--runs", str(runs), "--jobs", "1"]
        self.words += ["--device", "cpu", "--quiet", "--set", "widths=[8]"]
        self.words += ["--set", "recipe.epochs=16", "--set", "recipe.batch_size=8"]
        self.process: subprocess.Popen[str] | None = None

    def events(self) -> list[dict[str, Any]]:
        """Whole lines of the run's event log."""
        logs = list(self.runs.glob("*/*/*/events.jsonl"))
        text = logs[0].read_text(encoding="utf-8") if logs else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def stop(self, number: int, *, after: str, times: int = 1) -> tuple[int, str]:
        """Start, wait for an event to come so many times more, signal the whole group; return exit code and stderr."""
        wanted = times + sum(event["event"] == after for event in self.events())
        self.process = subprocess.Popen(self.words, start_new_session=True, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + PATIENCE_S
        while sum(event["event"] == after for event in self.events()) < wanted:
            assert self.process.poll() is None, "the command ended before it was stopped"
            assert time.monotonic() < deadline, f"no event '{after}' came"
            time.sleep(0.02)
        os.killpg(self.process.pid, number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@pytest.fixture
def stopped(bp4d_mini: Path, tmp_path: Path) -> Iterator[Command]:
    command = Command(bp4d_mini, tmp_path / "runs")
    yield command
    if command.process is not None and command.process.poll() is None:
        os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()


def test_the_killed_command_keeps_finished_units_and_ends_with_the_same_board(
    stopped: Command, finished_marks: Callable[[Path], Marks], run_mini: Callable[..., RunResult], tmp_path: Path
) -> None:
    finished: Marks = {}
    for after, times in (("epoch", 3), ("unit_finished", 1), ("epoch", 5)):
        code, _ = stopped.stop(signal.SIGKILL, after=after, times=times)
        assert code == -signal.SIGKILL
        assert verify_runs(stopped.runs) == (1, [])
        assert finished_marks(stopped.runs).items() >= finished.items()
        finished = finished_marks(stopped.runs)
    assert finished
    result = run_mini(settings=SETTINGS)
    assert result.kept == len(finished) and result.kept + result.done == 3
    assert finished_marks(stopped.runs).items() >= finished.items()
    calm = run_mini(settings=SETTINGS, runs=tmp_path / "calm")
    assert calm.done == 3
    assert result.page.read_bytes() == calm.page.read_bytes()


def test_an_interrupted_and_a_preempted_command_say_so_in_one_line_and_go_on_when_repeated(
    stopped: Command, finished_marks: Callable[[Path], Marks], run_mini: Callable[..., RunResult]
) -> None:
    assert stopped.stop(signal.SIGINT, after="epoch") == (130, "auharness: interrupted\n")
    preempted = "auharness: error: asked to end by SIGTERM; run the same command again to go on\n"
    assert stopped.stop(signal.SIGTERM, after="unit_finished") == (75, preempted)
    (run,) = iter_runs(stopped.runs)
    assert not list(run.path.glob("units/*/failed.txt"))
    finished = finished_marks(stopped.runs)
    result = run_mini(settings=SETTINGS)
    assert (result.kept, result.done) == (len(finished), 3 - len(finished)) and finished
    assert finished_marks(stopped.runs).items() >= finished.items()
