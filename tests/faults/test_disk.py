"""A disk that is full, over quota, read-only or broken, at every call that writes; then the same command again."""

import errno
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CALLS = ("fsync", "replace", "mkdir", "mkstemp", "write")
"""Calls to the system that a run makes to write."""
CALL_COUNT = {"fsync": 24, "replace": 12, "mkdir": 3, "mkstemp": 12, "write": 10}
"""A run of one constant unit makes each of them at least so often: one of them fails."""
CODES = ("ENOSPC", "EDQUOT", "EROFS", "EIO")
MKDIR = os.mkdir


class Faulty:
    """A system call that fails from its n-th call on, as a full disk does, or at the n-th call alone."""

    def __init__(self, real: Callable[..., Any], place: int, error: int, *, lasting: bool) -> None:
        self.real, self.place, self.error, self.lasting, self.seen = real, place, error, lasting, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.real is MKDIR and Path(args[0]).is_dir():
            return self.real(*args, **options)  # what is there is not made
        self.seen += 1
        if self.seen == self.place or (self.lasting and self.seen > self.place):
            raise OSError(self.error, os.strerror(self.error))
        return self.real(*args, **options)


def install(patch: pytest.MonkeyPatch, call: str, **fault: Any) -> Faulty:
    owner, name = {"mkstemp": (tempfile, "mkstemp"), "write": (Path, "write_bytes")}.get(call, (os, call))
    faulty = Faulty(getattr(owner, name), **fault)
    # a plain function, so that it is bound where it stands in for a method
    patch.setattr(owner, name, lambda *args, **options: faulty(*args, **options))
    return faulty


@pytest.mark.cases("disk", *product(CALLS, CODES), names=("call", "code"))
def test_a_disk_that_takes_no_more_is_one_line_and_the_same_command_goes_on(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    fold_copy: Path,
    call: str,
    code: str,
    chance: np.random.Generator,
) -> None:
    finished = finished_marks(fold_copy)
    words = run_words("constant", "--folds", "P2")
    place, lasting = int(chance.integers(1, CALL_COUNT[call] + 1)), bool(chance.integers(2))
    with pytest.MonkeyPatch.context() as patch:
        faulty = install(patch, call, place=place, error=getattr(errno, code), lasting=lasting)
        answer = command(*words)
    assert faulty.seen >= place
    if answer.code == 0:
        # the folder could not be flushed once after the whole record had been put in place
        assert (call, lasting) == ("fsync", False)
        assert len(finished_marks(fold_copy)) == 2
    else:
        assert os.strerror(getattr(errno, code)) in refused(answer, 4)
    marks = finished_marks(fold_copy)
    assert marks.items() >= finished.items()
    assert command(*words).code == 0
    assert finished_marks(fold_copy).items() >= marks.items()
    assert not list(fold_copy.rglob("*.tmp"))


@pytest.mark.parametrize("name", ["events.jsonl", "log.txt"])
def test_a_log_on_a_device_that_is_really_full_is_one_line(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    tmp_path: Path,
    name: str,
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert command(*run_words("constant")).code == 0
    (run,) = (tmp_path / "runs").glob("*/*/*/run.json")
    units = sorted(run.parent.glob("units/*"))
    (units[0] / "unit.json").unlink()
    place = run.parent / name if name == "events.jsonl" else units[0] / "scratch" / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to("/dev/full")
    assert "No space left on device" in refused(command(*run_words("constant")), 4)
    assert len(list(run.parent.glob("units/*/unit.json"))) == len(units) - 1
    place.unlink()
    assert command(*run_words("constant")).code == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("limit", [2_000, 12_000])
def test_a_file_over_the_limit_of_the_process_fails_its_unit_alone(
    command: Callable[..., Any],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    tmp_path: Path,
    limit: int,
) -> None:
    assert command(*run_words("small-cnn", "--folds", "P1")).code == 0
    finished = finished_marks(tmp_path / "runs")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(120)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            code = command(*run_words("small-cnn", "--folds", "P2")).code
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4
    assert finished_marks(tmp_path / "runs") == finished
    assert command(*run_words("small-cnn", "--folds", "P2")).code == 0
    assert len(finished_marks(tmp_path / "runs")) == 2


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no folder from anyone")
@pytest.mark.parametrize("verb", ["run", "build", "reindex", "synth"])
def test_a_folder_that_nobody_may_write_to_is_one_line(
    command: Callable[..., Any], refused: Callable[..., str], run_words: Callable[..., list[object]], verb: str
) -> None:
    words: dict[str, list[object]] = {
        "run": run_words("constant", "--runs", "/proc/runs"),
        "build": ["leaderboard", "build", "--dir", "/proc/boards"],
        "reindex": ["store", "reindex", "--runs", "/proc/runs"],
        "synth": ["data", "synth", "bp4d", "--data-size", "tiny", "--out", "/proc/bp4d", "--jobs", 1, "--quiet"],
    }
    refused(command(*words[verb]), 2, 3, 4)
