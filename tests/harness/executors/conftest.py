"""Clusters of this machine alone, each in a process of its own that is ended with all it started."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE_S = 300
HEAD = """
import json, os, signal, sys, time
from pathlib import Path

from auharness.executors.resources import RayResources, SlurmResources


def work(spec):
    action, place = spec
    first = not Path(place).exists()
    Path(place).write_text(str(os.getpid()))
    if action == "die" or (action == "die-once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "raise":
        raise ValueError("not today")
    if action == "wait" or (action == "wait-once" and first):
        time.sleep(600)
    if action == "threads":
        return " ".join(os.environ.get(f"{name}_NUM_THREADS", "?") for name in ("OMP", "MKL", "OPENBLAS"))
    return "refused" if action == "fail" else None


if __name__ == "__main__":
    told = []
    given = {"ended": lambda spec, reason: told.append([spec[0], reason])}
    specs = json.loads(sys.argv[1])
"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run the end of a script that does `work` on specs in a fresh process; return the JSON that it prints."""
    started: list[subprocess.Popen[str]] = []

    def run(body: str, actions: list[str]) -> Any:
        script = tmp_path / "script.py"
        script.write_text(HEAD + body)
        specs = [[action, str(tmp_path / f"unit{number}")] for number, action in enumerate(actions)]
        process = start([sys.executable, str(script), json.dumps(specs)], home=tmp_path)
        started.append(process)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        return json.loads(out)

    yield run
    for process in started:
        end(process)


@pytest.fixture
def command_outside(tmp_path: Path, bp4d_mini: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `auharness run` of small-cnn on `bp4d_mini` in a fresh process; options are added."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: object, epochs: int = 2, **environment: str) -> "subprocess.Popen[str]":
        what = ("run", "--model", "small-cnn", "--protocol", "bp4d-3fold", "--preset", "tiny", "--device", "cpu")
        settings = ("--set", "widths=[8]", "--set", f"recipe.epochs={epochs}", "--set", "recipe.batch_size=16")
        words = (*what, *settings, "--data-root", f"bp4d={bp4d_mini}", "--quiet", *options)
        process = start([sys.executable, "-m", "auharness", *map(str, words)], home=tmp_path, **environment)
        started.append(process)
        return process

    yield run
    for process in started:
        end(process)


def start(words: list[str], *, home: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start a process whose home, and so ray's, is a folder of the test."""
    variables = {**os.environ, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", **environment}
    return subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: "subprocess.Popen[str]") -> None:
    """Kill a process with everything that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for member in (process, *family):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            member.kill()
    process.communicate()


@pytest.fixture
def descendants() -> Callable[..., list[psutil.Process]]:
    """Return the running processes that a process started, by the beginning of their name or title."""

    def find(process: "subprocess.Popen[str]", title: str = "") -> list[psutil.Process]:
        try:
            family = psutil.Process(process.pid).children(recursive=True)
            return [member for member in family if _title(member).startswith(title)]
        except psutil.NoSuchProcess:
            return []

    return find


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or process.name()
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return wait
