import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from auharness.data.landmarks import KINDS, MEAN_SHAPE, load_landmarks, usable
from auharness.data.landmarks.npz import LandmarkTable, read_npz, write_npz
from auharness.errors import DataError, UsageError
from auharness.records import LandmarkFile

FACE = (MEAN_SHAPE * 100 + 20).astype(np.float32)
IMAGE = np.zeros((150, 150, 3), np.uint8)


def without_corners():
    return np.delete(FACE, [60, 64], axis=0)


def table(**changes):
    columns = {"frame": np.array([7, 3]), "points": np.stack([FACE, FACE + 1]), "valid": np.array([True, False])}
    return {**columns, **changes}


def test_disfa_mat_files_give_68_points(tmp_path):
    savemat(tmp_path / "SN001_0000_lm.mat", {"pts": without_corners().astype(np.float64)})
    points = load_landmarks(tmp_path, LandmarkFile("SN001_0000_lm.mat", "mat66", 0))
    assert np.allclose(points, FACE, atol=1e-3)


def test_pts_files_give_68_points(tmp_path):
    rows = "\n".join(f"{x} {y}" for x, y in without_corners()[17:])
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points: 49\n{{\n{rows}\n}}\n")
    points = load_landmarks(tmp_path, LandmarkFile("a.pts", "pts49", 0))
    assert np.allclose(points, FACE, atol=1e-2)


def test_npz_rows_are_found_by_frame_and_an_invalid_row_is_no_face(tmp_path):
    np.savez(tmp_path / "T1.npz", **table())
    assert np.array_equal(load_landmarks(tmp_path, LandmarkFile("T1.npz", "npz68", 7)), FACE)
    assert load_landmarks(tmp_path, LandmarkFile("T1.npz", "npz68", 3)) is None
    with pytest.raises(DataError, match=r"T1\.npz: expected a row for frame 4"):
        load_landmarks(tmp_path, LandmarkFile("T1.npz", "npz68", 4))


def test_an_npz_file_is_read_again_after_a_change(tmp_path):
    np.savez(tmp_path / "T1.npz", **table())
    load_landmarks(tmp_path, LandmarkFile("T1.npz", "npz68", 7))
    np.savez(tmp_path / "T1.npz", **table(points=np.stack([FACE + 5, FACE])))
    os.utime(tmp_path / "T1.npz", ns=(1, 1))
    assert np.array_equal(load_landmarks(tmp_path, LandmarkFile("T1.npz", "npz68", 7)), FACE + 5)


def test_what_is_written_to_npz_is_read_back_and_nothing_else_is_left(tmp_path):
    written = LandmarkTable(np.array([1, 2], np.int32), np.stack([FACE, FACE]), np.array([True, False]))
    write_npz(tmp_path / "F001" / "T1.npz", written)
    read = read_npz(tmp_path / "F001" / "T1.npz")
    assert np.array_equal(read.frame, written.frame) and read.frame.dtype == np.int32
    assert np.array_equal(read.points, written.points) and np.array_equal(read.valid, written.valid)
    assert [path.name for path in (tmp_path / "F001").iterdir()] == ["T1.npz"]


@pytest.mark.parametrize(
    "changes",
    [
        {"points": np.zeros((2, 66, 2))},
        {"valid": np.array([True])},
        {"frame": np.array([3, 3])},
        {"frame": np.array(3)},
    ],
)
def test_npz_files_of_another_shape_are_refused(tmp_path, changes):
    np.savez(tmp_path / "T1.npz", **table(**changes))
    with pytest.raises(DataError, match=r"T1\.npz: expected"):
        read_npz(tmp_path / "T1.npz")


@pytest.mark.parametrize("kind", ["mat66", "pts66", "npz68"])
@pytest.mark.parametrize("content", [b"", b"garbage that is no landmark file", b"PK\x03\x04 cut off"])
def test_files_that_cannot_be_read_are_errors_that_name_them(tmp_path, kind, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.bin"):
        load_landmarks(tmp_path, LandmarkFile("x.bin", kind, 0))


def test_a_mat_file_that_ends_early_is_an_error(tmp_path):
    savemat(tmp_path / "a.mat", {"pts": without_corners().astype(np.float64)})
    data = (tmp_path / "a.mat").read_bytes()
    for length in range(100, len(data), 150):
        (tmp_path / "a.mat").write_bytes(data[:length])
        with pytest.raises(DataError, match=r"a\.mat"):
            load_landmarks(tmp_path, LandmarkFile("a.mat", "mat66", 0))


def test_a_mat_file_with_another_variable_or_count_is_an_error(tmp_path):
    savemat(tmp_path / "a.mat", {"points": FACE})
    savemat(tmp_path / "b.mat", {"pts": FACE})
    with pytest.raises(DataError, match="expected a variable 'pts'"):
        load_landmarks(tmp_path, LandmarkFile("a.mat", "mat66", 0))
    with pytest.raises(DataError, match=r"66x2, got 68x2"):
        load_landmarks(tmp_path, LandmarkFile("b.mat", "mat66", 0))


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_no_face(tmp_path, kind):
    assert load_landmarks(tmp_path, LandmarkFile("none", kind, 0)) is None


@pytest.mark.parametrize(
    "points", [np.zeros_like(FACE), np.full_like(FACE, np.nan), FACE - 300], ids=["zeros", "nan", "outside"]
)
def test_points_that_are_no_face_count_as_missing(points):
    assert not usable(points, IMAGE.shape[:2])
    assert usable(FACE, IMAGE.shape[:2]) and usable(FACE - 300)


def test_an_unknown_kind_is_a_usage_error_with_the_near_name():
    with pytest.raises(UsageError, match="did you mean 'mat66'"):
        load_landmarks(Path(), LandmarkFile("a", "mat-66", 0))
