from fractions import Fraction

import pytest
import torch

from auharness.nn.sound_alignment import align_sound, token_centres

WAVLM = 0.0125
"""400 samples from sample 0 on are centred at 12.5 ms."""


def _places(count):
    """Tokens that say which one they are."""
    return torch.arange(count, dtype=torch.float64)[None, :, None]


def _valid(count, *holes):
    valid = torch.ones(1, count, dtype=torch.bool)
    valid[0, list(holes)] = False
    return valid


def _aligned(count, times, *holes, first_s=WAVLM):
    frames = torch.tensor([[float(time) for time in times]], dtype=torch.float64)
    feature, found = align_sound(_places(count), _valid(count, *holes), frames, first_s=first_s)
    return feature[0, :, 0], found[0]


def _by_fractions(count, times, step):
    """Each frame's tokens, found in exact arithmetic with the duration of a frame known."""
    centres = [Fraction(320 * k + 200, 16_000) for k in range(count)]
    values = []
    for time in times:
        inside = [k for k, centre in enumerate(centres) if time - step / 2 <= centre < time + step / 2]
        values.append(sum(inside) / len(inside))
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(15)])
@pytest.mark.parametrize("offset", [Fraction(1, 2), Fraction(517, 1000)])
def test_a_frame_gets_the_mean_of_the_tokens_within_its_time(fps, offset):
    times = [offset + Fraction(k) / fps for k in range(64)]
    count = 499
    feature, found = _aligned(count, times)
    torch.testing.assert_close(feature, _by_fractions(count, times, 1 / fps), rtol=0, atol=1e-12)
    assert found.all()


def test_25_frames_a_second_by_hand():
    # token centres 12.5, 32.5, 52.5, ... ms; frame 0 is -20 to 20, frame 1 is 20 to 60, frame 2 is 60 to 100
    feature, found = _aligned(49, [0.0, 0.04, 0.08])
    assert feature.tolist() == [0.0, 1.5, 3.5] and found.all()


def test_frames_of_varying_length_share_the_time_between_them():
    # borders: 0.05, 0.2, 0.35 from the middles, -0.05 and 0.45 by mirroring
    feature, _ = _aligned(49, [0.0, 0.1, 0.3, 0.4])
    borders = [-0.05, 0.05, 0.2, 0.35, 0.45]
    centres = token_centres(49, first_s=WAVLM, like=torch.zeros((), dtype=torch.float64))
    for value, low, high in zip(feature, borders, borders[1:], strict=False):
        inside = torch.nonzero((centres >= low) & (centres < high)).double()
        assert float(value) == pytest.approx(float(inside.mean()))


def test_frames_shorter_than_a_token_are_interpolated():
    # 100 frames a second: 52.5 ms is token 2, 50 ms lies 7/8 of the way from token 1 to it
    times = [k / 100 for k in range(10)]
    feature, found = _aligned(49, times)
    assert found.all()
    assert float(feature[5]) == 2.0  # 45 to 55 ms holds token 2
    assert float(feature[4]) == pytest.approx((40 - 32.5) / 20 + 1)
    assert float(feature[0]) == 0.0  # before the first token there is only that


def test_tokens_without_sound_do_not_count():
    feature, found = _aligned(49, [0.0, 0.04, 0.08, 0.12], 1, 3, 4)
    assert feature.tolist() == [0.0, 2.0, 0.0, 5.5]
    assert found.tolist() == [True, True, False, True]


def test_no_sound_is_zeros_and_a_mask():
    feature, found = _aligned(49, [0.0, 0.04], *range(49))
    assert not feature.any() and not found.any()


def test_frames_behind_the_sound_have_none():
    feature, found = _aligned(3, [0.0, 0.04, 0.08, 0.12])
    assert found.tolist() == [True, True, False, False]
    assert feature[2:].tolist() == [0.0, 0.0]


def test_a_repeated_last_frame_keeps_its_sound():
    feature, found = _aligned(49, [0.0, 0.04, 0.08, 0.08, 0.08])
    assert found.all() and feature[1] == 1.5
    # 80 ms lies 3/8 of the way from token 3 (72.5 ms) to token 4
    assert float(feature[3]) == pytest.approx(3.375)


def test_rows_do_not_mix_and_every_token_has_a_gradient_in_one_frame():
    tokens = torch.randn(2, 49, 3, dtype=torch.float64, requires_grad=True)
    valid = torch.ones(2, 49, dtype=torch.bool)
    times = torch.stack([torch.arange(16) / 25, 0.3 + torch.arange(16) / 30]).double()
    together, _ = align_sound(tokens, valid, times, first_s=WAVLM)
    for row in range(2):
        alone, _ = align_sound(tokens[row : row + 1], valid[:1], times[row : row + 1], first_s=WAVLM)
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=0)
    together[0].sum().backward()
    assert tokens.grad is not None and not tokens.grad[1].any()
    # 25 frames a second: two tokens in each frame but the first, which has one
    torch.testing.assert_close(tokens.grad[0, 1:31], torch.full((30, 3), 0.5, dtype=torch.float64))
