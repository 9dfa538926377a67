"""Base and head in turn: base, head, head, base, each in a fresh process of its own tree."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auharness.errors import DataError
from auharness.gate.policy import Command
from auharness.gate.pytest_benchmark import read_session

if sys.platform != "win32":
    import resource

__all__ = ["ROUND", "Sample", "Tree", "run_rounds", "take_sample"]

ROUND = ("base", "head", "head", "base")
"""Order inside a round: a steady drift of the machine adds the same to both sides."""


@dataclass(frozen=True)
class Tree:
    """A source tree that can be measured.

    Attributes:
        path: where it is.
        imports: folders in it that stand first on `PYTHONPATH`.
    """

    path: Path
    imports: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that measures this tree; it inherits no import path of the gate's."""
        paths = os.pathsep.join(str(self.path / name) for name in self.imports)
        return {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Sample:
    """What one process measured.

    Attributes:
        times: benchmark -> seconds.
        machine: fingerprint; empty for processor time, which this process reads from the kernel it runs on.
    """

    times: dict[str, float]
    machine: dict[str, str]


def run_rounds(
    command: Command,
    trees: Mapping[str, Tree],
    *,
    rounds: int,
    time_limit_s: float,
    say: Callable[[str], None] = lambda message: None,
) -> dict[str, list[Sample]]:
    """Return the samples of `base` and of `head`, two a round in the order in which they were taken.

    One process of each tree runs before and is not counted: it compiles byte code and fills caches on disk.

    Args:
        command: what is started.
        trees: `base` and `head`.
        rounds: of four processes.
        time_limit_s: of one process.
        say: takes remarks on the progress.

    Raises:
        DataError: a process failed, took too long, or left no times.
    """
    for name, tree in trees.items():
        _named(name, command, tree, time_limit_s)
    found: dict[str, list[Sample]] = {name: [] for name in trees}
    for number in range(1, rounds + 1):
        say(f"{command.title}: round {number} of {rounds}")
        for name in ROUND:
            found[name].append(_named(name, command, trees[name], time_limit_s))
    return found


def take_sample(command: Command, tree: Tree, *, time_limit_s: float) -> Sample:
    """Return what one fresh process measures.

    Raises:
        DataError: it failed, took too long, or left no times.
    """
    with tempfile.TemporaryDirectory(prefix="auharness-gate-") as folder:
        out = Path(folder) / "times.json"
        values = {"{python}": sys.executable, "{tree}": str(tree.path), "{out}": str(out)}
        seconds = _run([_filled(word, values) for word in command.argv], tree, Path(folder) / "log", time_limit_s)
        if not any("{out}" in word for word in command.argv):
            return Sample({command.title: seconds}, {})
        session = read_session(out)
        if not session.best:
            raise DataError("no benchmark ran; expected some in its --benchmark-json")
        return Sample(session.best, session.machine)


def _named(name: str, command: Command, tree: Tree, time_limit_s: float) -> Sample:
    try:
        return take_sample(command, tree, time_limit_s=time_limit_s)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _run(argv: Sequence[str], tree: Tree, log: Path, time_limit_s: float) -> float:
    """Run a process to its end and return the processor time of it and its children in seconds."""
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(
                argv,
                cwd=tree.path,
                env=tree.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise DataError(f"{argv[0]}: cannot be started ({error.strerror})") from None
        before = _children_s()
        try:
            code = process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            raise DataError(f"{argv[0]}: took longer than {time_limit_s:g} s (time_limit_s)") from None
        finally:
            _end(process)
    if code != 0:
        raise DataError(f"{argv[0]}: exit code {code}: {_last_line(log)}")
    return _children_s() - before


def _children_s() -> float:
    """Processor time of all children that have ended."""
    if sys.platform == "win32":
        times = os.times()
        return times.children_user + times.children_system
    # `os.times` counts in ticks of 10 ms
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: neither a process that took too long nor what it started."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        lines = [line for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no output"
