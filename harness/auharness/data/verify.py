"""Compares a root with the published counts, so that a result says whether it stands on the data of the papers."""

from collections.abc import Mapping
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
    """The release instead, where only totals are published."""
    column: str
    """`frames` (for totals `subjects` or `rows`), or an AU column whose positives differ."""
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
    release: str = ""
    """The release that the data equals or comes nearest to, where only totals are published."""


def verify(dataset: DatasetPlugin, index: Index) -> VerifyReport:
    """Compare coded rows and positives of each subject and AU with the published counts.

    Where only totals are published, the totals are compared with the release that has the fewest differences.

    Args:
        dataset: the reader, which knows what is published.
        index: an index that holds the dataset; rows of other datasets are not looked at.
    """
    published = dataset.published_counts()
    if not published and (releases := dataset.published_totals()):
        return _verify_totals(dataset.name, index, releases)
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


def _verify_totals(name: str, index: Index, releases: Mapping[str, tuple[int, int, Mapping[int, int]]]) -> VerifyReport:
    """Compare with the release that has the fewest differences; the first of several such."""
    here = index.table["dataset"].to_numpy() == name
    n_subjects, n_rows = len(index.subjects(name)), int(here.sum())
    found: dict[str, tuple[Difference, ...]] = {}
    for release, (subjects, rows, positives) in releases.items():
        present = index.labels([au_name(au) for au in positives])[here] == 1
        triples = [("subjects", subjects, n_subjects), ("rows", rows, n_rows)]
        triples += [(au_name(au), count, int(present[:, at].sum())) for at, (au, count) in enumerate(positives.items())]
        found[release] = tuple(Difference(release, *triple) for triple in triples if triple[1] != triple[2])
    nearest = min(found, key=lambda release: len(found[release]))
    return VerifyReport(name, not found[nearest], n_subjects, n_rows, found[nearest], nearest)
