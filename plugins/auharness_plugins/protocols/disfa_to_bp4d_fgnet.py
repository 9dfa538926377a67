"""DISFA to BP4D: trained on two parts of DISFA, F1 of five AUs over part P1 of BP4D.

The configuration that the authors of FG-Net released (Yin et al., WACV 2024): trained on P2 and P3 of the source,
tested on P1 of the target. `disfa-to-bp4d` tests the whole target; the two are not comparable.
Class weights, occurrence rates and margins come from the source's training rows: a model sees no label, rate or frame
of the target before it is scored. It keeps all outputs of the source; AUs 1, 2, 4, 6 and 12 are chosen by number at
scoring.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.data.parts import part_keys
from auharness.hookspecs import hookimpl
from auharness.records import Fold, read_parts

PARTS = read_parts(__file__, "disfa_to_bp4d_fgnet.csv")


class DISFAToBP4DFGNet(ProtocolPlugin):
    """One fold: P2 and P3 of the source train, P1 of the target is tested."""

    name: ClassVar[str] = "disfa-to-bp4d-fgnet"
    paper: ClassVar[str] = "Yin et al., WACV 2024"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("disfa",)
    test_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 12)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")

    def folds(self, index: IndexView) -> Sequence[Fold]:
        source = part_keys(index, "disfa", parts=PARTS, names=("disfa-P2", "disfa-P3"))
        return [Fold("P2+P3", source, part_keys(index, "bp4d", parts=PARTS, names=("bp4d-P1",)))]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return DISFAToBP4DFGNet
