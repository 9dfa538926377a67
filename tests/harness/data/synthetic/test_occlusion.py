import numpy as np
import pytest

from auharness.data.synthetic.identity import sample_identity
from auharness.data.synthetic.occlusion import Occluder, draw_occluder


def drawn(kind: str, seed: int) -> Occluder:
    return draw_occluder(kind, sample_identity(seed), 96, np.random.default_rng(seed))


@pytest.mark.parametrize(("kind", "least", "most"), [("hand", 0.05, 0.45), ("hair", 0.02, 0.35)])
def test_it_covers_a_part_of_the_face(kind: str, least: float, most: float) -> None:
    for seed in range(8):
        shares = drawn(kind, seed)
        assert least < shares.alpha.mean() < most
        assert shares.alpha.min() >= 0 and shares.alpha.max() <= 1
        assert shares.colour.min() >= 0 and shares.colour.max() <= 255
        middle = shares.alpha[24:80, 24:72]
        assert 0.02 < middle.mean() < 0.8


@pytest.mark.parametrize("kind", ["hand", "hair"])
def test_it_is_out_of_sight_where_it_comes_from(kind: str) -> None:
    frame = np.full((96, 96, 3), 120, np.float32)
    for seed in range(4):
        occluder = drawn(kind, seed)
        here, away = occluder.over(frame, away=0.0), occluder.over(frame, away=1.0)
        assert np.abs(here - frame).mean() > 1
        assert np.abs(away - frame).mean() < 0.25 * np.abs(here - frame).mean()
        assert np.hypot(*occluder.enters_from) == pytest.approx(1)


def test_the_seed_decides_the_picture() -> None:
    one, again, other = drawn("hand", 1), drawn("hand", 1), drawn("hand", 2)
    assert np.array_equal(one.colour, again.colour) and not np.array_equal(one.alpha, other.alpha)
