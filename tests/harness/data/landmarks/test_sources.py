import numpy as np
import pytest

from auharness.data.landmarks import MEAN_SHAPE, make_source, source_version
from auharness.data.landmarks.npz import LandmarkTable, write_npz
from auharness.errors import DataError, UsageError
from auharness.records import FrameRecord, LandmarkFile, Media

FACE = (MEAN_SHAPE * 100 + 20).astype(np.float32)
IMAGE = np.zeros((150, 150, 3), np.uint8)


def record(frame, landmarks=None):
    return FrameRecord("bp4d", "F001", "F001/T1", frame, Media("a.jpg"), {}, landmarks)


def rows(folder, points):
    write_npz(
        folder / "F001" / "T1.npz", LandmarkTable(np.array([7, 8]), np.stack([points, points]), np.array([True, False]))
    )


def test_vendor_reads_the_file_of_the_record_and_none_is_no_face(tmp_path):
    rows(tmp_path, FACE)
    vendor = make_source("vendor")
    assert np.array_equal(vendor(tmp_path, record(7, LandmarkFile("F001/T1.npz", "npz68", 7)), IMAGE), FACE)
    assert vendor(tmp_path, record(7), IMAGE) is None


def test_npz_folder_is_looked_up_by_sequence_and_frame(tmp_path):
    rows(tmp_path, FACE)
    source = make_source(f"npz:{tmp_path}")
    assert np.array_equal(source(tmp_path, record(7), IMAGE), FACE)
    assert source(tmp_path, record(8), IMAGE) is None
    (tmp_path / "F001" / "T1.npz").unlink()
    with pytest.raises(DataError, match="expected the landmarks of sequence F001/T1"):
        source(tmp_path, record(7), IMAGE)


def test_the_version_of_an_npz_folder_is_its_content_not_its_place(tmp_path):
    rows(tmp_path / "a", FACE)
    rows(tmp_path / "b", FACE)
    same = source_version(f"npz:{tmp_path / 'a'}")
    assert same == source_version(f"npz:{tmp_path / 'b'}")
    rows(tmp_path / "b", FACE + 1)
    assert same != source_version(f"npz:{tmp_path / 'b'}")


def test_mean_shape_never_finds_a_face(tmp_path):
    assert make_source("mean-shape")(tmp_path, record(1), IMAGE) is None


def test_a_missing_folder_and_an_unknown_name_are_errors(tmp_path):
    with pytest.raises(DataError, match="expected a folder of npz files"):
        make_source(f"npz:{tmp_path / 'none'}")
    with pytest.raises(UsageError, match="did you mean 'haar'"):
        make_source("har")
    with pytest.raises(UsageError, match="mediapipe:d"):
        make_source("mediapipe:d")
