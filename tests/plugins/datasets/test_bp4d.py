from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness.errors import DataError
from auharness_plugins.datasets.bp4d import BP4D, auharness_dataset

Root = Callable[..., Path]
AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)


def row(frame: int | str, **values: int | str) -> list[object]:
    """A row in the order of the header 0,1,2,4,5,6,7,10,...; AU5 is in the file and must not be read."""
    cells = {f"AU{au}": 0 for au in (1, 2, 4, 5, 6, 7, 10, 12, 14, 15, 17, 23, 24)} | values
    return [frame, *cells.values()]


def message(root: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        list(BP4D(root=root).records())
    return str(caught.value).splitlines()


def test_records_follow_the_sheet(bp4d_root: Root) -> None:
    root = bp4d_root([row(2440, AU1=1, AU5=1), row(2441, AU12=1, AU24=9)])
    first, second = BP4D(root=root).records()
    assert (first.id, first.subject, first.sequence, first.frame) == ("bp4d/F001/T1/2440", "F001", "F001/T1", 2440)
    assert first.media.path == "2D+3D/F001/T1/2440.jpg" and first.media.frame is None
    assert first.labels == {au: int(au == 1) for au in AUS}
    assert second.labels == {au: int(au == 12) for au in AUS} | {24: -1}
    assert first.landmarks is None


def test_columns_are_found_by_header_name_in_any_order(bp4d_root: Root) -> None:
    header = ["24", "12", "5", "0", "1", "2", "4", "6", "7", "10", "14", "15", "17", "23"]
    root = bp4d_root([[1, 0, 1, 7, 1, *[0] * 9]], header=header)
    (record,) = BP4D(root=root).records()
    assert record.frame == 7
    assert [au for au, value in record.labels.items() if value == 1] == [1, 24]


@pytest.mark.parametrize("stem", ["{}", "{:04d}", "{:05d}"])
@pytest.mark.parametrize("images", ["2D+3D", "Sequences(2D+3D)", "2d+3d"])
def test_images_match_by_number_in_every_release(bp4d_root: Root, stem: str, images: str) -> None:
    root = bp4d_root([row(643)], stem=stem, images=images)
    (record,) = BP4D(root=root).records()
    assert record.media.path == f"{images}/F001/T1/{stem.format(643)}.jpg"
    assert (root / record.media.path).is_file()


def test_byte_order_mark_and_crlf_are_accepted(bp4d_root: Root) -> None:
    root = bp4d_root([row(1, AU2=1), row(2)], newline="\r\n", bom=True)
    assert [record.labels[2] for record in BP4D(root=root).records()] == [1, 0]


def test_unsorted_rows_are_sorted_by_frame(bp4d_root: Root) -> None:
    root = bp4d_root([row(12, AU1=1), row(9), row(10)])
    assert [(r.frame, r.labels[1]) for r in BP4D(root=root).records()] == [(9, 0), (10, 0), (12, 1)]


def test_rows_without_any_code_are_left_out_and_need_no_image(bp4d_root: Root) -> None:
    nothing = {f"AU{au}": 9 for au in AUS}
    root = bp4d_root([row(1, **nothing), row(2)], frames=[2])
    assert [record.frame for record in BP4D(root=root).records()] == [2]


def test_landmark_cache_is_used_where_it_lies(bp4d_root: Root) -> None:
    root = bp4d_root([row(5)])
    cache = root / "landmarks" / "F001" / "T1.npz"
    cache.parent.mkdir(parents=True)
    np.savez(cache, frame=[5], points=np.zeros((1, 68, 2)), valid=[True])
    (record,) = BP4D(root=root).records()
    assert record.landmarks is not None
    assert (record.landmarks.path, record.landmarks.kind, record.landmarks.frame) == (
        "landmarks/F001/T1.npz",
        "npz68",
        5,
    )


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([row(1), row(2, AU12=7)], "row 3: AU12 is 7, expected 0, 1 or 9 (not coded)"),
        ([row(1), row(2, AU4="")], "row 3: AU4 is empty, expected 0, 1 or 9 (not coded)"),
        ([row(1)[:-1]], "row 2: AU24 is empty, expected 0, 1 or 9 (not coded)"),
        ([row(1), row(2), row(1)], "row 4: frame is 1, as in row 2, expected each frame once"),
        ([row(1), row("x2")], "row 3: frame is x2, expected a number"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(bp4d_root: Root, rows: list[list[object]], line: str) -> None:
    root = bp4d_root(rows, frames=[1, 2])
    summary, problem = message(root)
    assert summary.startswith("bp4d: 1 problem in 1 file; ") and str(root) in summary
    assert problem == f"  AUCoding/AU_OCC/F001_T1.csv {line}"


def test_every_bad_row_of_every_sheet_is_listed(bp4d_root: Root) -> None:
    bp4d_root([row(1, AU1=7), row(2, AU6=8, AU7="a")])
    root = bp4d_root([row(1), row(1)], sequence="M002_T3")
    summary, *problems = message(root)
    assert summary.startswith("bp4d: 4 problems in 2 files; ")
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "AUCoding/AU_OCC/F001_T1.csv row 2",
        "AUCoding/AU_OCC/F001_T1.csv row 3",
        "AUCoding/AU_OCC/F001_T1.csv row 3",
        "AUCoding/AU_OCC/M002_T3.csv row 3",
    ]


def test_missing_and_repeated_columns_are_listed(bp4d_root: Root) -> None:
    root = bp4d_root([[1, *[0] * 12]], header=["0", "1", "2", "4", "6", "7", "10", "12", "14", "15", "17", "23", "23"])
    _, *problems = message(root)
    assert problems == [
        "  AUCoding/AU_OCC/F001_T1.csv row 1: header '23' is there twice, expected one column for AU23",
        "  AUCoding/AU_OCC/F001_T1.csv row 1: header '24' is missing, expected one column for AU24",
    ]


def test_a_sheet_without_frame_column_or_empty_is_listed(bp4d_root: Root) -> None:
    root = bp4d_root([[1]], header=["frame"], frames=[1])
    assert "  AUCoding/AU_OCC/F001_T1.csv row 1: header '0' is missing, expected one frame column" in message(root)
    (root / "AUCoding" / "AU_OCC" / "F001_T1.csv").write_text("")
    assert "  AUCoding/AU_OCC/F001_T1.csv row 1: header '0' is missing, expected one frame column" in message(root)


def test_a_coded_frame_without_image_or_with_two_is_listed(bp4d_root: Root) -> None:
    root = bp4d_root([row(8), row(9)], frames=[9])
    bp4d_root([row(8), row(9)], frames=[9], stem="{:04d}")
    assert message(root)[1:] == [
        "  AUCoding/AU_OCC/F001_T1.csv row 2: image is missing, expected one 8.jpg in 2D+3D/F001/T1",
        "  AUCoding/AU_OCC/F001_T1.csv row 3: image is 0009.jpg and 9.jpg, expected one 9.jpg in 2D+3D/F001/T1",
    ]


def test_a_sheet_without_image_folder_or_with_a_strange_name_is_listed(bp4d_root: Root) -> None:
    root = bp4d_root([row(1)])
    bp4d_root([row(1)], sequence="M001_T2", frames=[])
    (root / "AUCoding" / "AU_OCC" / "copy of F001.csv").write_text("0\n")
    assert message(root)[1:] == [
        "  AUCoding/AU_OCC/M001_T2.csv: image folder is missing, expected 2D+3D/M001/T2",
        "  AUCoding/AU_OCC/copy of F001.csv: file name is copy of F001.csv, expected such as F001_T1.csv",
    ]


def test_a_wrong_root_is_one_line_that_names_what_is_missing_and_where(bp4d_root: Root, tmp_path: Path) -> None:
    (line,) = message(tmp_path)
    assert line.startswith(
        f"bp4d: no AUCoding/AU_OCC/*.csv in {tmp_path}; expected AUCoding/AU_OCC/F001_T1.csv and 2D+3D"
    )
    assert line.endswith("--data-root bp4d=PATH")
    (line,) = message(tmp_path / "nowhere")
    assert "nowhere, which is not a folder" in line
    bp4d_root([row(1)], frames=[])
    (line,) = message(tmp_path)
    assert f"no 2D+3D folder in {tmp_path}" in line


def test_label_files_are_the_sheets_only(bp4d_root: Root) -> None:
    root = bp4d_root([row(1)])
    (root / "notes.txt").write_text("x")
    (root / "AUCoding" / "AU_OCC" / "._F001_T1.csv").write_bytes(b"\x00\x05")
    assert BP4D(root=root).label_files() == [Path("AUCoding/AU_OCC/F001_T1.csv")]


def test_published_counts_are_those_of_the_41_subjects(tmp_path: Path) -> None:
    counts = BP4D(root=tmp_path).published_counts()
    assert len(counts) == 41
    assert sum(frames for frames, _ in counts.values()) == 146_847
    assert sum(positives[12] for _, positives in counts.values()) == 28_277 + 26_187 + 28_066
    assert all(tuple(positives) == AUS for _, positives in counts.values())


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is BP4D and BP4D.name == "bp4d"
