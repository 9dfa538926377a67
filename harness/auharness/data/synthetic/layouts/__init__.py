"""Writers of vendor layouts, one module per dataset, and the interface that they share.

A later dataset adds one module with the functions of `Layout` and one line in `LAYOUTS`.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from auharness.errors import UsageError, near

__all__ = ["LAYOUTS", "Layout", "load_layout", "write_file"]

LAYOUTS: Mapping[str, str] = {
    "affwild2": "auharness.data.synthetic.layouts.affwild2",
    "bp4d": "auharness.data.synthetic.layouts.bp4d",
    "casme2": "auharness.data.synthetic.layouts.casme2",
    "dfew": "auharness.data.synthetic.layouts.dfew",
    "disfa": "auharness.data.synthetic.layouts.disfa",
    "samm": "auharness.data.synthetic.layouts.samm",
}
"""Dataset name to the module that writes its vendor layout."""


class Layout(Protocol):
    """What a layout module offers."""

    def sizes(self) -> Mapping[str, object]:
        """Return the settings of every size by name; their text enters the cache key."""

    def subjects(self, *, size: str) -> tuple[str, ...]:
        """Return the official ids of the subjects that this size holds, sorted."""

    def write_subject(self, root: Path, subject: str, *, size: str, seed: int) -> Mapping[str, int]:
        """Write all files of one subject and return what can be summed: sequences, frames, positives per AU.

        The files depend on the arguments alone; what an interrupted call left behind is overwritten.
        """

    def write_shared(self, root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
        """Write the files that hold several subjects, for those that are written; called once, after the last."""


def load_layout(dataset: str) -> Layout:
    """Return the layout module of a dataset.

    Raises:
        UsageError: no stand-in is known for this dataset.
    """
    if dataset not in LAYOUTS:
        known = ", ".join(sorted(LAYOUTS))
        raise UsageError(f"no synthetic stand-in for dataset '{dataset}'{near(dataset, LAYOUTS)} (stand-ins: {known})")
    return cast(Layout, import_module(LAYOUTS[dataset]))


def write_file(path: Path, content: bytes) -> None:
    """Write a file and the folders above it; not atomic, as nobody reads a stand-in before its completion mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
