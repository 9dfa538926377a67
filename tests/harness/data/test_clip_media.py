from pathlib import Path

import pytest

from auharness.data.clip_media import ClipMedia
from auharness.data.problems import Problems
from auharness.records import Media


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_padded_folders_come_first_and_empty_ones_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path / "clips/7/1.jpg", tmp_path / "clips/00008/1.jpg", tmp_path / "clips/8/1.jpg")
    (tmp_path / "clips/00007").mkdir()
    media, problems = ClipMedia(tmp_path, "clips", digits=5), Problems("dfew")
    assert media.read(7, problems) == {1: Media("clips/7/1.jpg")}
    assert media.read(8, problems) == {1: Media("clips/00008/1.jpg")}
    assert media.read(9, problems) == {} and problems.items == []
    assert media.names(7) == ("00007", "7", "00007.mp4", "7.mp4", "00007.avi", "7.avi")


@pytest.mark.parametrize("pattern", ["{}.jpg", "{:05d}.JPG", "00310_{:05d}.jpeg", "frame-{}.png"])
def test_frames_are_ordered_by_number_and_not_by_name(tmp_path: Path, pattern: str) -> None:
    touch(*(tmp_path / "clips/00310" / pattern.format(number) for number in (10, 9, 100)))
    touch(tmp_path / "clips/00310/notes.txt", tmp_path / "clips/00310/.1.jpg")
    found = ClipMedia(tmp_path, "clips", digits=5).read(310, Problems("dfew"))
    assert list(found) == [9, 10, 100] and found[9] == Media(f"clips/00310/{pattern.format(9)}")
