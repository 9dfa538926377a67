"""DISFA, subject-exclusive 3 folds: F1 per AU over all coded frames of the test part.

Parts as released with JAA-Net (Shao et al., ECCV 2018), the same in ME-GraphAU, FG-Net, AU-TTT; intensity >= 2 occurs.
Sources that number the folds differently (test part of "fold 1" is P3 in some, P1 in others) agree on the members of
the parts, so a fold is named by its test part. The reported number is the mean over the folds.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.hookspecs import hookimpl
from auharness.records import Fold, read_parts

PARTS = read_parts(__file__, "disfa_3fold.csv")


class DISFAThreeFold(ProtocolPlugin):
    """Each published part P1..P3 is tested once by a model that is trained on the other two."""

    name: ClassVar[str] = "disfa-3fold"
    paper: ClassVar[str] = "Shao et al., ECCV 2018"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("disfa",)
    test_on: ClassVar[tuple[str, ...]] = ("disfa",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 9, 12, 25, 26)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")
    reported: ClassVar[str] = "disfa_3fold.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        return [Fold.leave_out(part, PARTS, "disfa", index.subjects("disfa")) for part in PARTS]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return DISFAThreeFold
