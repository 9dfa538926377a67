"""Split keys from the parts of a published table: what protocols across datasets have in common."""

from collections.abc import Iterable, Mapping, Sequence

from auharness.api import IndexView
from auharness.errors import DataError
from auharness.records import Key

__all__ = ["part_keys"]


def part_keys(
    index: IndexView, dataset: str, *, parts: Mapping[str, Sequence[str]], names: Iterable[str]
) -> frozenset[Key]:
    """Return the keys (dataset, subject) of the named parts' subjects that are on disk.

    Args:
        index: what is on disk.
        dataset: dataset name.
        parts: part name -> subjects, the whole published table.
        names: parts to take.

    Raises:
        DataError: if a subject on disk is in no part of the table, or if the named parts have no subject on disk.
    """
    on_disk = set(index.subjects(dataset))
    unknown = sorted(on_disk - {subject for members in parts.values() for subject in members})
    if unknown:
        raise DataError(f"{dataset}: subject {unknown[0]} is in no part of the split ({len(unknown)} such subjects)")
    wanted = [subject for name in names for subject in parts[name]]
    found = frozenset((dataset, subject) for subject in wanted if subject in on_disk)
    if not found:
        raise DataError(f"{dataset}: no subject of the split is on disk; expected some of {', '.join(wanted)}")
    return found
