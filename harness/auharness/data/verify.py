"""Compares a root with the published counts, so that a result says whether it stands on the data of the papers."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auharness.api import DatasetPlugin
from auharness.data.index import Index
from auharness.records import au_name

__all__ = ["Difference", "VerifyReport", "verify"]

TEST = "/test"


@dataclass(frozen=True, slots=True)
class Difference:
    """One count that is not the published one."""

    subject: str
    """The release instead, where only totals are published; the split or fold, where splits are."""
    column: str
    """`frames` (for totals `subjects` or `rows`, for splits `rows`), an output whose positives differ, or what clips do
    that no clip should, such as `clips in train and test`."""
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
    """The release that the data equals or comes nearest to, where only totals are published; or the folds compared."""
    media: str = ""
    """Deepest folder that holds all media, relative to the root; empty for the root itself."""


def verify(dataset: DatasetPlugin, index: Index) -> VerifyReport:
    """Compare coded rows and positives of each subject and AU with the published counts.

    Where only totals are published, the totals are compared with the release that has the fewest differences. Where
    splits are published, those that the root holds are compared: their rows and outputs, that the parts of a fold share
    no clip and hold all of them, and that no clip is tested twice or, over all folds, never.

    Args:
        dataset: the reader, which knows what is published.
        index: an index that holds the dataset; rows of other datasets are not looked at.
    """
    published = dataset.published_counts()
    if not published and (releases := dataset.published_totals()):
        return _verify_totals(dataset.name, index, releases)
    if not published and (splits := dataset.published_splits()):
        return _verify_splits(dataset.name, index, splits, within=dataset.published_within)
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
    return VerifyReport(
        dataset.name, verified, len(on_disk), int(here.sum()), tuple(differences), media=_media(index, here)
    )


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
    return VerifyReport(name, not found[nearest], n_subjects, n_rows, found[nearest], nearest, _media(index, here))


def _verify_splits(
    name: str, index: Index, published: Mapping[str, Mapping[str, int]], *, within: float
) -> VerifyReport:
    """Compare the folds that the root holds; without any, all are missing."""
    found = index.source(name).splits
    folds = sorted({_fold(split) for split in found or published})
    differences = []
    for split in sorted({*found, *(split for split in published if _fold(split) in folds)}):
        rows = index.rows([(name, clip) for clip in found.get(split, ())], key="clip")
        differences += _differences(split, index, rows, published.get(split, {}), within=within)
    clips = set(index.clips(name))
    for fold in folds:
        parts = {split: members for split, members in found.items() if _fold(split) == fold}
        shared = f"clips in {' and '.join(split.rpartition('/')[2] for split in parts)}"
        differences += _partition(fold or "splits", parts, clips, shared=shared, lost="clips in no part")
    tests = {split: members for split, members in found.items() if split.endswith(TEST)}
    # a part of the folds need not test every clip, and splits without folds have no such part
    known = {split for split in published if split.endswith(TEST)}
    everyone = clips if known and known <= set(tests) else set()
    differences += _partition("all folds", tests, everyone, shared="clips tested twice", lost="clips never tested")
    here = index.table["dataset"].to_numpy() == name
    verified, release = not differences, ", ".join(folds)
    return VerifyReport(
        name, verified, len(index.subjects(name)), int(here.sum()), tuple(differences), release, _media(index, here)
    )


def _differences(
    split: str, index: Index, rows: NDArray[np.int64], published: Mapping[str, int], *, within: float
) -> list[Difference]:
    """Return the counts of a split that are not the published ones; of classes, those left out have no row."""
    number = published.get("rows", sum(published.values()))
    found = [Difference(split, "rows", number, len(rows))]
    for output, count in zip(index.outputs, index.counts(rows)[0], strict=True):
        if output in published or "rows" not in published:
            expected = published.get(output, 0)
            # what lies within rounding is what is published
            same = abs(count - expected) <= within * number
            found.append(Difference(split, output, count if same else expected, count))
    return [difference for difference in found if difference.published != difference.found]


def _partition(
    name: str, parts: Mapping[str, tuple[str, ...]], everyone: set[str], *, shared: str, lost: str
) -> list[Difference]:
    """Return how many clips are in several parts, and how many of `everyone` are in none."""
    times = Counter(clip for members in parts.values() for clip in members)
    pairs = [(shared, sum(count > 1 for count in times.values())), (lost, len(everyone - set(times)))]
    return [Difference(name, column, 0, count) for column, count in pairs if count]


def _fold(split: str) -> str:
    return split.rpartition("/")[0]


def _media(index: Index, here: NDArray[np.bool_]) -> str:
    paths = index.table["media_path"][here]
    firsts = {posixpath.dirname(path if isinstance(path, str) else path[0]) for path in paths}
    return posixpath.commonpath(firsts) if firsts else ""
