"""BP4D, subject-exclusive 3 folds: F1 per AU over all coded frames of the test part.

Parts of Zhao et al., Deep Region and Multi-label Learning, CVPR 2016, the same in JAA-Net, ME-GraphAU, FG-Net, AU-TTT.
Sources that number the folds differently (test part of "fold 1" is P3 in some, P1 in others) agree on the members of
the parts, so a fold is named by its test part. The reported number is the mean over the folds.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.hookspecs import hookimpl
from auharness.records import Fold, read_parts

PARTS = read_parts(__file__, "bp4d_3fold.csv")


class BP4DThreeFold(ProtocolPlugin):
    """Each published part P1..P3 is tested once by a model that is trained on the other two."""

    name: ClassVar[str] = "bp4d-3fold"
    paper: ClassVar[str] = "Zhao et al., CVPR 2016"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    test_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")
    reported: ClassVar[str] = "bp4d_3fold.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        return [Fold.leave_out(part, PARTS, "bp4d", index.subjects("bp4d")) for part in PARTS]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return BP4DThreeFold
