"""AU scores on the stand-in's face geometry: 68 points of known AUs, without pixels."""

from functools import cache

import numpy as np
import pytest

from auharness.data.flip import flip_landmarks
from auharness.data.synthetic.geometry import neutral_landmarks, strengths
from auharness.data.synthetic.identity import sample_identity
from auharness.data.synthetic.openings import moved_landmarks
from auharness.data.synthetic.pose import Pose
from auharness.data.synthetic.raster import sample
from auharness.data.synthetic.skin import still_layers
from auharness.features.au_scores import NOT_RECOVERABLE, SCORED, AUScores, au_scores
from auharness.features.face_measures import upright

ONSET, APEX = slice(0, 6), slice(18, 24)
# AU6 counts with a smile only; AU26 drops the jaw
SHOWN = {au: (au,) for au in (1, 2, 4, 5, 7, 9, 10, 12, 15, 20, 23, 24, 25, 26)} | {6: (6, 12)}


@cache
def clip(aus: tuple[int, ...], subject: int = 0) -> np.ndarray:
    """24 frames: neutral, a rise from frame 8, and the apex held from frame 14."""
    ramp = np.clip((np.arange(24) - 8) / 6, 0, 1)
    face = sample_identity(subject)
    return np.stack([moved_landmarks(face, strengths(face, dict.fromkeys(aus, level)))[0] for level in ramp])


def rises(found: AUScores) -> dict[str, float]:
    return {name: values[APEX].mean() - values[ONSET].mean() for name, values in found.scores.items()}


@pytest.mark.parametrize("au", SHOWN)
def test_a_shown_au_scores_higher_at_its_apex_than_at_its_onset(au):
    for subject in range(4):
        found = au_scores(clip(SHOWN[au], subject))
        assert found.valid.all()
        assert found.scores[f"AU{au}"][ONSET].max() < 0.35
        assert rises(found)[f"AU{au}"] > 0.25


def test_nearly_every_au_of_the_stand_in_has_a_score_that_rises():
    """The rest: 17, whose raised lip lengthens its measure; 27, a wide yawn; 43 and 45, which have their own tests."""
    assert set(SCORED) - set(SHOWN) == {17, 27, 43, 45}
    assert not set(SCORED) & set(NOT_RECOVERABLE)


@pytest.mark.parametrize(
    ("shown", "higher", "lower"),
    [((1,), 1, 2), ((2,), 2, 1), ((12,), 12, 15), ((15,), 15, 12), ((12,), 12, 20), ((20,), 20, 12), ((25,), 25, 26)],
)
def test_neighbours_are_told_apart(shown, higher, lower):
    for subject in range(4):
        found = rises(au_scores(clip(shown, subject)))
        assert found[f"AU{higher}"] > found[f"AU{lower}"] + 0.2


def test_scores_lie_in_the_unit_interval_and_say_what_they_are():
    found = au_scores(clip((1, 12, 25)))
    values = np.stack(list(found.scores.values()))
    assert values.shape == (len(SCORED), 24) and values.min() >= 0 and values.max() <= 1
    assert list(found.scores) == [f"AU{au}" for au in SCORED]
    table = found.columns()
    assert list(table) == ["frame", "valid", "yaw_degrees", *(f"AU{au}_score" for au in SCORED)]
    assert found.peaks()["AU12"] == found.scores["AU12"].max()


@pytest.mark.parametrize("unit", ["eyes", "canthi"])
@pytest.mark.parametrize("vertical", ["unit", "nose"])
def test_scores_do_not_depend_on_roll_size_or_place(unit, vertical):
    points = clip((1, 6, 12, 26))
    expected = au_scores(points, unit=unit, vertical=vertical)
    for degrees, size, shift in ((0, 0.31, 40), (28, 1, -500), (-35, 2.7, 12)):
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = au_scores(size * points @ turn.T + shift, unit=unit, vertical=vertical)
        for name, values in expected.scores.items():
            assert np.allclose(moved.scores[name], values, atol=1e-4), name
        assert np.allclose(moved.yaw, expected.yaw, atol=1e-3)


def test_a_mirrored_face_has_the_same_scores_and_the_opposite_yaw():
    points = clip((2, 4, 12, 15), 2)
    found, mirrored = au_scores(points), au_scores(flip_landmarks(points, 192))
    for name, values in found.scores.items():
        assert np.allclose(mirrored.scores[name], values, atol=1e-5), name
    assert np.allclose(mirrored.yaw, -found.yaw, atol=1e-3)


def turned(*yaws: float) -> np.ndarray:
    face = sample_identity(1)
    points = neutral_landmarks(face)
    depth = sample(still_layers(face).depth, points[None, :, 0], points[None, :, 1])[0]
    return np.stack([Pose.of((yaw, 0, 0), scale=1, centre=(0, 0)).project(points, depth) for yaw in yaws])


def test_a_head_turned_by_more_than_30_degrees_is_not_valid():
    angles = [0, 0, 0, 15, -15, 25, -25, 40, -40]
    found = au_scores(turned(*angles))
    assert np.abs(found.yaw - angles).max() < 5
    assert found.valid.tolist() == [True] * 7 + [False] * 2
    assert np.isnan(found.scores["AU12"][7:]).all() and np.isfinite(found.scores["AU12"][:7]).all()


def test_heights_by_the_nose_withstand_a_turn():
    points = turned(*[0] * 8, 5, 10, 15, 20, 25, 25)
    by_eyes, by_nose = au_scores(points), au_scores(points, vertical="nose")
    assert by_eyes.peaks()["AU1"] > 0.15 and by_nose.peaks()["AU1"] < 0.05
    assert by_nose.peaks()["AU5"] < 0.7 * by_eyes.peaks()["AU5"]


def test_frames_without_points_are_not_valid_and_do_not_move_the_neutral():
    points = clip((12,)).astype(float)
    expected = au_scores(points)
    broken = np.concatenate([np.full((1, 68, 2), np.nan), np.zeros((1, 68, 2)), points])
    found = au_scores(broken, valid=np.array([True, False] + [True] * 24))
    assert found.valid.tolist() == [False, False] + [True] * 24
    assert np.isnan(found.scores["AU12"][:2]).all()
    assert np.allclose(found.scores["AU12"][2:], expected.scores["AU12"])
    nothing = au_scores(points, valid=np.zeros(24, bool))
    assert not nothing.valid.any() and np.isnan(nothing.peaks()["AU1"])


def test_a_held_expression_scores_only_against_a_neutral_face_from_elsewhere():
    points = clip((12,))
    held = np.repeat(points[-1:], 10, axis=0)
    assert au_scores(held).peaks()["AU12"] == 0
    assert au_scores(held, neutral=points[0]).scores["AU12"].min() > 0.5
    assert au_scores(points, neutral="ema").peaks()["AU12"] > 0.4


def test_short_closures_are_blinks_and_long_ones_closed_eyes():
    face = sample_identity(0)

    def closing(frames: range) -> AUScores:
        levels = [1.0 if frame in frames else 0.0 for frame in range(50)]
        return au_scores(np.stack([moved_landmarks(face, strengths(face, {45: x}))[0] for x in levels]), fps=25)

    blink, sleep = closing(range(20, 24)), closing(range(20, 40))
    assert blink.scores["AU45"][20:24].min() > 0.5 and blink.peaks()["AU43"] == 0
    assert sleep.scores["AU43"][20:40].min() > 0.5 and sleep.scores["AU45"][20:40].max() == 0


def test_a_measure_scores_one_at_its_full_change():
    """By hand: both inner brows rise by 0.055 of the eye distance, half of a marked AU1."""
    face = neutral_landmarks(sample_identity(0)).astype(float)
    distance = np.hypot(*(face[42:48].mean(0) - face[36:42].mean(0)))
    faces = np.repeat(upright(face[None]) * distance, 8, axis=0)
    faces[6:, [21, 22], 1] -= 0.055 * distance
    found = au_scores(faces)
    assert found.scores["AU1"][:6].max() == 0
    assert found.scores["AU1"][6:] == pytest.approx([0.5, 0.5])


def test_one_frame_is_its_own_neutral():
    assert max(value for name, value in au_scores(clip((1, 2))[-1:]).peaks().items() if name in ("AU1", "AU2")) == 0


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected landmarks \[T, 68, 2\], got \[68, 2\]"):
        au_scores(np.zeros((68, 2)))
