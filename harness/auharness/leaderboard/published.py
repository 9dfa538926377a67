"""Floors on the published data sets, computed from published counts: no licensed file is needed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.data.published import read_counts
from auharness.leaderboard.levels import Level, Levels
from auharness.metrics import Aggregate, FoldCounts, metric
from auharness.records import Key
from auharness.statistics import chance_levels, floors

__all__ = [
    "published_clips",
    "published_floors",
    "published_folds",
    "published_levels",
    "published_source",
    "published_tests",
]

Counts = Mapping[str, tuple[int, dict[int, int]]]
ROWS = "rows"
"""Key of the number of rows in published splits of several labels."""


class _PublishedIndex:
    """What a protocol may ask of the data, answered from the published counts.

    A clip is named by split and class; a split of several labels is one clip, named by the split.
    """

    def subjects(self, dataset: str) -> tuple[str, ...]:
        return tuple(sorted(read_counts(dataset)))

    def clips(self, dataset: str) -> tuple[str, ...]:
        return ()

    def split(self, dataset: str, name: str) -> tuple[str, ...]:
        counts = _splits(dataset).get(name, {})
        if ROWS in counts:
            return (name,)
        return tuple(f"{name}\0{label}\0{number}" for label, count in counts.items() for number in range(count))


def published_folds(protocol: ProtocolPlugin) -> tuple[list[FoldCounts], dict[str, np.ndarray]] | None:
    """Return the counts of the always-present predictor by fold, and the training rates `[A]` by fold.

    For classes these are the confusion matrices `[1, C, C]` of a predictor that is always right, and class shares.

    Where only totals of whole data sets are published there is one fold and one cluster, which is all that a pooled
    score needs; the training rates are those of the whole training data then.

    Returns:
        None where nothing is published that gives the protocol's headline.
    """
    if metric(protocol.headline).needs == "confusion":
        return _class_folds(type(protocol))
    if not all(isinstance(label, int) for label in protocol.score_labels):
        return None
    if protocol.key != "subject":
        return _split_folds(protocol)
    try:
        tables = {name: read_counts(name) for name in (*protocol.train_on, *protocol.test_on)}
    except FileNotFoundError:
        return _total_folds(protocol, {}) if protocol.aggregation == "pooled" else None
    aus = [int(label) for label in protocol.score_labels]
    folds, rates = [], {}
    for fold in protocol.folds(_PublishedIndex()):
        keys = sorted(fold.test_ids)
        folds.append(FoldCounts(fold.name, tuple(subject for _, subject in keys), _always(keys, tables, aus)))
        trained = _always(sorted(fold.train_ids), tables, aus).sum(axis=0)
        rates[fold.name] = trained[:, 0] / trained[:, :2].sum(axis=1)
    return folds, rates


def published_source(protocol: type[ProtocolPlugin]) -> str:
    """Return what the published floors are computed from, in words."""
    plugin = protocol()
    if plugin.key == "subject" or metric(plugin.headline).needs == "confusion":
        return "the published counts"
    tested = {key for fold in plugin.folds(_PublishedIndex()) for key in fold.test_ids}
    if all(set(plugin.columns) <= set(_splits(dataset)[split]) for dataset, split in tested):
        return "the published counts"
    return "the published rates of the training part, as those of the scored part are not"


@lru_cache
def published_floors(protocol: type[ProtocolPlugin], name: str = "") -> dict[str, float]:
    """Return the floors of a protocol on the published data, in [0, 1]; empty where nothing is published.

    Args:
        protocol: the protocol.
        name: a metric of it; default the headline.
    """
    plugin = protocol()
    found = _aggregates(plugin, published_folds(plugin), name or plugin.headline)
    return {floor: level.mean for floor, level in found.items()}


@lru_cache
def published_tests(protocol: type[ProtocolPlugin]) -> dict[str, dict[str, int]]:
    """Return fold -> class -> clips of the published test parts; empty for AUs and where nothing is published."""
    plugin = protocol()
    if metric(plugin.headline).needs != "confusion":
        return {}
    found = _class_folds(protocol)
    if found is None:
        return {}
    sizes = {fold.name: fold.total.diagonal().tolist() for fold in found[0]}
    return {name: dict(zip(plugin.columns, counts, strict=True)) for name, counts in sizes.items()}


def published_levels(protocol: type[ProtocolPlugin], clips: Mapping[str, int] | None = None) -> Levels:
    """Return the same floors in percent, by label too.

    Args:
        protocol: the protocol.
        clips: data set -> number of clips to take instead of the published one, with the published positives.
    """
    plugin = protocol()
    folds = published_folds(plugin) if clips is None else _total_folds(plugin, clips)
    if metric(plugin.headline).needs == "confusion":
        return {
            name: Level(100 * found.mean, {}) for name, found in _aggregates(plugin, folds, plugin.headline).items()
        }
    return {
        name: Level(100 * found.mean, dict(zip(plugin.columns, (100 * found.by_label).tolist(), strict=True)))
        for name, found in _aggregates(plugin, folds, plugin.headline).items()
    }


def published_clips(dataset: str) -> int | None:
    """Return the number of clips in the release whose totals stand for a data set; None where none is published."""
    found = _totals(dataset, ())
    return None if found is None else found[0]


def _aggregates(
    plugin: ProtocolPlugin, found: tuple[list[FoldCounts], dict[str, np.ndarray]] | None, name: str
) -> dict[str, Aggregate]:
    entry = metric(name)
    if found is None or entry.needs == "scores":
        return {}
    folds, rates = found
    how: Any = plugin.aggregation  # `aggregate` refuses an unknown one
    trivial = floors(folds, entry, how=how, rates=rates)
    counted = how == "pooled" and entry.needs == "counts"
    return trivial | chance_levels(folds, entry, rates=rates) if counted else trivial


@lru_cache
def _class_folds(protocol: type[ProtocolPlugin]) -> tuple[list[FoldCounts], dict[str, np.ndarray]] | None:
    """As `published_folds` from the counts of the splits that come with the data."""
    plugin = protocol()
    if not all(_splits(name) for name in (*plugin.train_on, *plugin.test_on)):
        return None
    folds, rates = [], {}
    for fold in plugin.folds(_PublishedIndex()):
        tested, trained = (_class_sizes(ids, plugin.columns) for ids in (fold.test_ids, fold.train_ids))
        folds.append(FoldCounts(fold.name, (f"{fold.name} clips",), np.diag(tested)[None]))
        rates[fold.name] = trained / trained.sum()
    return folds, rates


def _split_folds(protocol: ProtocolPlugin) -> tuple[list[FoldCounts], dict[str, np.ndarray]] | None:
    """As `published_folds` from the counts of AUs in splits, one cluster each, which is all that a pooled score needs.

    A test split of which only the rows are published is taken to have the rates of the training part.
    """
    names = (*protocol.train_on, *protocol.test_on)
    if protocol.aggregation != "pooled" or not all(_splits(name) for name in names):
        return None
    folds, rates = [], {}
    for fold in protocol.folds(_PublishedIndex()):
        trained = np.sum([_split_counts(key, protocol.columns, None) for key in sorted(fold.train_ids)], axis=0)
        rates[fold.name] = trained[:, 0] / trained[:, :2].sum(axis=1)
        keys = sorted(fold.test_ids)
        counts = np.stack([_split_counts(key, protocol.columns, rates[fold.name]) for key in keys])
        folds.append(FoldCounts(fold.name, tuple(split for _, split in keys), counts))
    return folds, rates


def _split_counts(key: Key, columns: tuple[str, ...], rates: np.ndarray | None) -> np.ndarray:
    """Counts `[A, 4]` of a predictor that always says present on a split; `rates` `[A]` stand in for its positives."""
    counts = _splits(key[0])[key[1]]
    rows = counts[ROWS]
    if rates is None or set(columns) <= set(counts):
        positives = np.array([counts[name] for name in columns])
    else:
        positives = np.rint(rates * rows).astype(np.int64)
    return np.stack([positives, rows - positives, 0 * positives, 0 * positives], axis=-1)


def _class_sizes(ids: Iterable[Key], classes: tuple[str, ...]) -> np.ndarray:
    sizes = Counter(name.split("\0")[1] for _, name in ids)
    return np.array([sizes[label] for label in classes])


@lru_cache
def _splits(dataset: str) -> Mapping[str, Mapping[str, int]]:
    """Published counts of the splits of a data set; empty for one that has none or cannot be read."""
    if dataset not in registry.names("dataset"):
        return {}
    return registry.load("dataset", dataset).model_construct(root=Path()).published_splits()


def _total_folds(
    protocol: ProtocolPlugin, clips: Mapping[str, int]
) -> tuple[list[FoldCounts], dict[str, np.ndarray]] | None:
    """As `published_folds` from totals; `clips` replaces published numbers of clips."""
    aus = [int(label) for label in protocol.score_labels]
    trained = [_total_counts(name, aus, clips) for name in protocol.train_on]
    tested = [_total_counts(name, aus, clips) for name in protocol.test_on]
    known = [counts for counts in (*trained, *tested) if counts is not None]
    if len(known) < len(trained) + len(tested):
        return None
    source = np.sum(known[: len(trained)], axis=0)
    fold = FoldCounts("all", protocol.test_on, np.stack(known[len(trained) :]))
    return [fold], {"all": source[:, 0] / source[:, :2].sum(axis=1)}


def _total_counts(dataset: str, aus: list[int], clips: Mapping[str, int]) -> np.ndarray | None:
    """Counts `[A, 4]` of the predictor that always says present, on a whole data set."""
    found = _totals(dataset, tuple(aus))
    if found is None:
        return None
    rows, positives = clips.get(dataset, found[0]), np.array([found[1][au] for au in aus])
    return np.stack([positives, rows - positives, 0 * positives, 0 * positives], axis=-1)


@lru_cache
def _totals(dataset: str, aus: tuple[int, ...]) -> tuple[int, dict[int, int]] | None:
    """Clips and positives of the first published release that counts all AUs."""
    if dataset not in registry.names("dataset"):
        return None
    releases = registry.load("dataset", dataset).model_construct(root=Path()).published_totals()
    for _, rows, positives in releases.values():
        if positives and set(aus) <= set(positives):
            return rows, dict(positives)
    return None


def _always(keys: list[Key], tables: Mapping[str, Counts], aus: list[int]) -> np.ndarray:
    """Counts `[S, A, 4]` of a predictor that always says present."""
    counts = np.zeros((len(keys), len(aus), 4), np.int64)
    for row, (dataset, subject) in enumerate(keys):
        frames, positives = tables[dataset][subject]
        counts[row, :, 0] = [positives.get(au, 0) for au in aus]
        counts[row, :, 1] = frames - counts[row, :, 0]
    return counts
