from dataclasses import replace

import numpy as np
import pytest

from auharness.data.synthetic import clip_film
from auharness.data.synthetic.clip_film import Studio, film_clip, time_course
from auharness.data.synthetic.clips import Clip, Code
from auharness.data.synthetic.identity import sample_identity, sample_scene
from auharness.data.synthetic.layouts import casme2, samm

STEADY = Studio(dataset="casme2", grey=False, strength=(0.3, 0.3), pose_spread=(0, 0, 0), drift=0.0)


def clip(shown: str, *, subject: str = "03") -> Clip:
    return Clip(subject, 0, Code(shown, shown, 1, ""), 9, 10, 20, True, 33, 34)


def film(what: Clip, studio: Studio = STEADY) -> np.ndarray:
    return np.stack(list(film_clip(what, studio, width=140, height=170, seed=0))).astype(np.float32)


def change(what: Clip) -> np.ndarray:
    """Mean absolute change [170, 140] from the frames about the onset to those about the apex."""
    frames = film(what).mean(axis=3)
    return np.abs(frames[10:13].mean(axis=0) - frames[:3].mean(axis=0))


def test_every_frame_is_there_and_none_is_a_copy() -> None:
    frames = film(clip("12"), casme2._STUDIO)
    assert frames.shape == (26, 170, 140, 3)
    assert len({frame.tobytes() for frame in frames}) == 26
    assert film(replace(clip("12"), subject="006"), samm._STUDIO).shape == (26, 170, 140)


def test_the_seed_decides_every_pixel() -> None:
    np.testing.assert_array_equal(film(clip("4")), film(clip("4")))
    assert (film(clip("4"))[0] != np.stack(list(film_clip(clip("4"), STEADY, width=140, height=170, seed=1)))[0]).any()


@pytest.mark.parametrize(("shown", "rows"), [("1 2", slice(35, 75)), ("4", slice(35, 75)), ("12", slice(115, 150))])
def test_an_au_changes_its_part_of_the_face(shown: str, rows: slice) -> None:
    moved = change(clip(shown))
    inside = moved[rows].mean()
    outside = np.delete(moved, np.arange(rows.start, rows.stop), axis=0).mean()
    assert inside > 2 * outside


@pytest.mark.parametrize(("shown", "half"), [("L12", slice(78, 140)), ("R12", slice(0, 62)), ("L1 L2", slice(78, 140))])
def test_an_au_on_one_side_leaves_the_other_half_alone(shown: str, half: slice) -> None:
    moved = change(clip(shown))  # the subject's left is on the right of the picture
    acting = moved[:, half].mean()
    moved[:, half] = 0
    still = change(clip(""))
    assert acting > 1.6 * still[:, half].mean()
    assert moved[:, :62].mean() + moved[:, 78:].mean() < 1.2 * (still[:, :62].mean() + still[:, 78:].mean())


def test_the_movement_rises_to_the_apex_and_mostly_leaves() -> None:
    what = clip("4")
    for seed in range(5):
        course = time_course(what, np.random.default_rng(seed))
        assert len(course) == 26 and course[:2].tolist() == [0, 0]
        assert abs(int(course.argmax()) - 11) <= 2 and course.max() > 0.9
        assert course[-2:].max() < 0.4
        assert (np.diff(course)[2:9] > -0.03).all() and (np.diff(course)[14:22] < 0.03).all()


def test_a_mean_of_two_steps_is_the_step_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = sample_identity(5), sample_scene("casme2", 5)

    def pictures() -> list[np.ndarray]:
        return clip_film._pictures(clip("1 2 12"), casme2._STUDIO, *subject, side=192, seed=0)

    coarse = pictures()
    monkeypatch.setattr(clip_film, "_STEP", clip_film._STEP / 2)
    fine = pictures()
    assert (len(coarse), len(fine)) == (5, 9)
    for place in range(4):
        error = np.abs((coarse[place] + coarse[place + 1]) / 2 - fine[2 * place + 1])
        # below the sensor's noise, 1.2 grey levels and more, and below a tenth of the movement
        assert error.mean() < 0.1 * np.abs(coarse[4] - coarse[0]).mean() < 0.3


def test_light_and_head_move_a_little_in_a_clip_without_any_au() -> None:
    still = film(clip(""), casme2._STUDIO)
    noise = np.abs(still[1] - still[0]).mean()
    assert noise < np.abs(still[20] - still[0]).mean() < 6 * noise
