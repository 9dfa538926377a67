"""DFEW, the first of its five folds alone: what papers report that train once.

Split and rules are those of `dfew-5fold`. One fold is no estimate of five: Former-DFER's own folds lie between 64.08
and 67.04 WAR, fold 1 at 66.21. So every row is marked, and a number from here stands beside five-fold numbers under
that mark only. A quick protocol for development, too.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.hookspecs import hookimpl
from auharness.records import Fold


class DFEWFoldOne(ProtocolPlugin):
    """Trains on `fold1/train` and tests on `fold1/test` of the split files."""

    name: ClassVar[str] = "dfew-fold1"
    paper: ClassVar[str] = "Jiang et al., DFEW, ACM MM 2020"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("dfew",)
    test_on: ClassVar[tuple[str, ...]] = ("dfew",)
    score_labels: ClassVar[tuple[str, ...]] = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
    metrics: ClassVar[tuple[str, ...]] = ("uar", "war", "macro-f1", "weighted-f1", "recall")
    headline: ClassVar[str] = "uar"
    aggregation: ClassVar[str] = "fold-mean"
    cluster: ClassVar[str] = "clip"
    key: ClassVar[str] = "clip"
    marks: ClassVar[tuple[str, ...]] = ("1 of 5 folds",)
    reported: ClassVar[str] = "dfew_fold1.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        parts = (index.split("dfew", f"fold1/{part}") for part in ("train", "test"))
        train, test = (frozenset(("dfew", clip) for clip in part) for part in parts)
        return [Fold("fold1", train, test)]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return DFEWFoldOne
