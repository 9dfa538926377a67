"""CASME II, leave one subject out: macro-F1 over {0,1} of eight AUs on the pooled predictions of all subjects.

AU-LLM (Liu et al., arXiv:2507.21778), Table 1, and the way of the micro-expression AU literature before it. In most
subjects an AU never occurs, so a score of one fold means nothing: counts are summed over all folds before anything is
divided, and other averages are diagnostics. Clips without any of the eight AUs stay in as negatives. The paper speaks
of 247 clips; its numbers fit the sheet of 256, which is the one whose counts stand here as published.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import Fold


class CASME2Loso(ProtocolPlugin):
    """Each subject on disk is tested once by a model that is trained on all others; a fold is named by its subject."""

    name: ClassVar[str] = "casme2-loso"
    paper: ClassVar[str] = "Liu et al., AU-LLM, arXiv:2507.21778"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("casme2",)
    test_on: ClassVar[tuple[str, ...]] = ("casme2",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 7, 12, 14, 15, 17)
    metrics: ClassVar[tuple[str, ...]] = ("macro-f1-binary", "f1", "average-precision", "auroc", "accuracy")
    headline: ClassVar[str] = "macro-f1-binary"
    aggregation: ClassVar[str] = "pooled"
    reported: ClassVar[str] = "casme2_loso.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        subjects = index.subjects("casme2")
        if len(subjects) < 2:
            raise DataError(f"casme2: {len(subjects)} subjects on disk; expected at least 2 to leave one out")
        parts = {subject: (subject,) for subject in subjects}
        return [Fold.leave_out(subject, parts, "casme2", subjects) for subject in subjects]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return CASME2Loso
