import numpy as np
import pytest
import torch

from auharness.data.samplers import uniform


@pytest.mark.parametrize("length", range(6, 142))
def test_uniform_sampling_rounds_and_reaches_both_ends(length):
    found = uniform(length, 6)
    assert found.tolist() == [round(x) for x in np.linspace(0, length - 1, 6).tolist()]
    assert (found[0], found[-1]) == (0, length - 1)
    assert len(set(found.tolist())) == 6


def test_rounding_differs_from_flooring_for_most_published_lengths():
    """The other reading in the literature: of the clip lengths 24 to 141, 94 give other frames."""
    differ = [n for n in range(24, 142) if (uniform(n, 6) != np.floor(np.linspace(0, n - 1, 6))).any()]
    assert len(differ) == 94


def test_a_short_clip_repeats_frames():
    assert uniform(1, 6).tolist() == [0] * 6
    assert uniform(4, 6).tolist() == [0, 1, 1, 2, 2, 3]


def test_jitter_draws_the_last_frame_between_the_count_and_the_last_but_one():
    generator = torch.Generator().manual_seed(0)
    lasts = {int(uniform(12, 6, generator)[-1]) for _ in range(200)}
    assert lasts == {6, 7, 8, 9, 10}
    assert uniform(7, 6, generator).tolist() == uniform(7, 6).tolist()  # too short to end early
