"""The published counts as fold counts of a predictor that never says present."""

import csv
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from auharness.metrics import FoldCounts


def _folds(dataset: str) -> list[FoldCounts]:
    text = files("auharness").joinpath(f"data/synthetic/counts/{dataset}_counts.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    aus = [column for column in rows[0] if column.startswith("AU")]
    parts: dict[str, dict[str, np.ndarray]] = {}
    for row in rows:
        subjects = parts.setdefault(row["part"], {})
        counts = subjects.setdefault(row["subject"], np.zeros((len(aus), 4), dtype=np.int64))
        positives = np.array([int(row[au]) for au in aus])
        counts[:, 2] += positives
        counts[:, 3] += int(row["frames"]) - positives
    return [
        FoldCounts(part, tuple(sorted(subjects)), np.stack([subjects[name] for name in sorted(subjects)]))
        for part, subjects in sorted(parts.items())
    ]


@pytest.fixture(scope="session")
def published() -> Callable[[str], list[FoldCounts]]:
    """From `bp4d` or `disfa` to folds P1, P2, P3 with counts (0, 0, positives, negatives) per subject."""
    return _folds
