"""The contract of a protocol plugin: its rules are known words, and its folds keep to the datasets it names."""

import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from auharness.api import IndexView, ProtocolPlugin
from auharness.errors import AuharnessError
from auharness.metrics import AGGREGATIONS, METRICS
from auharness.records import Fold, read_parts
from auharness.registry import load, names
from auharness.testing.check import Check, Step, expect, plugin_steps, run_stages
from auharness.testing.fake import FakeIndex

__all__ = ["check_protocol", "default_index"]

CLUSTERS = ("subject", "video", "clip", "unknown")
KEYS = ("subject", "clip")
UNNAMED = tuple(f"S{number:02}" for number in range(1, 10))
"""Subjects of a dataset whose real ones are not known."""
PARTS = 5
"""Folds of the splits that a dataset with unknown subjects is given: `fold1/train` ... `fold5/test`."""


def check_protocol(plugin: type[ProtocolPlugin], index: IndexView | None = None) -> list[Check]:
    """Return the outcome of every check of a protocol plugin.

    Args:
        plugin: the class that the hook returns.
        index: the subjects, clips and splits on disk; default: those of the split table beside the plugin, of the
            published counts of the datasets, or nine made-up ones, splits into five folds, and those that the datasets
            publish.
    """
    case = _Case(plugin, index or default_index(plugin))
    declared: list[Step] = [
        *plugin_steps(plugin),
        ("version counts from 1", lambda: expect(plugin.version >= 1, f"expected 1 or more, got {plugin.version}")),
        ("train_on and test_on name datasets", case.datasets),
        ("score_labels are AU numbers or class names", case.labels),
        ("metrics, headline, aggregation, cluster and key are known", case.words),
        ("the reported table is there", case.reported),
    ]
    splits: list[Step] = [
        ("folds are named apart", case.fold_names),
        ("folds keep to train_on and test_on", case.keys),
        ("folds are the same twice", case.same),
    ]
    return run_stages(plugin, [declared, splits])


def default_index(plugin: type[ProtocolPlugin]) -> FakeIndex:
    """Return an index with the subjects and splits that a protocol most likely expects."""
    table = _table(plugin)
    wanted = dict.fromkeys((*plugin.train_on, *plugin.test_on))
    subjects = {dataset: _published(dataset) or table or UNNAMED for dataset in wanted}
    splits = {dataset: _splits(names) | _published_parts(dataset, names) for dataset, names in subjects.items()}
    return FakeIndex(subjects, subjects, splits)


class _Case:
    """A protocol and its folds, made once."""

    def __init__(self, plugin: type[ProtocolPlugin], index: IndexView) -> None:
        self.plugin = plugin
        self.index = index

    @cached_property
    def folds(self) -> list[Fold]:
        return list(self.plugin().folds(self.index))

    def datasets(self) -> None:
        for which in ("train_on", "test_on"):
            got = getattr(self.plugin, which)
            fine = isinstance(got, tuple) and len(got) > 0 and all(isinstance(name, str) for name in got)
            expect(fine, f"{which}: expected a tuple of dataset names, got {got!r}")

    def labels(self) -> None:
        got = self.plugin.score_labels
        kinds = {type(label) for label in got}
        expect(len(kinds) == 1 and kinds <= {int, str}, f"expected all numbers or all names, got {got!r}")
        expect(len(set(got)) == len(got), f"expected each label once, got {got!r}")

    def words(self) -> None:
        plugin = self.plugin
        unknown = [name for name in plugin.metrics if name not in METRICS]
        expect(not unknown, f"metrics: no metric {', '.join(unknown)} (metrics: {', '.join(METRICS)})")
        expect(
            plugin.headline in plugin.metrics, f"headline: expected one of {plugin.metrics}, got '{plugin.headline}'"
        )
        for which, known in (("aggregation", AGGREGATIONS), ("cluster", CLUSTERS), ("key", KEYS)):
            got = getattr(plugin, which)
            expect(got in known, f"{which}: expected one of {', '.join(known)}, got '{got}'")

    def reported(self) -> None:
        if self.plugin.reported:
            path = _file(self.plugin).with_name(self.plugin.reported)
            expect(path.is_file(), f"{path} does not exist")
            json.loads(path.read_text(encoding="utf-8"))

    def fold_names(self) -> None:
        found = [fold.name for fold in self.folds]
        expect(len(found) > 0, "expected at least one fold, got none")
        expect(len(set(found)) == len(found), f"expected each name once, got {', '.join(found)}")

    def keys(self) -> None:
        for fold in self.folds:
            for side, allowed, keys in (
                ("train", self.plugin.train_on, fold.train_ids),
                ("test", self.plugin.test_on, fold.test_ids),
            ):
                strange = sorted(dataset for dataset, _ in keys if dataset not in allowed)
                expect(not strange, f"fold {fold.name}: {side} keys of {strange[:1]}, expected {', '.join(allowed)}")

    def same(self) -> None:
        expect(list(self.plugin().folds(self.index)) == self.folds, "expected equal folds; sort the subjects")


def _file(plugin: type[ProtocolPlugin]) -> Path:
    return Path(str(sys.modules[plugin.__module__].__file__))


def _table(plugin: type[ProtocolPlugin]) -> tuple[str, ...]:
    table = _file(plugin).with_suffix(".csv")
    if not table.is_file():
        return ()
    parts = read_parts(str(_file(plugin)), table.name)
    return tuple(sorted(subject for members in parts.values() for subject in members))


def _splits(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return five folds with every name in one test part."""
    parts = {f"fold{number + 1}": tuple(names[number::PARTS]) for number in range(PARTS)}
    found = {}
    for fold, test in parts.items():
        found[f"{fold}/train"] = tuple(name for name in names if name not in test)
        found[f"{fold}/test"] = test
    return found


def _published_parts(dataset: str, members: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the splits without folds that a dataset publishes, such as `train`; every name is in one of them."""
    if dataset not in names("dataset"):
        return {}
    published = load("dataset", dataset).model_construct(root=Path()).published_splits()
    parts = [split for split in published if "/" not in split]
    return {split: tuple(members[number :: len(parts)]) for number, split in enumerate(parts)}


def _published(dataset: str) -> tuple[str, ...]:
    """Return the subjects of a dataset's published counts; nothing for one that cannot be read."""
    if dataset not in names("dataset"):
        return ()
    try:
        return tuple(load("dataset", dataset).model_construct(root=Path()).published_counts())
    except AuharnessError:
        return ()
