from itertools import pairwise

import cv2
import numpy as np
import pytest

from auharness.data.synthetic import wild_film
from auharness.data.synthetic.talks import AUS
from auharness.data.synthetic.wild_film import Veil, draw_veils, film_person


def labels(pictures: int, *present: int) -> np.ndarray:
    found = np.zeros((pictures, len(AUS)), bool)
    found[:, [AUS.index(au) for au in present]] = True
    return found


def shoot(monkeypatch: pytest.MonkeyPatch, *veils: Veil, pictures: int = 8) -> list[wild_film.Shot]:
    monkeypatch.setattr(wild_film, "draw_veils", lambda *_, **__: list(veils))
    return list(film_person("1", labels(pictures), rate=25.0, pixels=64, seed=0))


def test_something_hides_the_face_half_of_the_time() -> None:
    shares = []
    for seed in range(20):
        veils = draw_veils(3000, 30.0, rng=np.random.default_rng(seed))
        assert all(one.stop < other.start for one, other in pairwise(veils)) and veils[-1].stop <= 3000
        assert {veil.kind for veil in veils} == {"dark", "blur", "hand"}
        shares.append(sum(veil.stop - veil.start for veil in veils) / 3000)
    assert 0.45 < np.mean(shares) < 0.7


def test_a_film_of_two_seconds_has_clear_and_hidden_pictures() -> None:
    hidden = [
        sum(veil.stop - veil.start for veil in draw_veils(60, 30.0, rng=np.random.default_rng(seed)))
        for seed in range(20)
    ]
    assert np.mean(np.array(hidden) > 10) > 0.8 and max(hidden) < 58


def test_crops_and_landmarks_are_those_of_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = shoot(monkeypatch)
    assert len(shots) == 8 and all(shot.seen for shot in shots)
    assert shots[0].crop.shape == (64, 64, 3) and shots[0].crop.dtype == np.uint8
    assert shots[0].landmarks.shape == (68, 2) and shots[0].landmarks.dtype == np.float32
    eyes = np.stack([shot.landmarks[36:48].mean(axis=0) for shot in shots])
    # an upright face that fills the frame, eyes above the middle
    assert ((eyes > (20, 18)) & (eyes < (44, 36))).all()
    width = shots[0].landmarks[16, 0] - shots[0].landmarks[0, 0]
    assert 0.55 * 64 < width < 64


def test_a_veil_hides_the_face_and_only_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = shoot(monkeypatch)
    for kind in ("dark", "blur", "hand"):
        veiled = shoot(monkeypatch, Veil(kind, 2, 5, 0.5))
        assert [shot.seen for shot in veiled] == [kind == "hand" or not 2 <= place < 5 for place in range(8)]
        change = [
            float(np.abs(one.crop.astype(float) - other.crop).mean()) for one, other in zip(clear, veiled, strict=True)
        ]
        assert min(change[2:5]) > 2 * max(change[:2] + change[5:])
        if kind == "dark":
            assert veiled[3].crop.mean() < 0.25 * clear[3].crop.mean()
        if kind == "blur":
            sharp, soft = (
                cv2.Laplacian(cv2.blur(shot.crop, (3, 3)), cv2.CV_64F).var() for shot in (clear[3], veiled[3])
            )
            assert soft < 0.6 * sharp


def test_pictures_show_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wild_film, "draw_veils", lambda *_, **__: [])
    rest, smile = (
        next(iter(film_person("1", labels(2, *aus), rate=25.0, pixels=96, seed=0))) for aus in ((), (12, 25, 26))
    )
    assert np.ptp(smile.landmarks[48:60, 0]) > 1.05 * np.ptp(rest.landmarks[48:60, 0])
    assert np.ptp(smile.landmarks[60:68, 1]) > 1 + np.ptp(rest.landmarks[60:68, 1])


def test_pictures_depend_on_video_and_seed_alone() -> None:
    def first(video: str, seed: int) -> np.ndarray:
        return next(iter(film_person(video, labels(3), rate=25.0, pixels=48, seed=seed))).crop

    np.testing.assert_array_equal(first("1", 0), first("1", 0))
    assert (first("1", 0) != first("2", 0)).any() and (first("1", 0) != first("1", 1)).any()
