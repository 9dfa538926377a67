"""DISFA to BP4D: trained on two parts of DISFA, F1 of five AUs over all coded frames of BP4D.

AU-TTT (Xing et al., arXiv:2503.23450), "Cross-domain Evaluation": two folds of the source train, the entire target is
tested. Which two is not said, so all three pairs are run, and mean and spread are reported.
Class weights, occurrence rates and margins come from the source's training rows: a model sees no label, rate or frame
of the target before it is scored. It keeps all outputs of the source; AUs 1, 2, 4, 6 and 12 are chosen by number at
scoring.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.data.parts import part_keys
from auharness.hookspecs import hookimpl
from auharness.records import Fold, Key, read_parts

PARTS = read_parts(__file__, "disfa_to_bp4d.csv")


class DISFAToBP4D(ProtocolPlugin):
    """Every pair of source parts trains once, and the whole target is tested; a fold is named by its pair."""

    name: ClassVar[str] = "disfa-to-bp4d"
    paper: ClassVar[str] = "Xing et al., AU-TTT, arXiv:2503.23450"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("disfa",)
    test_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 12)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")
    reported: ClassVar[str] = "disfa_to_bp4d.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        target = part_keys(index, "bp4d", parts=PARTS, names=("bp4d-P1", "bp4d-P2", "bp4d-P3"))
        pairs = combinations(("P1", "P2", "P3"), 2)
        return [Fold("+".join(pair), _source(index, pair), target) for pair in pairs]


def _source(index: IndexView, pair: Sequence[str]) -> frozenset[Key]:
    return part_keys(index, "disfa", parts=PARTS, names=[f"disfa-{part}" for part in pair])


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return DISFAToBP4D
