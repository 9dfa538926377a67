"""Counts and rates of every output, over all rows of a dataset or per part of a split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from auharness.data.index import Index
from auharness.records import Key

__all__ = ["OutputStats", "PartStats", "stats"]


@dataclass(frozen=True, slots=True)
class OutputStats:
    """How often an output is coded and present."""

    output: str
    coded: int
    positives: int

    @property
    def rate(self) -> float:
        """Share of the coded rows in which the output is present, in [0, 1]; NaN where nothing is coded."""
        return self.positives / self.coded if self.coded else float("nan")


@dataclass(frozen=True, slots=True)
class PartStats:
    """Counts of one part."""

    part: str
    n_subjects: int
    n_rows: int
    outputs: tuple[OutputStats, ...]


def stats(index: Index, *, parts: Mapping[str, Iterable[Key]] | None = None, key: str = "subject") -> list[PartStats]:
    """Return the counts of all rows, then of every part.

    Args:
        index: rows of one or more datasets.
        parts: part name -> split keys.
        key: what the keys name, `subject` or `clip`.
    """
    everything = np.arange(len(index), dtype=np.int64)
    chosen = {"all": everything} | {name: index.rows(keys, key=key) for name, keys in (parts or {}).items()}
    return [_part(index, name, rows) for name, rows in chosen.items()]


def _part(index: Index, name: str, rows: np.ndarray) -> PartStats:
    positives, coded = index.counts(rows)
    pairs = zip(index.outputs, coded, positives, strict=True)
    here = index.table.iloc[rows]
    n_subjects = len(here[["dataset", "subject"]].drop_duplicates())
    return PartStats(name, n_subjects, len(rows), tuple(OutputStats(*pair) for pair in pairs))
