"""Published label counts, to compare a root with what other groups received."""

import csv
from functools import lru_cache
from importlib.resources import files

__all__ = ["read_counts"]


@lru_cache
def read_counts(name: str) -> dict[str, tuple[int, dict[int, int]]]:
    """Return subject -> (coded frames, {AU number: positives}), summed over the sequences of the subject.

    Args:
        name: dataset name, `bp4d` (41 subjects, 12 AUs) or `disfa` (27 subjects, 8 AUs).

    Raises:
        FileNotFoundError: if no counts are shipped for this dataset.

    >>> sum(frames for frames, _ in read_counts("bp4d").values())
    146847
    """
    table = files("auharness.data").joinpath("synthetic", "counts", f"{name}_counts.csv")
    counts: dict[str, tuple[int, dict[int, int]]] = {}
    for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
        frames, positives = counts.get(row["subject"], (0, {}))
        here = {int(column[2:]): int(value) for column, value in row.items() if column.startswith("AU")}
        total = {au: positives.get(au, 0) + value for au, value in here.items()}
        counts[row["subject"]] = (frames + int(row["frames"]), total)
    return counts
