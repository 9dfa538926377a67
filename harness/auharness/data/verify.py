"""Compares a root with the published counts, so that a result says whether it stands on the data of the papers."""

from dataclasses import dataclass

import numpy as np

from auharness.api import DatasetPlugin
from auharness.data.index import Index
from auharness.records import au_name

__all__ = ["Difference", "VerifyReport", "verify"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One count that is not the published one."""

    subject: str
    column: str
    """`frames`, or an AU column whose positives differ."""
    published: int
    """0 where the subject is not in the published counts."""
    found: int
    """0 where the subject is not on disk."""

    def __str__(self) -> str:
        return f"{self.subject} {self.column}: {self.found}, published {self.published}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The outcome of a comparison."""

    dataset: str
    verified: bool | None
    """Whether every count equals the published one; None where nothing is published."""
    n_subjects: int
    n_rows: int
    differences: tuple[Difference, ...]
    """Sorted by subject, frames first, then the AUs in the dataset's order."""


def verify(dataset: DatasetPlugin, index: Index) -> VerifyReport:
    """Compare coded rows and positives of each subject and AU with the published counts.

    Args:
        dataset: the reader, which knows what is published.
        index: an index that holds the dataset; rows of other datasets are not looked at.
    """
    published = dataset.published_counts()
    here = index.table["dataset"].to_numpy() == dataset.name
    subjects = index.table["subject"].to_numpy()
    aus = tuple(au for _, positives in published.values() for au in positives)
    aus = tuple(dict.fromkeys(aus))
    present = index.labels([au_name(au) for au in aus]) == 1 if aus else np.zeros((len(index), 0), bool)
    differences = []
    on_disk = index.subjects(dataset.name)
    for subject in sorted({*published, *on_disk}) if published else ():
        rows = here & (subjects == subject)
        frames, positives = published.get(subject, (0, {}))
        pairs = [("frames", frames, int(rows.sum()))]
        pairs += [
            (au_name(au), positives.get(au, 0), int(present[rows, column].sum())) for column, au in enumerate(aus)
        ]
        differences += [Difference(subject, *pair) for pair in pairs if pair[1] != pair[2]]
    verified = not differences if published else None
    return VerifyReport(dataset.name, verified, len(on_disk), int(here.sum()), tuple(differences))
