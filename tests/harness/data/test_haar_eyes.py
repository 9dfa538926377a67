import cv2
import numpy as np
import pytest
from skimage import data

from auharness.data.cache import CropCache
from auharness.data.crops import CropSettings
from auharness.data.haar_eyes import MARGIN, Pose, align_by_pose, find_pose, pose_matrix, steady
from auharness.data.landmarks import MEAN_SHAPE
from auharness.data.landmarks.mean_shape import transform
from auharness.records import FrameRecord, Media

NAN = np.nan


def turned(degrees: float, side: int = 220) -> np.ndarray:
    """The face of the astronaut, turned clockwise."""
    image = data.astronaut()
    matrix = cv2.getRotationMatrix2D((224, 112), -degrees, 1.0)
    return cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REFLECT)[: 2 * side, 4 : 4 + 2 * side]


@pytest.fixture(scope="module")
def poses() -> dict[int, Pose]:
    return {degrees: find_pose(turned(degrees)) for degrees in (-12, 0, 12)}


def test_a_turned_face_has_its_tilt_found(poses):
    # the eyes of the picture itself tilt by what is found at 0
    for degrees in (-12, 12):
        assert poses[degrees][3] - poses[0][3] == pytest.approx(degrees, abs=5)


def test_the_crop_of_a_turned_face_is_upright(poses):
    straight, _ = align_by_pose(turned(0), None, poses[0], size=96)
    leaning, _ = align_by_pose(turned(12), None, poses[12], size=96)
    again = find_pose(cv2.resize(leaning, (288, 288)))
    assert abs(again[3]) < 5
    assert np.abs(leaning[20:76, 20:76].astype(float) - straight[20:76, 20:76]).mean() < 45


def test_a_picture_without_a_face_has_no_pose():
    assert np.isnan(find_pose(np.full((120, 120, 3), 128, np.uint8))).all()


@pytest.mark.parametrize("tilt", [NAN, 0.0, 17.0])
def test_landmarks_and_pixels_move_alike(tilt):
    pose = np.array([30.0, 40.0, 80.0, tilt, 72.0 if tilt == tilt else NAN, 65.0 if tilt == tilt else NAN])
    point = np.array([[80.0, 90.0]], np.float32)
    rows, columns = np.mgrid[:150, :160]
    spot = 255 * np.exp(-((columns - 80) ** 2 + (rows - 90) ** 2) / 18)
    image = np.repeat(spot[..., None], 3, -1).astype(np.uint8)
    for size in (64, 200):
        crop, moved = align_by_pose(image, point, pose, size=size)
        rows_, columns_ = np.mgrid[:size, :size]
        weight = crop[..., 0].astype(float)
        centre = [(columns_ * weight).sum() / weight.sum(), (rows_ * weight).sum() / weight.sum()]
        assert np.abs(moved[0] - centre).max() < 0.3


def test_the_crop_is_the_box_with_its_margin_and_the_eyes_become_level():
    matrix = pose_matrix(np.array([100.0, 50.0, 200.0, NAN, NAN, NAN]), size=128)
    edge = 200 * MARGIN
    corners = transform(matrix, [[100 - edge - 0.5, 50 - edge - 0.5], [300 + edge - 0.5, 250 + edge - 0.5]])
    assert np.allclose(corners, [[-0.5, -0.5], [127.5, 127.5]], atol=1e-4)
    left, right = np.array([160.0, 110.0]), np.array([240.0, 140.0])
    tilt = np.rad2deg(np.arctan2(30, 80))
    matrix = pose_matrix(np.array([100.0, 50.0, 200.0, tilt, 200.0, 125.0]), size=128)
    eyes = transform(matrix, [left, right])
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-4)
    assert eyes[1, 0] - eyes[0, 0] == pytest.approx(np.hypot(30, 80) * 128 / 260, abs=1e-3)


def test_points_that_no_source_gives_are_the_mean_shape_in_the_box():
    image = np.zeros((300, 300, 3), np.uint8)
    for tilt in (0.0, 20.0):
        _, points = align_by_pose(image, None, np.array([60.0, 60.0, 130.0, tilt, 125.0, 100.0]), size=130)
        box = 130 / (1 + 2 * MARGIN)
        assert np.allclose(points, MARGIN * box + box * MEAN_SHAPE - 0.5, atol=1e-3)


def test_medians_of_five_frames_hide_a_jump_and_fill_a_gap():
    tilts = [1.0, 2.0, NAN, 3.0, 29.0, 2.0, 1.0, 2.0]
    given = [np.array([10.0, 10.0, 50.0, tilt, 30.0, 30.0]) for tilt in tilts]
    given[5] = np.full(6, NAN)
    made = list(steady(zip("abcdefgh", given, strict=True)))
    assert [frame for frame, _, _ in made] == list("abcdefgh")
    assert [found for _, _, found in made] == [True] * 5 + [False, True, True]
    expected = [np.nanmedian([given[j][3] for j in range(max(0, i - 2), min(8, i + 3))]) for i in range(8)]
    assert [pose[3] for _, pose, _ in made] == expected
    assert all(pose[2] == 50 for _, pose, _ in made)


def test_a_gap_longer_than_the_window_has_no_pose():
    given = [np.array([1.0, 1, 9, NAN, NAN, NAN])] * 2 + [np.full(6, NAN)] * 6
    made = [pose[0] for _, pose, _ in steady(zip(range(8), given, strict=True))]
    assert made[:3] == [1, 1, 1] and np.isnan(made[3:]).all()


def test_a_single_detection_is_taken_for_a_false_one_but_a_single_frame_is_believed():
    pose = np.array([1.0, 1, 9, NAN, NAN, NAN])
    made = list(steady(zip(range(7), [np.full(6, NAN)] * 3 + [pose] + [np.full(6, NAN)] * 3, strict=True)))
    assert not any(found or np.isfinite(middle[0]) for _, middle, found in made)
    ((_, middle, found),) = steady([(0, pose)])
    assert found and middle[2] == 9


def test_a_sequence_counts_frames_without_a_detection_and_keeps_its_order(tmp_path):
    face, blank = turned(0)[:200, 120:320], np.full((200, 200, 3), 90, np.uint8)
    pictures = [face, face, blank, face, *[blank] * 3]
    records = []
    for number, picture in enumerate(pictures, 1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
        records.append(FrameRecord("dfew", "00001", "00001", number, Media(f"{number}.png"), {}))
    (tmp_path / "2.png").write_bytes(b"no picture")
    cache = CropCache(tmp_path / "cache")
    report = cache.prepare_sequence(tmp_path, "00001", records, CropSettings("haar-eyes", 64, "haar"))
    assert (report.n, report.n_no_face, report.n_bad) == (6, 4, 1)
    images, landmarks, valid, frames = cache.sequence("00001")
    assert frames.tolist() == [1, 3, 4, 5, 6, 7]
    assert valid.tolist() == [True, False, True, False, False, False]
    # the gap is framed as its neighbours are; far from any face the whole picture is the crop
    assert (landmarks[1] == landmarks[0]).all()
    assert not (landmarks[5] == landmarks[0]).all()
    assert np.abs(images[0].astype(int) - images[2]).max() < 60
