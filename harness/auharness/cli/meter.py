"""How far a long step is: a bar on a terminal, elsewhere a line every few seconds. Imports rich only when it draws."""

from __future__ import annotations

import argparse
from time import monotonic
from typing import TYPE_CHECKING

from auharness.cli.common import console, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Meter"]

EVERY_S = 5.0
"""Seconds between two lines where there is no terminal."""


class Meter:
    """Shows one step on stderr unless `--quiet` is given; nothing is drawn before the first `update`.

    Args:
        args: parsed arguments with the common options.
        step: what is being done, e.g. `crops bp4d`.
        unit: what is counted, in the plural.
    """

    def __init__(self, args: argparse.Namespace, step: str, *, unit: str) -> None:
        self.args = args
        self.step = step
        self.unit = unit
        self.started = self.told = monotonic()
        self.bars: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Meter:
        self.started = self.told = monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done; `note` names what was done last."""
        screen = console(self.args, stderr=True)
        if screen.is_terminal:
            self._draw(done, total, note)
        elif monotonic() - self.told >= EVERY_S or done == total:
            self.told = monotonic()
            left = (total - done) * (monotonic() - self.started) / max(done, 1)
            say(self.args, f"{self.step}: {done} of {total} {self.unit}, about {left:.0f} s left")

    def _draw(self, done: int, total: int, note: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self.bars is None or self.task is None:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
            rest = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
            self.bars = Progress(*columns, *rest, console=console(self.args, stderr=True))
            self.bars.start()
            self.task = self.bars.add_task(self.step, total=total, note=note)
        self.bars.update(self.task, completed=done, total=total, note=note)
