"""BP4D to DISFA: trained on two parts of BP4D, F1 of five AUs over part P1 of DISFA.

The configuration that the authors of FG-Net released (Yin et al., WACV 2024): trained on P2 and P3 of the source,
tested on P1 of the target. `bp4d-to-disfa` tests the whole target; the two are not comparable.
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

PARTS = read_parts(__file__, "bp4d_to_disfa_fgnet.csv")


class BP4DToDISFAFGNet(ProtocolPlugin):
    """One fold: P2 and P3 of the source train, P1 of the target is tested."""

    name: ClassVar[str] = "bp4d-to-disfa-fgnet"
    paper: ClassVar[str] = "Yin et al., WACV 2024"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    test_on: ClassVar[tuple[str, ...]] = ("disfa",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 12)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")

    def folds(self, index: IndexView) -> Sequence[Fold]:
        source = part_keys(index, "bp4d", parts=PARTS, names=("bp4d-P2", "bp4d-P3"))
        return [Fold("P2+P3", source, part_keys(index, "disfa", parts=PARTS, names=("disfa-P1",)))]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return BP4DToDISFAFGNet
