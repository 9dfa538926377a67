import numpy as np
import pytest

from auharness.data.synthetic.identity import sample_identity
from auharness.data.synthetic.muscles import RENDERED_AUS


def test_the_seed_decides_everything():
    assert sample_identity(5) == sample_identity(5)
    assert len({sample_identity(seed) for seed in range(30)}) == 30


def test_skin_hair_and_accessories_vary_widely():
    people = [sample_identity(seed) for seed in range(120)]
    tones = np.array([person.skin.tone for person in people]).mean(axis=1)
    assert tones.min() < 0.35
    assert tones.max() > 0.75
    assert len({person.hair.style for person in people}) >= 8
    assert {person.skin.beard for person in people} == {"none", "shadow", "moustache", "goatee", "full"}
    assert 0.05 < np.mean([person.glasses != "none" for person in people]) < 0.35


def test_every_subject_has_an_expressivity_for_every_au():
    for seed in range(10):
        scale = dict(sample_identity(seed).expressivity)
        assert set(scale) == set(RENDERED_AUS)
        assert all(0.7 < value < 1.2 for value in scale.values())


@pytest.mark.parametrize("seed", range(5))
def test_the_neutral_face_is_biased_only_slightly(seed):
    assert all(abs(value) < 0.35 for _, value in sample_identity(seed).resting)
