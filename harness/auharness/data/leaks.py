"""Looks for one person on both sides of a split: equal files, subjects tested twice, datasets that share people."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path

from auharness.data.index import Index
from auharness.records import Fold, Key

__all__ = ["Overlap", "Twin", "known_overlaps", "shared_test_keys", "twin_media"]

PROBE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Twin:
    """Byte-identical media of two subjects."""

    first: str
    """`dataset/path` of the first file, by name."""
    second: str
    subjects: tuple[Key, Key]
    """Who the files belong to."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two datasets that hold the same people."""

    dataset: str
    other: str
    subjects: int | None
    """Number of shared people; None where it is not known."""
    note: str


def twin_media(index: Index, *, progress: Callable[[int, int], None] | None = None) -> list[Twin]:
    """Return media files that are byte-identical although they belong to different subjects.

    Only files of equal size are opened: first a block from their middle is compared, then the sha256 of the whole. Of
    several equal files each is listed beside the first.

    Args:
        index: rows of one or more datasets.
        progress: called with (files compared, files to compare).
    """
    owners = _owners(index)
    same_size = _groups(owners, owners, key=lambda path: path.stat().st_size)
    waiting = sum(map(len, same_size))
    twins: list[Twin] = []
    done = 0
    for members in same_size:
        for block in _groups(members, owners, key=_probe):
            for equal in _groups(block, owners, key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest()):
                twins += _pairs(equal, owners)
        done += len(members)
        if progress is not None:
            progress(done, waiting)
    return sorted(twins, key=lambda twin: (twin.first, twin.second))


def shared_test_keys(folds: Sequence[Fold]) -> list[tuple[Key, tuple[str, str]]]:
    """Return (key, two fold names) for keys that two folds test although their test parts are not the same.

    Folds with equal test parts, as across datasets, are no leak.
    """
    found = []
    for one, two in combinations(folds, 2):
        if one.test_ids != two.test_ids:
            found += [(key, (one.name, two.name)) for key in sorted(one.test_ids & two.test_ids)]
    return found


def known_overlaps(names: Iterable[str]) -> list[Overlap]:
    """Return the datasets known to share people with any of the named ones, in the order of the table."""
    wanted = set(names)
    text = files("auharness.data").joinpath("overlaps.csv").read_text(encoding="utf-8")
    rows = [
        Overlap(row["dataset"], row["other"], int(row["subjects"]) if row["subjects"] else None, row["note"])
        for row in csv.DictReader(text.splitlines())
    ]
    return [row for row in rows if wanted & {row.dataset, row.other}]


def _owners(index: Index) -> dict[Path, tuple[str, Key]]:
    """Return file -> (`dataset/path`, owner), sorted by name."""
    table = index.table
    owners: dict[Path, tuple[str, Key]] = {}
    for dataset, subject, media in zip(table["dataset"], table["subject"], table["media_path"], strict=True):
        for path in [media] if isinstance(media, str) else media:
            owners.setdefault(index.source(dataset).root / path, (f"{dataset}/{path}", (dataset, subject)))
    return dict(sorted(owners.items(), key=lambda item: item[1][0]))


def _groups(
    paths: Iterable[Path], owners: dict[Path, tuple[str, Key]], *, key: Callable[[Path], Hashable]
) -> list[list[Path]]:
    """Return groups of equal key that hold more than one owner."""
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return [group for group in groups.values() if len({owners[path][1] for path in group}) > 1]


def _probe(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(path.stat().st_size // 2)
        return file.read(PROBE_BYTES)


def _pairs(equal: Sequence[Path], owners: dict[Path, tuple[str, Key]]) -> Iterator[Twin]:
    name, owner = owners[equal[0]]
    for path in equal[1:]:
        other_name, other = owners[path]
        if other != owner:
            yield Twin(name, other_name, (owner, other))
