import pytest

from auharness.data.parts import part_keys
from auharness.errors import DataError

PARTS = {"P1": ("A", "B"), "P2": ("C",), "P3": ("D",)}


class Disk:
    def __init__(self, *subjects: str) -> None:
        self.held = subjects

    def subjects(self, dataset: str) -> tuple[str, ...]:
        return self.held

    def clips(self, dataset: str) -> tuple[str, ...]:
        raise AssertionError("parts name subjects")


def test_only_named_parts_and_subjects_on_disk_are_taken() -> None:
    assert part_keys(Disk("A", "C", "D"), "x", parts=PARTS, names=("P1", "P2")) == {("x", "A"), ("x", "C")}


def test_a_subject_of_no_part_is_refused_even_in_a_part_that_is_not_asked_for() -> None:
    with pytest.raises(DataError, match=r"x: subject Z is in no part of the split \(1 such subjects\)"):
        part_keys(Disk("A", "Z"), "x", parts=PARTS, names=("P1",))


def test_parts_without_a_subject_on_disk_are_refused() -> None:
    with pytest.raises(DataError, match="x: no subject of the split is on disk; expected some of C, D"):
        part_keys(Disk("A"), "x", parts=PARTS, names=("P2", "P3"))
