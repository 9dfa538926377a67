import errno
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from auharness.data import cache as cache_module
from auharness.data.align import align_face
from auharness.data.cache import CropCache, CropSettings, cache_key
from auharness.data.decode import read_image
from auharness.data.landmarks import MEAN_SHAPE, central_box, place_mean_shape
from auharness.data.landmarks.npz import LandmarkTable, write_npz
from auharness.errors import DataError, UsageError
from auharness.records import FrameRecord, LandmarkFile, Media

SETTINGS = CropSettings(size=32)
FACE = (MEAN_SHAPE * 60 + 18).astype(np.float32)


def stills(root, name="F001/T1", count=4, *, without_face=()):
    """Write `count` pictures and one landmark file; return their records, labelled from frame 10."""
    (root / name).mkdir(parents=True, exist_ok=True)
    frames = range(10, 10 + count)
    for frame in frames:
        pixels = np.random.default_rng(frame).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(root / name / f"{frame}.jpg"), cv2.resize(pixels, (96, 96)))
    points = np.stack([FACE + i for i in range(count)])
    valid = np.array([frame not in without_face for frame in frames])
    write_npz(root / f"{name}.npz", LandmarkTable(np.array(frames), points, valid))
    marks = (LandmarkFile(f"{name}.npz", "npz68", frame) for frame in frames)
    return [
        FrameRecord("bp4d", name.split("/")[0], name, frame, Media(f"{name}/{frame}.jpg"), {1: 0}, mark)
        for frame, mark in zip(frames, marks, strict=True)
    ]


def filmed(root, path, count):
    """Write a video whose frame i has brightness 20 i; records are labelled from 1."""
    with av.open(str(root / path), "w") as container:
        stream = container.add_stream("mjpeg", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuvj420p"
        for i in range(count):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((96, 96, 3), 20 * i, np.uint8), format="rgb24"))
            )
        container.mux(stream.encode())
    return [FrameRecord("disfa", "SN001", "SN001", i + 1, Media(path, i), {}) for i in range(count)]


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_crops_are_the_aligned_faces_in_frame_order(tmp_path):
    records = stills(tmp_path)
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "F001/T1", records[::-1], SETTINGS)
    assert (report.n, report.n_no_face, report.n_bad, report.cached) == (4, 0, 0, False)
    crops = cache.sequence("F001/T1")
    assert crops.frames.tolist() == [10, 11, 12, 13] and crops.valid.all()
    assert isinstance(crops.images, np.memmap) and isinstance(crops.landmarks, np.memmap)
    for i, record in enumerate(records):
        image, points = align_face(read_image(tmp_path / record.media.path), FACE + i, method="ffhq", size=32)
        assert np.array_equal(crops.images[i], image) and np.array_equal(crops.landmarks[i], points)


def test_a_finished_sequence_is_not_touched_again(tmp_path, monkeypatch):
    records = stills(tmp_path)
    cache = CropCache(tmp_path / "cache")
    first = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    monkeypatch.setattr(cache_module, "write_crops", lambda *_: pytest.fail("made again"))
    again = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert again == replace(first, cached=True)
    part = cache.prepare_sequence(tmp_path, "F001/T1", records[1:3], SETTINGS)
    assert (part.n, part.cached) == (2, True)


def test_a_missing_face_is_an_explicit_row_with_the_mean_shape(tmp_path):
    records = stills(tmp_path, without_face={11})
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert (report.n, report.n_no_face) == (4, 1)
    assert cache.prepare_sequence(tmp_path, "F001/T1", records[1:2], SETTINGS).n_no_face == 1
    crops = cache.sequence("F001/T1")
    assert crops.valid.tolist() == [True, False, True, True]
    shape = place_mean_shape(central_box(96, 96))
    _, expected = align_face(np.zeros((96, 96, 3), np.uint8), shape, method="ffhq", size=32)
    assert np.array_equal(crops.landmarks[1], expected)


def test_a_bad_frame_is_left_out_listed_and_read_again_once_repaired(tmp_path):
    records = stills(tmp_path)
    picture = tmp_path / records[2].media.path
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert (report.n, report.n_bad) == (3, 1)
    assert (
        report.bad[0].frame == 12 and report.bad[0].path == "F001/T1/12.jpg" and "ends early" in report.bad[0].message
    )
    assert cache.sequence("F001/T1").frames.tolist() == [10, 11, 13]
    assert cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS).cached
    assert cache.prepare_sequence(tmp_path, "F001/T1", records[:2], SETTINGS).n_bad == 0
    picture.write_bytes(whole)
    repaired = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert (repaired.n, repaired.n_bad, repaired.cached) == (4, 0, False)
    assert len(cache.sequence("F001/T1").images) == 4


def test_video_rows_carry_their_own_frame(tmp_path):
    records = filmed(tmp_path, "left.avi", 10)[1::2]
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "SN001", records, SETTINGS)
    crops = cache.sequence("SN001")
    assert (report.n, report.n_no_face) == (5, 5)
    assert crops.frames.tolist() == [2, 4, 6, 8, 10]
    assert [round(float(image.mean()) / 20) for image in crops.images] == [1, 3, 5, 7, 9]


def test_an_empty_video_is_one_fault_of_all_its_frames(tmp_path):
    records = filmed(tmp_path, "left.avi", 3)
    (tmp_path / "left.avi").write_bytes(b"")
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "SN001", records, SETTINGS)
    assert (report.n, report.n_bad) == (0, 3) and len({bad.message for bad in report.bad}) == 1
    assert cache.sequence("SN001").images.shape == (0, 32, 32, 3)


def test_another_camera_or_offset_under_the_same_key_is_made_anew(tmp_path):
    left, right = filmed(tmp_path, "left.avi", 6), filmed(tmp_path, "right.avi", 6)
    cache = CropCache(tmp_path / "cache")
    cache.prepare_sequence(tmp_path, "SN001", left, SETTINGS)
    assert not cache.prepare_sequence(tmp_path, "SN001", right, SETTINGS).cached
    shifted = [replace(record, media=Media("right.avi", record.media.frame - 1)) for record in right[1:]]
    assert not cache.prepare_sequence(tmp_path, "SN001", shifted, SETTINGS).cached
    assert round(float(cache.sequence("SN001").images[0].mean())) == 0


def test_a_changed_landmark_file_is_read_again(tmp_path):
    records = stills(tmp_path)
    cache = CropCache(tmp_path / "cache")
    cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    table = LandmarkTable(np.arange(10, 14), np.stack([FACE] * 4), np.zeros(4, bool))
    write_npz(tmp_path / "F001/T1.npz", table)
    assert cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS).n_no_face == 4


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_cache
from auharness.data import cache
def die(name):
    if name == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)
cache.write_point = die
root = Path(sys.argv[2])
cache.CropCache(Path(sys.argv[3])).prepare_sequence(root, "F001/T1", test_cache.stills(root), test_cache.SETTINGS)
"""


@pytest.mark.parametrize("point", ["crops:written", "crops:renamed"])
def test_after_a_kill_at_any_point_the_result_is_that_of_an_undisturbed_run(tmp_path, point):
    records = stills(tmp_path)
    here = str(Path(__file__).parent)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, here, str(tmp_path), str(tmp_path / "cache"), point], check=False
    )
    assert ended.returncode == -9
    cache = CropCache(tmp_path / "cache")
    if point != "crops:renamed":
        with pytest.raises(DataError, match="expected the crops of sequence F001/T1"):
            cache.sequence("F001/T1")
        assert [path.name.startswith(".T1.crops.") for path in (tmp_path / "cache/F001").iterdir()] == [True]
    report = cache.prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert report.cached == (point == "crops:renamed")
    CropCache(tmp_path / "calm").prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert content(tmp_path / "cache") == content(tmp_path / "calm")


def test_a_half_written_leftover_of_a_dead_process_is_cleared_away(tmp_path):
    records = stills(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leftover = tmp_path / "cache" / "F001" / f".T1.crops.{socket.gethostname()}.{dead.pid}"
    leftover.mkdir(parents=True)
    (leftover / "images.npy").write_bytes(b"half")
    report = CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert report.n == 4 and not leftover.exists()


def test_a_leftover_of_a_living_process_is_kept(tmp_path):
    records = stills(tmp_path)
    living = tmp_path / "cache" / "F001" / f".T1.crops.{socket.gethostname()}.{os.getppid()}"
    living.mkdir(parents=True)
    CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    assert living.is_dir()


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "write_crops", full)
    with pytest.raises(DataError, match="disk full"):
        CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", stills(tmp_path), SETTINGS)
    assert content(tmp_path / "cache") == {}


def test_landmark_files_that_are_all_missing_are_an_error_rather_than_a_fallback(tmp_path):
    records = stills(tmp_path)
    (tmp_path / "F001/T1.npz").unlink()
    with pytest.raises(DataError, match=r"sequence F001/T1: expected landmark files such as .*T1\.npz"):
        CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)


def test_a_frame_that_occurs_twice_is_refused(tmp_path):
    records = stills(tmp_path)
    with pytest.raises(DataError, match="frame 11 occurs twice"):
        CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", [*records, records[1]], SETTINGS)


@pytest.mark.parametrize("name", ["../x", "a//b", "", "/a", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="expected a name of folders"):
        CropCache(tmp_path).sequence(name)


def test_the_key_holds_all_that_changes_a_crop_and_nothing_else():
    keys = {
        cache_key(settings, digest)
        for digest in ("a", "b")
        for settings in (
            SETTINGS,
            replace(SETTINGS, size=33),
            replace(SETTINGS, method="none"),
            replace(SETTINGS, landmarks="haar"),
        )
    }
    assert len(keys) == 8 and all(len(key) == 16 for key in keys)
    assert cache_key(replace(SETTINGS, on_bad_frame="drop"), "a") == cache_key(SETTINGS, "a")


@pytest.mark.parametrize("wrong", [{"method": "fhq"}, {"size": 7}, {"on_bad_frame": "ignore"}])
def test_settings_out_of_range_are_usage_errors(wrong):
    with pytest.raises(UsageError, match="expected"):
        CropSettings(**wrong)


def test_the_description_says_how_the_crops_were_made(tmp_path):
    CropCache(tmp_path / "cache").prepare_sequence(tmp_path, "F001/T1", stills(tmp_path), SETTINGS)
    meta = json.loads((tmp_path / "cache/F001/T1.crops/meta.json").read_text())
    assert (meta["method"], meta["size"], meta["landmarks"], meta["n"]) == ("ffhq", 32, "vendor", 4)
    assert "opencv" in meta["decoders"] and "pyav" in meta["decoders"]
