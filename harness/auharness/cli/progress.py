"""The progress of a run with rich: stages, units, epochs, time left, running score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from auharness.cli.common import visible
from auharness.runner import Progress

__all__ = ["RunProgress"]


class RunProgress(Progress):
    """Bars on a terminal; elsewhere one line per finished stage and unit."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.folds: dict[str, str] = {}
        self.last: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> RunProgress:
        """Start drawing."""
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self.bars.stop()

    def data(self, dataset: str, done: int, total: int, text: str) -> None:
        """Show the stand-in being written."""
        self._show(f"stand-in {dataset}", done, total)

    def crops(self, dataset: str, done: int, total: int) -> None:
        """Show the crops being made."""
        self._show(f"crops {dataset}", done, total)

    def units(self, units: Sequence[Any], *, kept: int) -> None:
        """Show the units."""
        self._show("units", kept, len(units))
        if not self.console.is_terminal:
            self.console.print(f"units: {len(units)} in all, {kept} finished before")

    def events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Show epochs and finished units."""
        for event in events:
            kind, unit = event["event"], str(event.get("unit", ""))
            name = f"fold {event.get('fold')} seed {event.get('seed')}"
            if kind == "epoch":
                self.last[unit] = event
                self._show(name, int(event["epoch"]), int(event["epochs"]), note=_note(event))
            elif kind == "unit_finished":
                if "units" in self.tasks:
                    self.bars.advance(self.tasks["units"])
                if name in self.tasks:
                    self.bars.update(self.tasks[name], visible=False)
                note = _note(self.last[unit]) if unit in self.last else ""
                self.console.print(f"{name}: finished {note}")
            elif kind == "unit_failed":
                self.console.print(visible(f"{name}: failed: {event['reason']}"))
            elif kind == "out_of_memory":
                rows = event.get("micro_batch") or event.get("eval_batch_size")
                self.console.print(f"{name}: out of memory, at most {rows} rows at once from now on")

    def _show(self, name: str, done: int, total: int, *, note: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=total, note=note)
        self.bars.update(self.tasks[name], completed=done, total=total, note=note)
        if done == total and not self.console.is_terminal and name.startswith(("stand-in", "crops")):
            self.console.print(f"{name}: {total} ready")


def _note(event: Mapping[str, Any]) -> str:
    hidden = {"event", "unit", "fold", "seed", "epoch", "epochs", "s", "time", *_SCORES}
    shown = {key: value for key, value in event.items() if key not in hidden and not key.startswith(_CURVES)}
    losses = [f"{key} {value:.3f}" for key, value in shown.items() if isinstance(value, float)]
    name = event.get("metric", "F1")
    scores = [f"{label} {name} {100 * event[key]:.1f}" for key, label in _SCORES.items() if event.get(key) is not None]
    return " ".join([*losses, *scores])


_SCORES = {"train_score": "train", "inner_val": "inner-val"}
_CURVES = ("train_", "val_")
"""What a log holds for the training curves alone."""
