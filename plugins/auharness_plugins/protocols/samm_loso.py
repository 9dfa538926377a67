"""SAMM, leave one subject out: macro-F1 over {0,1} of four AUs on the pooled predictions of all subjects.

AU-LLM (Liu et al., arXiv:2507.21778), Table 2. The text calls this table cross-dataset; the released script trains and
tests inside SAMM. Of the 32 people who were recorded 29 show a micro-expression, so there are 29 folds. Clips without
any of the four AUs stay in as negatives (56 of 159), and counts are summed over all folds before anything is divided.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import Fold


class SAMMLoso(ProtocolPlugin):
    """Each subject on disk is tested once by a model that is trained on all others; a fold is named by its subject."""

    name: ClassVar[str] = "samm-loso"
    paper: ClassVar[str] = "Liu et al., AU-LLM, arXiv:2507.21778"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("samm",)
    test_on: ClassVar[tuple[str, ...]] = ("samm",)
    score_labels: ClassVar[tuple[int, ...]] = (2, 4, 7, 12)
    metrics: ClassVar[tuple[str, ...]] = ("macro-f1-binary", "f1", "average-precision", "auroc", "accuracy")
    headline: ClassVar[str] = "macro-f1-binary"
    aggregation: ClassVar[str] = "pooled"
    reported: ClassVar[str] = "samm_loso.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        subjects = index.subjects("samm")
        if len(subjects) < 2:
            raise DataError(f"samm: {len(subjects)} subjects on disk; expected at least 2 to leave one out")
        parts = {subject: (subject,) for subject in subjects}
        return [Fold.leave_out(subject, parts, "samm", subjects) for subject in subjects]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return SAMMLoso
