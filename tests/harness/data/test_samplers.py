import numpy as np
import pytest
import torch

from auharness.data.samplers import SAMPLERS, dfer_clip, former_dfer, linspace, uniform


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


MIDDLES = {
    11: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 10, 10],
    16: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    17: [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16],
    70: [2, 6, 10, 15, 19, 24, 28, 32, 37, 41, 45, 50, 54, 59, 63, 67],
    847: [26, 79, 132, 185, 238, 291, 344, 397, 449, 502, 555, 608, 661, 714, 767, 820],
}
PAIRS = {
    11: MIDDLES[11],
    16: MIDDLES[16],
    17: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    70: [4, 5, 12, 13, 21, 22, 30, 31, 38, 39, 47, 48, 56, 57, 64, 65],
    847: [52, 53, 158, 159, 264, 265, 370, 371, 475, 476, 581, 582, 687, 688, 793, 794],
}
SPACED = {
    11: MIDDLES[11],
    16: MIDDLES[16],
    17: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16],
    70: [0, 4, 9, 13, 18, 23, 27, 32, 36, 41, 46, 50, 55, 59, 64, 69],
    847: [0, 56, 112, 169, 225, 282, 338, 394, 451, 507, 564, 620, 676, 733, 789, 846],
}
BY_HAND = {"dfer-clip": MIDDLES, "former-dfer": PAIRS, "linspace": SPACED}


@pytest.mark.parametrize("length", MIDDLES)
@pytest.mark.parametrize("name", BY_HAND)
def test_test_frames_are_those_worked_out_by_hand(name, length):
    found = SAMPLERS[name](length, 16, None)
    assert found.dtype == np.int64
    assert found.tolist() == BY_HAND[name][length]


@pytest.mark.parametrize("length", [11, 16, 17, 70, 847])
def test_a_training_frame_comes_from_its_own_segment(length):
    generator = torch.Generator().manual_seed(0)
    drawn = np.stack([dfer_clip(length, 16, generator) for _ in range(400)])
    if length < 17:
        assert (drawn == MIDDLES[length]).all()
        return
    average = length // 16
    offsets = drawn - average * np.arange(16)
    assert offsets.min() == 0 and offsets.max() == average - 1
    # every place of a segment, evenly: 400 x 16 draws
    counts = np.bincount(offsets.ravel(), minlength=average)
    assert (counts > 0.5 * 6400 / average).all() and (counts < 1.6 * 6400 / average).all()


def test_the_remainder_after_the_last_segment_is_never_drawn():
    """31 frames in 16 segments of one: the published code then trains on the first half of the clip."""
    generator = torch.Generator().manual_seed(0)
    assert dfer_clip(31, 16, generator).tolist() == list(range(16))


@pytest.mark.parametrize("length", [16, 17, 70, 847])
def test_a_training_pair_is_two_neighbours_inside_the_clip(length):
    generator = torch.Generator().manual_seed(0)
    average = (length - 1) // 8
    firsts = set()
    for _ in range(200):
        pairs = former_dfer(length, 16, generator).reshape(8, 2)
        assert (pairs[:, 1] == pairs[:, 0] + 1).all() and pairs.min() >= 0 and pairs.max() < length
        assert (pairs[:, 0] // average == np.arange(8)).all()
        firsts.add(int(pairs[0, 0]))
    assert len(firsts) > 0.75 * min(average, 60)


def test_pairs_need_an_even_number_of_frames():
    with pytest.raises(ValueError, match="even"):
        former_dfer(70, 15)


def test_spaced_frames_vary_as_any_frames_in_their_order():
    generator = torch.Generator().manual_seed(0)
    drawn = np.stack([linspace(20, 16, generator) for _ in range(50)])
    assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() == 0 and drawn.max() == 19
    assert len({tuple(row) for row in drawn.tolist()}) > 40


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_gives_so_many_ordered_frames_of_the_clip(name):
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 3, 15, 16, 17, 18, 31, 70):
        for jitter in (None, generator):
            found = SAMPLERS[name](length, 16, jitter)
            assert found.shape == (16,) and found.min() >= 0 and found.max() < length
            assert (np.diff(found) >= 0).all()
