import pytest

from auharness.data.problems import SHOWN, Problems
from auharness.errors import DataError


def test_no_problem_raises_nothing() -> None:
    Problems("bp4d").raise_if_any("never read")


def test_all_problems_are_listed_by_file_and_row() -> None:
    problems = Problems("bp4d")
    problems.add("b.csv", 10, column="AU1", expected="0 or 1", got="7")
    problems.add("b.csv", 9, column="AU2", expected="0 or 1", got="8")
    problems.add("a.csv", None, column="file", expected="rows", got="empty")
    with pytest.raises(DataError) as caught:
        problems.raise_if_any("mend them")
    assert str(caught.value).splitlines() == [
        "bp4d: 3 problems in 2 files; mend them",
        "  a.csv: file is empty, expected rows",
        "  b.csv row 9: AU2 is 8, expected 0 or 1",
        "  b.csv row 10: AU1 is 7, expected 0 or 1",
    ]


def test_a_long_list_is_cut_and_counted() -> None:
    problems = Problems("bp4d")
    for row in range(SHOWN + 5):
        problems.add("a.csv", row + 2, column="AU1", expected="0", got="7")
    with pytest.raises(DataError) as caught:
        problems.raise_if_any("mend them")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"bp4d: {SHOWN + 5} problems in 1 file")
    assert len(lines) == SHOWN + 2 and lines[-1] == "  and 5 more"
