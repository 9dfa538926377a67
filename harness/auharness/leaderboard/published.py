"""Floors on the published data sets, computed from published counts: no licensed file is needed."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from auharness.api import ProtocolPlugin
from auharness.data.published import read_counts
from auharness.metrics import FoldCounts, metric
from auharness.records import Key
from auharness.statistics import floors

__all__ = ["published_floors", "published_folds"]

Counts = Mapping[str, tuple[int, dict[int, int]]]


class _PublishedIndex:
    """What a protocol may ask of the data, answered from the published counts."""

    def subjects(self, dataset: str) -> tuple[str, ...]:
        return tuple(sorted(read_counts(dataset)))

    def clips(self, dataset: str) -> tuple[str, ...]:
        return ()


def published_folds(protocol: ProtocolPlugin) -> tuple[list[FoldCounts], dict[str, np.ndarray]] | None:
    """Return the counts of the always-present predictor by fold, and the training rates `[A]` by fold.

    Returns:
        None where a dataset of the protocol has no published counts by subject and AU.
    """
    if protocol.key != "subject" or not all(isinstance(label, int) for label in protocol.score_labels):
        return None
    try:
        tables = {name: read_counts(name) for name in (*protocol.train_on, *protocol.test_on)}
    except FileNotFoundError:
        return None
    aus = [int(label) for label in protocol.score_labels]
    folds, rates = [], {}
    for fold in protocol.folds(_PublishedIndex()):
        keys = sorted(fold.test_ids)
        folds.append(FoldCounts(fold.name, tuple(subject for _, subject in keys), _always(keys, tables, aus)))
        trained = _always(sorted(fold.train_ids), tables, aus).sum(axis=0)
        rates[fold.name] = trained[:, 0] / trained[:, :2].sum(axis=1)
    return folds, rates


@lru_cache
def published_floors(protocol: type[ProtocolPlugin]) -> dict[str, float]:
    """Return the floors of a protocol on the published data, in [0, 1]; empty where nothing is published."""
    plugin = protocol()
    found = published_folds(plugin)
    entry = metric(plugin.headline)
    if found is None or entry.needs != "counts":
        return {}
    folds, rates = found
    how: Any = plugin.aggregation  # `aggregate` refuses an unknown one
    return {name: value.mean for name, value in floors(folds, entry, how=how, rates=rates).items()}


def _always(keys: list[Key], tables: Mapping[str, Counts], aus: list[int]) -> np.ndarray:
    """Counts `[S, A, 4]` of a predictor that always says present."""
    counts = np.zeros((len(keys), len(aus), 4), np.int64)
    for row, (dataset, subject) in enumerate(keys):
        frames, positives = tables[dataset][subject]
        counts[row, :, 0] = [positives.get(au, 0) for au in aus]
        counts[row, :, 1] = frames - counts[row, :, 0]
    return counts
