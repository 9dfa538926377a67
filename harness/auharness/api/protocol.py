"""The protocol interface: which keys train, which test, and which numbers are reported."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from auharness.api.base import Plugin
from auharness.records import Fold, au_name

__all__ = ["IndexView", "ProtocolPlugin"]


class IndexView(Protocol):
    """What a protocol may ask of the data: names only, never labels or pixels."""

    def subjects(self, dataset: str) -> tuple[str, ...]:
        """Subjects of a dataset that are on disk, sorted."""
        ...

    def clips(self, dataset: str) -> tuple[str, ...]:
        """Sequences of a dataset that are on disk, sorted."""
        ...

    def split(self, dataset: str, name: str) -> tuple[str, ...]:
        """Sequences of a split that comes with the dataset, sorted; e.g. `fold1/train`.

        Raises:
            DataError: if the dataset has no split of that name.
        """
        ...


class ProtocolPlugin(Plugin):
    """One evaluation protocol. A published version is never edited; a fix is a successor with a higher `version`."""

    version: ClassVar[int] = 1
    train_on: ClassVar[tuple[str, ...]]
    """Dataset names whose rows train."""
    test_on: ClassVar[tuple[str, ...]]
    """Dataset names whose rows are scored."""
    score_labels: ClassVar[tuple[int, ...] | tuple[str, ...]]
    """AU numbers or class names that are scored, in order; a model may have more outputs."""
    metrics: ClassVar[tuple[str, ...]] = ("f1",)
    headline: ClassVar[str] = "f1"
    aggregation: ClassVar[str] = "fold-mean"
    """`fold-mean`, `pooled` or `subject-mean`: the rule of the headline; the others are printed too."""
    cluster: ClassVar[str] = "subject"
    """Sampling unit of intervals: `subject`, `video`, `clip` or `unknown`."""
    key: ClassVar[str] = "subject"
    """What the split keys name: `subject` or `clip`."""
    marks: ClassVar[tuple[str, ...]] = ()
    """What must stand beside every score under this protocol, e.g. `1 of 5 folds`."""
    n_published: ClassVar[int | None] = None
    """Rows with a label in all test parts, as published; a row on licensed data that scores another number is marked.
    None where it is not printed beside scores."""
    reported: ClassVar[str] = ""
    """File name of the reported table (json) beside the protocol file; empty for none."""

    @abstractmethod
    def folds(self, index: IndexView) -> Sequence[Fold]:
        """Return the folds, named by their test part, in order.

        Raises:
            DataError: if a part has no key on disk.
        """

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the scored labels."""
        return tuple(au_name(label) if isinstance(label, int) else label for label in self.score_labels)
