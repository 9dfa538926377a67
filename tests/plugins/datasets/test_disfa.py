from collections.abc import Callable
from pathlib import Path

import pytest

from auharness.errors import DataError
from auharness_plugins.datasets.disfa import DISFA, auharness_dataset

Root = Callable[..., Path]
AUS = (1, 2, 4, 6, 9, 12, 25, 26)


def message(root: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        list(DISFA(root=root).records())
    return str(caught.value).splitlines()


def sheet(root: Path, au: int, subject: str = "SN001") -> Path:
    return root / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt"


def test_an_au_occurs_from_intensity_two_on(disfa_root: Root) -> None:
    root = disfa_root({12: [0, 1, 2, 3, 4, 5]}, frames=6)
    records = list(DISFA(root=root).records())
    assert [record.labels[12] for record in records] == [0, 0, 1, 1, 1, 1]
    assert all(tuple(record.labels) == AUS for record in records)


def test_image_zero_belongs_to_label_line_one(disfa_root: Root) -> None:
    root = disfa_root({1: [5, 0, 0]}, landmarks=[0, 2])
    first, second, third = DISFA(root=root).records()
    assert (first.id, first.frame, first.media.frame) == ("disfa/SN001/1", 1, 0)
    assert first.labels[1] == 1
    assert first.landmarks is not None and third.landmarks is not None
    assert first.landmarks.path == "Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat"
    assert first.landmarks.kind == "mat66"
    assert third.landmarks.path.endswith("SN001_0002_lm.mat")
    assert second.landmarks is None


@pytest.mark.parametrize(
    ("videos", "video"),
    [
        ("Video_LeftCamera", "LeftVideoSN001_comp.avi"),
        ("Videos_LeftCamera", "LeftVideoSN001_Comp.avi"),
        ("video_leftcamera", "leftvideosn001_comp.AVI"),
    ],
)
def test_the_video_is_found_in_every_release(disfa_root: Root, videos: str, video: str) -> None:
    root = disfa_root({}, videos=videos, video=video)
    assert {record.media.path for record in DISFA(root=root).records()} == {f"{videos}/{video}"}


def test_the_right_camera_is_a_setting_and_has_no_landmarks(disfa_root: Root) -> None:
    disfa_root({}, landmarks=[0])
    root = disfa_root({}, landmarks=[0], videos="Video_RightCamera", video="RightVideoSN001_comp.avi")
    records = list(DISFA(root=root, camera="right").records())
    assert {record.media.path for record in records} == {"Video_RightCamera/RightVideoSN001_comp.avi"}
    assert all(record.landmarks is None for record in records)


def test_unsorted_lines_byte_order_mark_and_crlf_are_accepted(disfa_root: Root) -> None:
    root = disfa_root({})
    sheet(root, 4).write_bytes("\ufeff3,2\r\n1,0\r\n2,5\r\n\r\n".encode())
    assert [(r.frame, r.labels[4]) for r in DISFA(root=root).records()] == [(1, 0), (2, 1), (3, 1)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("1,0\n2,7\n3,0\n", " row 2: intensity is 7, expected 0 to 5"),
        ("1,0\n2\n3,0\n", " row 2: intensity is empty, expected 0 to 5"),
        ("1,0\n2,0,4\n3,0\n", " row 2: intensity is 0,4, expected 0 to 5"),
        ("1,0\n2,0\n2,1\n3,0\n", " row 3: frame is 2 again, expected each frame once"),
        ("0,0\n1,0\n2,0\n3,0\n", " row 1: frame is 0, expected a number from 1"),
        ("1,0\n3,0\n", ": frame 2 is missing, expected a line for every frame of the other AUs"),
        ("", ": file is without a sound line, expected lines such as 1,0"),
    ],
)
def test_a_bad_line_is_named_by_file_and_row(disfa_root: Root, content: str, line: str) -> None:
    root = disfa_root({})
    sheet(root, 9).write_text(content)
    summary, problem = message(root)
    assert summary.startswith("disfa: 1 problem in 1 file; ") and str(root) in summary
    assert problem == f"  ActionUnit_Labels/SN001/SN001_au9.txt{line}"


def test_every_problem_of_every_subject_is_listed(disfa_root: Root) -> None:
    disfa_root({1: [0, 6, 0], 2: [9, 0, 0]})
    root = disfa_root({25: [0, 0, 8]}, subject="SN002", video="LeftVideoSN003_comp.avi")
    sheet(root, 26, "SN002").unlink()
    assert message(root)[1:] == [
        "  ActionUnit_Labels/SN001/SN001_au1.txt row 2: intensity is 6, expected 0 to 5",
        "  ActionUnit_Labels/SN001/SN001_au2.txt row 1: intensity is 9, expected 0 to 5",
        "  ActionUnit_Labels/SN002: video is missing, expected Video_LeftCamera/LeftVideoSN002_comp.avi",
        "  ActionUnit_Labels/SN002/SN002_au25.txt row 3: intensity is 8, expected 0 to 5",
        "  ActionUnit_Labels/SN002/SN002_au26.txt: label file is missing, expected one file per AU",
    ]


def test_label_files_of_unread_aus_are_no_label_files(disfa_root: Root) -> None:
    root = disfa_root({})
    sheet(root, 5).write_text("broken")
    assert len(list(DISFA(root=root).records())) == 3
    assert [file.name for file in DISFA(root=root).label_files()] == [f"SN001_au{au}.txt" for au in AUS]


def test_a_wrong_root_is_one_line_that_names_what_is_missing_and_where(disfa_root: Root, tmp_path: Path) -> None:
    (line,) = message(tmp_path)
    assert line.startswith(f"disfa: no ActionUnit_Labels/SN*/SN*_au*.txt in {tmp_path}; expected ActionUnit_Labels/")
    root = disfa_root({}, videos="Video_RightCamera", video="RightVideoSN001_comp.avi")
    (line,) = message(root)
    assert f"no Video_LeftCamera folder in {root}" in line


def test_published_counts_are_those_of_the_27_subjects(tmp_path: Path) -> None:
    counts = DISFA(root=tmp_path).published_counts()
    assert len(counts) == 27
    assert sum(frames for frames, _ in counts.values()) == 27 * 4845 - 1
    assert sum(positives[25] for _, positives in counts.values()) == 10_850 + 13_206 + 12_191


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is DISFA and DISFA.name == "disfa"
