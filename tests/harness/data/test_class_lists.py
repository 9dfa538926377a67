from pathlib import Path

import pytest

from auharness.data.class_lists import ClassList, ClassRow, classes_of, read_class_list
from auharness.data.problems import Problems

CLASSES = ("Happy", "Sad")


def read(root: Path, text: str, name: str = "set_1.csv", first: int = 1) -> tuple[list[ClassRow], list[str]]:
    (root / name).write_bytes(text.encode())
    problems = Problems("dfew")
    rows = read_class_list(root, ClassList("fold1/train", name, first), CLASSES, problems)
    return rows, [str(problem) for problem in problems.items]


@pytest.mark.parametrize("name", ["5", "00005", "5.mp4", "00005.AVI", "/a b/Clip/00005", "C:\\frames\\00005", "x/5/"])
def test_a_clip_is_its_number_however_it_is_written(tmp_path: Path, name: str) -> None:
    expected = [ClassRow("set_1.csv", 2, 5, 1)]
    assert read(tmp_path, f"video_name,label\r\n{name},2\r\n\r\n") == (expected, [])
    assert read(tmp_path, f"{name} 77 1\n", "set_1.txt", 0)[0] == [ClassRow("set_1.txt", 1, 5, 1)]


@pytest.mark.parametrize("name", ["", "five", "5_a", "a5", "5.jpg"])
def test_another_name_is_reported(tmp_path: Path, name: str) -> None:
    rows, problems = read(tmp_path, f"video_name,label\n{name},2\n")
    got = name or "empty"
    assert rows == [] and problems == [f"set_1.csv row 2: video_name is {got}, expected the number of a clip"]


def test_lists_that_disagree_about_a_clip_are_reported_once_per_row() -> None:
    rows = {
        "fold1/train": [ClassRow("a.csv", 2, 5, 0), ClassRow("a.csv", 3, 6, 1)],
        "fold2/train": [ClassRow("b.csv", 2, 6, 1), ClassRow("b.csv", 3, 5, 1)],
    }
    problems = Problems("dfew")
    assert classes_of(rows, CLASSES, problems) == {5: "Happy", 6: "Sad"}
    assert [str(problem) for problem in problems.items] == [
        "b.csv row 3: label is Sad (5), expected Happy as in a.csv row 2"
    ]
