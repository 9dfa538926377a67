"""BP4D to DISFA: trained on two parts of BP4D, F1 of five AUs over all coded frames of DISFA.

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

PARTS = read_parts(__file__, "bp4d_to_disfa.csv")


class BP4DToDISFA(ProtocolPlugin):
    """Every pair of source parts trains once, and the whole target is tested; a fold is named by its pair."""

    name: ClassVar[str] = "bp4d-to-disfa"
    paper: ClassVar[str] = "Xing et al., AU-TTT, arXiv:2503.23450"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("bp4d",)
    test_on: ClassVar[tuple[str, ...]] = ("disfa",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 12)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")
    reported: ClassVar[str] = "bp4d_to_disfa.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        target = part_keys(index, "disfa", parts=PARTS, names=("disfa-P1", "disfa-P2", "disfa-P3"))
        pairs = combinations(("P1", "P2", "P3"), 2)
        return [Fold("+".join(pair), _source(index, pair), target) for pair in pairs]


def _source(index: IndexView, pair: Sequence[str]) -> frozenset[Key]:
    return part_keys(index, "bp4d", parts=PARTS, names=[f"bp4d-{part}" for part in pair])


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return BP4DToDISFA
