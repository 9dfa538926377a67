"""A worker process of a suite: asked in one line, it answers in lines, and is killed when it takes too long."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from auharness.scaling.limit import Limit

__all__ = ["Process", "started"]

_OUT_OF_MEMORY = 137
"""Exit status of a process that the kernel killed, as shells print it."""


class Process:
    """A process under a clock."""

    def __init__(self, process: "subprocess.Popen[str]", errors: IO[str], *, seconds: float) -> None:
        self._process, self._errors = process, errors
        self.clock = Limit(process, seconds)

    def answers(self, job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Send what is to be done and yield the objects that come back, up to the last."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # it may end before it is asked; how, its exit status says
        with suppress(BrokenPipeError), self._process.stdin as stream:
            stream.write(json.dumps(job) + "\n")
        for line in self._process.stdout:
            if line.startswith("{"):  # a plugin may print
                yield json.loads(line)

    def wait(self) -> int:
        """Return its exit status."""
        status = self._process.wait()
        self.clock.cancel()
        return status

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def was_killed(self) -> bool:
        """Return whether something else ended it, mostly for want of memory."""
        return self._process.returncode in (-9, _OUT_OF_MEMORY)

    def last_words(self) -> str:
        """Return the last line that it wrote to stderr, or its exit status."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit {self._process.returncode}"


@contextmanager
def started(module: str, *, seconds: float, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Start `python -m MODULE`; it does not outlive the body.

    Args:
        module: what runs.
        seconds: after which it is killed, unless its clock is set anew.
        environment: variables that it gets where the user set none.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**(environment or {}), **os.environ},
            start_new_session=True,  # an interrupt from the terminal is for this process to pass on
        )
        found = Process(process, errors, seconds=seconds)
        try:
            yield found
        finally:
            found.clock.cancel()
            process.kill()
            process.wait()
