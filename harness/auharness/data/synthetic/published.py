"""The published label counts as arrays: what the label process of the stand-ins is fitted to, and its outside truth.

Source: the csv files in `counts/` beside this module (its README names their origin).
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["PublishedCounts", "sequence_counts"]


@dataclass(frozen=True)
class PublishedCounts:
    """Frames and positives of every sequence of one dataset, and what the AUs do together.

    Attributes:
        dataset: dataset name.
        aus: AU numbers, in column order.
        parts: test part of each sequence (`P1`..`P3`).
        subjects: subject of each sequence.
        tasks: task of each sequence; empty strings where the dataset has one sequence per subject.
        frames: [sequence] coded frames.
        positives: [sequence, au] frames in which the AU is present.
        together: [au, au] frames in which both AUs are present; the diagonal holds the positives.
        runs: [au] uninterrupted activations.
    """

    dataset: str
    aus: tuple[int, ...]
    parts: tuple[str, ...]
    subjects: tuple[str, ...]
    tasks: tuple[str, ...]
    frames: NDArray[np.int64]
    positives: NDArray[np.int64]
    together: NDArray[np.int64]
    runs: NDArray[np.int64]

    @property
    def rates(self) -> NDArray[np.float64]:
        """[sequence, au] share of the coded frames in which the AU is present, 0..1."""
        return self.positives / self.frames[:, None]


@lru_cache
def sequence_counts(dataset: str) -> PublishedCounts:
    """Return the published counts of `bp4d` (328 sequences, 12 AUs) or `disfa` (27 sequences, 8 AUs).

    >>> counts = sequence_counts("bp4d")
    >>> int(counts.frames.sum()), counts.aus[:3]
    (146847, (1, 2, 4))

    Raises:
        FileNotFoundError: no counts are shipped for this dataset.
    """
    sequences = _rows(f"{dataset}_counts.csv")
    pairs = _rows(f"{dataset}_cooccurrence.csv")
    columns = [row["AU"] for row in pairs]
    return PublishedCounts(
        dataset=dataset,
        aus=tuple(int(column.removeprefix("AU")) for column in columns),
        parts=tuple(row["part"] for row in sequences),
        subjects=tuple(row["subject"] for row in sequences),
        tasks=tuple(row.get("task", "") for row in sequences),
        frames=np.array([int(row["frames"]) for row in sequences]),
        positives=np.array([[int(row[column]) for column in columns] for row in sequences]),
        together=np.array([[int(row[column]) for column in columns] for row in pairs]),
        runs=np.array([int(row["runs"]) for row in pairs]),
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("auharness.data.synthetic") / "counts" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
