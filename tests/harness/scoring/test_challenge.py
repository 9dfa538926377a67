from pathlib import Path

import pandas as pd
import pytest

from auharness.errors import DataError
from auharness.scoring.challenge import answer_list, read_list

COLUMNS = ("AU1", "AU2")
HEADER = "image_location,AU1,AU2"


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "CVPR_6th_ABAW_AU_test_set_example.txt"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def said(**rows: tuple[int, int]) -> pd.DataFrame:
    """Decisions by `video__frame`."""
    ids = [f"affwild2/{name.replace('__', '/')}" for name in rows]
    frame = pd.DataFrame(rows.values(), columns=list(COLUMNS)).astype(bool)
    frame.insert(0, "sample_id", ids)
    return frame


def test_every_listed_row_is_answered_in_the_order_of_the_list(tmp_path: Path) -> None:
    path = write(tmp_path, "b/00002.jpg,0,0", "a/00001.jpg,0,0", "b/00001.jpg,0,0")
    listed = read_list(path, COLUMNS)
    frame = said(a__1=(1, 0), b__1=(0, 1), b__2=(1, 1), b__3=(0, 0), c__1=(0, 0))
    made = answer_list(listed, frame, COLUMNS, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == f"{HEADER}\nb/00002.jpg,1,1\na/00001.jpg,1,0\nb/00001.jpg,0,1\n"
    assert (made.n_rows, made.n_videos, made.n_nearest) == (3, 2, 0)


def test_a_row_without_a_prediction_takes_the_nearest_frame_of_its_video(tmp_path: Path) -> None:
    numbers = (1, 2, 4, 5, 6, 7, 100)
    listed = read_list(write(tmp_path, *(f"a/{number:05d}.jpg" for number in numbers)), COLUMNS)
    frame = said(b__1=(1, 1), a__7=(1, 1), a__3=(0, 1), a__5=(1, 0))
    made = answer_list(listed, frame, COLUMNS, tmp_path / "out.csv")
    answers = [line.partition(",")[2] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    # of two equally near the earlier: 4 is as far from 3 as from 5, 6 from 5 as from 7
    assert answers == ["0,1", "0,1", "0,1", "1,0", "1,0", "1,1", "1,1"]
    assert made.n_nearest == 5


def test_missing_videos_are_refused_with_counts_and_nothing_is_written(tmp_path: Path) -> None:
    listed = read_list(write(tmp_path, "a/00001.jpg", "b/00001.jpg", "b/00002.jpg", "c_left/00001.jpg"), COLUMNS)
    with pytest.raises(DataError, match=r"2 of 3 listed videos have no prediction \(b, c_left\), which is 3 of 4 rows"):
        answer_list(listed, said(a__1=(1, 0), c__1=(1, 0)), COLUMNS, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        (
            "image_location,AU2,AU1",
            ("a/00001.jpg",),
            "expected the header image_location,AU1,AU2, got image_location,AU2",
        ),
        ("image,AU1,AU2", ("a/00001.jpg",), "expected the header"),
        (HEADER, ("a/00001.jpg,0,0", "a/frame.jpg,0,0"), "line 3 is 'a/frame.jpg', expected an image such as"),
        (HEADER, ("a/00001.jpg", "", "a/00002.jpg"), "line 3 is ''"),
        (HEADER, ("a/00001.jpg", "b/00001.jpg", "a/00001.jpg"), r"line 4 lists a/00001.jpg again \(1 such lines\)"),
        (HEADER, (), "expected images, got the header alone"),
    ],
)
def test_a_list_that_is_another_file_is_refused(
    tmp_path: Path, header: str, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_list(write(tmp_path, *lines, header=header), COLUMNS)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: expected the list of test images"):
        read_list(tmp_path / "nowhere.txt", COLUMNS)
