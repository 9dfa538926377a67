"""Confusion matrices of a run as csv: counts and shares of each true class, by fold and pooled."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from auharness.metrics import are_disjoint, normalise_rows
from auharness.results.atomic import write_bytes
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.scoring.units import fold_counts

__all__ = ["CONFUSION", "POOLED", "confusion_csv", "confusions", "write_confusions"]

CONFUSION = "confusion"
"""Folder of the matrices in a run folder."""
POOLED = "pooled"


def write_confusions(run: RunFolder) -> list[Path]:
    """Write `confusion/seed<S>/<fold>.csv` and `pooled.csv` for every seed of a run over classes.

    Returns:
        The files; none for labels that are no classes.
    """
    written = []
    units = [unit for unit in run.finished() if unit.kind == "classes"]
    for seed in sorted({unit.seed for unit in units}):
        own = [unit for unit in units if unit.seed == seed]
        for name, matrix in confusions(own).items():
            path = run.path / CONFUSION / f"seed{seed}" / f"{name.replace('/', '-')}.csv"
            write_bytes(path, confusion_csv(matrix, own[0].columns).encode())
            written.append(path)
    return written


def confusions(units: Sequence[UnitRecord]) -> Mapping[str, np.ndarray]:
    """Return fold -> confusion matrix `[C, C]` of the units of one seed, rows true classes, and `pooled` at the end.

    `pooled` is left out for a single fold, and where folds test the same clips.

    Raises:
        InconclusiveError: if two units of a fold tested other clusters.
    """
    folds = fold_counts(units)
    found = {fold.name: fold.total for fold in folds}
    if len(folds) > 1 and are_disjoint(folds):
        found[POOLED] = np.sum([fold.total for fold in folds], axis=0)
    return found


def confusion_csv(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """Return one line per true class: how often each class was predicted, their sum, and the same in percent.

    Args:
        matrix: `[C, C]` counts, rows are true classes.
        classes: `C` names, in the order of rows and columns.

    >>> print(confusion_csv(np.array([[3, 1], [0, 0]]), ("Happy", "Sad")), end="")
    true,Happy,Sad,clips,Happy %,Sad %
    Happy,3,1,4,75.00,25.00
    Sad,0,0,0,,
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["true", *classes, "clips", *(f"{name} %" for name in classes)])
    for name, row, shares in zip(classes, matrix, normalise_rows(matrix), strict=True):
        percent = ["" if np.isnan(share) else f"{100 * share:.2f}" for share in shares]
        writer.writerow([name, *map(int, row), int(row.sum()), *percent])
    return stream.getvalue()
