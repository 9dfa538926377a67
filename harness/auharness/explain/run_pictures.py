"""Pictures of a whole run that need neither its data nor its networks: training curves and confusion matrix."""

from pathlib import Path
from typing import Final

from auharness.explain.confusion import draw_confusion, total_confusion
from auharness.explain.curves import draw_curves
from auharness.explain.figures import Made, has_matplotlib
from auharness.results.schema import RunRecord
from auharness.results.store import RunFolder
from auharness.scoring.confusion import CONFUSION
from auharness.scoring.curves import CURVES, all_curves

__all__ = ["draw_run", "draw_run_confusion", "draw_run_curves", "run_name"]

CURVES_PNG: Final = "curves.png"
CONFUSION_PNG: Final = "confusion.png"


def draw_run(run: RunFolder) -> list[Path]:
    """Draw into a run folder what is there in numbers, if matplotlib is installed and a picture is not up to date.

    Returns:
        The files and folders with numbers and pictures that the run folder then holds.
    """
    numbers = {CURVES: CURVES_PNG, CONFUSION: CONFUSION_PNG}
    draw = {CURVES: draw_run_curves, CONFUSION: draw_run_confusion}
    held = [name for name in numbers if (run.path / name).exists()]
    old = [name for name in held if _is_older(run.path / numbers[name], run.path / name)]
    if old and has_matplotlib():
        for name in old:
            draw[name](run, run.path)
    return [path for name in held for path in (run.path / name, run.path / numbers[name]) if path.exists()]


def draw_run_curves(run: RunFolder, out: Path) -> Made | None:
    """Write `curves.png`, and return what is in it; None if no epoch was logged.

    Raises:
        IntegrityError: if a log is not one.
    """
    table = all_curves(run)
    if table.empty:
        return None
    record = run.record
    units = _count(len(table[["fold", "seed"]].drop_duplicates()), "unit")
    title = f"{run_name(record)} on {record.protocol}: training of {units}"
    path = draw_curves(table, out / CURVES_PNG, title=title)
    return {"kind": "curves", "path": str(path), "quantities": list(dict.fromkeys(table["quantity"]))}


def draw_run_confusion(run: RunFolder, out: Path) -> Made | None:
    """Write `confusion.png` of all finished units, and return what is in it; None for labels that are no classes."""
    units, record = run.finished(), run.record
    if not units or units[0].kind != "classes":
        return None
    counts = total_confusion(units)
    folds, seeds = len({unit.fold for unit in units}), len({unit.seed for unit in units})
    title = f"{run_name(record)} on {record.protocol}: {counts.sum()} test clips of {_count(folds, 'fold')}"
    title += f", {_count(seeds, 'seed')}" if seeds > 1 else ""
    path = draw_confusion(counts, units[0].columns, out / CONFUSION_PNG, title=title)
    return {"kind": "confusion", "path": str(path), "classes": list(units[0].columns), "counts": counts.tolist()}


def run_name(record: RunRecord) -> str:
    """Return model and presets, as a picture calls the run."""
    extra = [name for name in record.preset.split(",") if name not in ("", "paper", "tiny")]
    return " ".join((record.model, *extra))


def _is_older(picture: Path, numbers: Path) -> bool:
    files = [path for path in numbers.rglob("*") if path.is_file()] if numbers.is_dir() else [numbers]
    newest = max(path.stat().st_mtime_ns for path in files)
    return not picture.is_file() or picture.stat().st_mtime_ns < newest


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
