"""Aff-Wild2, the official validation part: F1 of the present class over all coded frames, mean over 12 AUs.

The AU track of the ABAW competitions (Kollias et al., CVPR 2022 to 2025). Test labels are not handed out, so papers
report the validation part. Frames of all videos are counted together, which is pooled here; the mean of the F1 of
videos stands beside it. The threshold is 0.5. Thresholds fitted on the validation part and smoothing over time add
about four points and change what is measured: both stand in extra rows or columns with a mark.

Every coded frame is scored, those without a face crop by the nearest crop (`datasets/affwild2.py`); most loaders leave
them out. Intervals and tests draw videos. The two people of a film are two videos, and who is in several films is not
published, so intervals may be too narrow.
"""

from collections.abc import Sequence
from typing import ClassVar

from auharness.api import IndexView, ProtocolPlugin
from auharness.hookspecs import hookimpl
from auharness.records import Fold


class AffWild2Validation(ProtocolPlugin):
    """Trains on the split `train`, tests on `validation`; a name in both is refused."""

    name: ClassVar[str] = "affwild2-val"
    paper: ClassVar[str] = "Kollias and Zafeiriou, Aff-Wild2, 2018; AU track of ABAW, CVPR 2022 to 2025"
    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]] = ("affwild2",)
    test_on: ClassVar[tuple[str, ...]] = ("affwild2",)
    score_labels: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "average-precision", "f1-max", "auroc", "macro-f1-binary", "accuracy")
    aggregation: ClassVar[str] = "pooled"
    cluster: ClassVar[str] = "video"
    key: ClassVar[str] = "clip"
    n_published: ClassVar[int | None] = 445_845
    reported: ClassVar[str] = "affwild2_val.reported.json"

    def folds(self, index: IndexView) -> Sequence[Fold]:
        parts = (index.split("affwild2", name) for name in ("train", "validation"))
        train, test = (frozenset(("affwild2", video) for video in part) for part in parts)
        return [Fold("validation", train, test)]


@hookimpl
def auharness_protocol() -> type[ProtocolPlugin]:
    return AffWild2Validation
