"""CASME II to SAMM: trained on all of CASME II, macro-F1 over {0,1} of the four common AUs on all of SAMM.

AU-LLM (Liu et al., arXiv:2507.21778), Table 4. All eight AUs of the source are trained; AUs 2, 4, 7 and 12 are chosen
by number at scoring. There is one model and one test part, so a seed is a whole run, and the only spread is over seeds
and subjects. The paper names no seed, threshold or language model for this table, and its code is not released.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import Fold, Key


class CASME2ToSAMM(ProtocolPlugin):
    """All of CASME II trains once and all of SAMM is tested; the fold is named by its test part."""

    name: ClassVar[str] = "casme2-to-samm"
    paper: ClassVar[str] = "Liu et al., AU-LLM, arXiv:2507.21778"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("casme2",)
    test_on: ClassVar[tuple[str, ...]] = ("samm",)
    score_labels: ClassVar[tuple[int, ...]] = (2, 4, 7, 12)
    metrics: ClassVar[tuple[str, ...]] = ("macro-f1-binary", "f1", "average-precision", "auroc", "accuracy")
    headline: ClassVar[str] = "macro-f1-binary"
    aggregation: ClassVar[str] = "pooled"
    reported: ClassVar[str] = "casme2_to_samm.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        return [Fold("samm", _everyone(index, "casme2"), _everyone(index, "samm"))]


def _everyone(index: IndexView, dataset: str) -> frozenset[Key]:
    found = frozenset((dataset, subject) for subject in index.subjects(dataset))
    if not found:
        raise DataError(f"{dataset}: no subject on disk; expected all of it")
    return found


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return CASME2ToSAMM
