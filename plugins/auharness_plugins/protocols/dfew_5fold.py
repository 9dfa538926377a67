"""DFEW, the five folds that come with the data: UAR with WAR beside it, seven emotions of a clip.

Jiang et al., ACM MM 2020. Each of the 11,697 single-labelled clips is tested once. The headline is the mean over the
folds, as in most papers; the DFEW paper adds the five confusion matrices up before it divides, which stands beside it
as pooled and differs by about 0.01 points. Films and people are not published, so folds may share them and intervals
over clips are too narrow. The field chooses its epoch on the test part; here the rule is stamped on each row, and a row
chosen so has no rank.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import Fold

FOLDS = ("fold1", "fold2", "fold3", "fold4", "fold5")


class DFEWFiveFold(ProtocolPlugin):
    """Trains and tests on `foldK/train` and `foldK/test` of the split files."""

    name: ClassVar[str] = "dfew-5fold"
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
    reported: ClassVar[str] = "dfew_5fold.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        tested: dict[str, str] = {}
        found = []
        for name in FOLDS:
            train, test = (index.split("dfew", f"{name}/{part}") for part in ("train", "test"))
            twice = next((clip for clip in test if clip in tested), None)
            if twice is not None:
                raise DataError(
                    f"dfew: clip {twice} is in the test parts of {tested[twice]} and {name}; expected each clip in one"
                )
            tested |= dict.fromkeys(test, name)
            found.append(Fold(name, frozenset(("dfew", clip) for clip in train), frozenset(("dfew", c) for c in test)))
        return found


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return DFEWFiveFold
