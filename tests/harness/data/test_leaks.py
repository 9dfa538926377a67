from pathlib import Path
from typing import Any

from auharness.data.index import build_index
from auharness.data.leaks import Twin, known_overlaps, shared_test_keys, twin_media
from auharness.records import Fold


def test_equal_files_of_two_subjects_are_found(clips: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    for name in ("c1/1.jpg", "c2/2.jpg", "c3/1.jpg"):
        (clips.root / name).write_bytes(content)
    # as large and equal in the middle, but not the same
    (clips.root / "c1" / "2.jpg").write_bytes(b"x" + content[1:])
    found = twin_media(build_index(clips, cache=tmp_path))
    # c2 and c3 belong to S2, so their equal files are no leak between each other
    owners = (("clips", "S1"), ("clips", "S2"))
    assert found == [
        Twin("clips/c1/1.jpg", "clips/c2/2.jpg", owners),
        Twin("clips/c1/1.jpg", "clips/c3/1.jpg", owners),
    ]


def test_equal_files_of_one_subject_are_no_leak(clips: Any, tmp_path: Path) -> None:
    for name in ("c2/1.jpg", "c3/1.jpg"):
        (clips.root / name).write_bytes(b"same")
    assert twin_media(build_index(clips, cache=tmp_path)) == []


def test_videos_of_frame_datasets_are_compared_once(frames: Any, tmp_path: Path) -> None:
    for subject in ("S1", "S2"):
        (frames.root / "media" / f"{subject}.avi").write_bytes(b"same video")
    told: list[tuple[int, int]] = []
    found = twin_media(build_index(frames, cache=tmp_path), progress=lambda *state: told.append(state))
    assert [(twin.first, twin.second) for twin in found] == [("frames/media/S1.avi", "frames/media/S2.avi")]
    assert told == [(2, 2)]


def fold(name: str, test: str) -> Fold:
    return Fold(name, frozenset({("x", "train")}), frozenset(("x", subject) for subject in test))


def test_a_key_of_two_test_parts_is_found() -> None:
    assert shared_test_keys([fold("P1", "AB"), fold("P2", "BC"), fold("P3", "D")]) == [(("x", "B"), ("P1", "P2"))]


def test_equal_test_parts_are_no_leak() -> None:
    assert shared_test_keys([fold("P1+P2", "AB"), fold("P1+P3", "AB")]) == []


def test_known_overlaps_are_found_from_either_side() -> None:
    (overlap,) = known_overlaps(["disfa-plus"])
    assert (overlap.dataset, overlap.other, overlap.subjects) == ("disfa", "disfa-plus", 9)
    assert {row.other for row in known_overlaps(["bp4d"])} == {"fera2015", "fera2017", "bp4d-plus"}
    assert known_overlaps(["none"]) == []
