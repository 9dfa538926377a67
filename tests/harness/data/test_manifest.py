import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from auharness.data.manifest import manifest, manifest_stat
from auharness.errors import DataError

LABELS = [Path("labels.csv")]
MEDIA = ["media/S1.avi", "media/S2.avi"]


def test_the_manifest_is_the_same_on_every_machine(frames: Any, tmp_path: Path) -> None:
    before = manifest(frames.root, LABELS, MEDIA)
    copy = shutil.copytree(frames.root, tmp_path / "elsewhere")
    os.utime(copy / "labels.csv", ns=(1, 1))
    assert manifest(copy, LABELS, [*reversed(MEDIA), *MEDIA]) == before


@pytest.mark.parametrize("file", ["labels.csv", "media/S1.avi"])
def test_the_manifest_sees_changed_labels_and_media(frames: Any, file: str) -> None:
    before = manifest(frames.root, LABELS, MEDIA)
    with (frames.root / file).open("ab") as stream:
        stream.write(b"x")
    assert manifest(frames.root, LABELS, MEDIA) != before


def test_the_manifest_sees_other_labels_read_from_the_same_files(frames: Any) -> None:
    assert len({manifest(frames.root, LABELS, MEDIA, labels=labels) for labels in ("", "a", "b")}) == 3


def test_the_manifest_names_a_missing_file(frames: Any) -> None:
    with pytest.raises(DataError, match=r"file media/S9\.avi is missing"):
        manifest(frames.root, LABELS, ["media/S9.avi"])


def test_the_key_is_stable_and_follows_links_once(frames: Any) -> None:
    (frames.root / "media" / "loop").symlink_to(frames.root)
    key = manifest_stat(frames.root, frames)
    assert key == manifest_stat(frames.root, frames) and len(key) == 32


def test_the_key_sees_media_behind_a_link(frames: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (frames.root / "more").symlink_to(disk)
    before = manifest_stat(frames.root, frames)
    (disk / "1.jpg").write_bytes(b"")
    assert manifest_stat(frames.root, frames) != before
