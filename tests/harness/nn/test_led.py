import math

import pytest
import torch

from auharness.nn.led import LED, led_matrix

FRAMES = 6


def _matrix(alpha=10.0, r1=0.4, r2=0.05, frames=FRAMES):
    alpha, r1, r2 = (torch.tensor(value, dtype=torch.float64) for value in (alpha, r1, r2))
    return led_matrix(frames, alpha=alpha, r1=r1, r2=r2)


def _led():
    return LED().double()


def _clip(seed=0, frames=FRAMES):
    return torch.rand(3, frames, 1, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _low_pass(clip, r):
    """One pole: y_0 = x_0, y_j = (1 - r) y_{j-1} + r x_j."""
    states = [clip[:, 0]]
    for j in range(1, clip.shape[1]):
        states.append((1 - r) * states[-1] + r * clip[:, j])
    return torch.stack(states, dim=1)


@pytest.mark.parametrize(("r1", "r2"), [(0.4, 0.05), (0.9, 0.2), (1.3, 0.6)])
def test_the_matrix_is_equation_1_entry_by_entry(r1, r2):
    found = _matrix(7.0, r1, r2)
    for i in range(FRAMES):
        for j in range(FRAMES):
            if j > i:
                first = (1 - r1) ** (j - i) * r1 ** min(1, i)
                wanted = 7.0 * (first - (1 - r2) ** (j - i) * r2 ** min(1, i))
            else:
                wanted = 7.0 * (r1 - r2) if i == j else 0.0
            assert float(found[i, j]) == pytest.approx(wanted, rel=1e-12, abs=1e-14), (i, j)


@pytest.mark.parametrize("frames", [2, 6, 11])
@pytest.mark.parametrize(("r1", "r2"), [(0.4, 0.05), (0.9, 0.2)])
def test_the_filter_is_the_difference_of_two_iir_low_passes(frames, r1, r2):
    clip = _clip(frames=frames)
    ours = torch.einsum("btchw,tj->bjchw", clip, _matrix(10.0, r1, r2, frames))
    theirs = 10.0 * (_low_pass(clip, r1) - _low_pass(clip, r2))
    assert (ours - theirs)[:, 1:].abs().max() < 1e-12


def test_the_layer_is_the_iir_difference_over_the_sum_of_magnitudes():
    clip, led = _clip() - 0.3, _led()
    difference = 10.0 * (_low_pass(clip, 0.4) - _low_pass(clip, 0.05))
    size = torch.einsum("btchw,tj->bjchw", clip.abs(), _matrix().abs())
    # the starting values are float32 logarithms
    torch.testing.assert_close(led(clip)[:, 1:], (difference / (size + 1e-8))[:, 1:], rtol=1e-5, atol=1e-7)
    exact = led.matrix(FRAMES)
    ours = led(clip) * (torch.einsum("btchw,tj->bjchw", clip.abs(), exact.abs()) + 1e-8)
    alpha, r1, r2 = (float(value.detach().exp()) for value in (led.log_alpha, led.log_r1, led.log_r2))
    truth = alpha * (_low_pass(clip, r1) - _low_pass(clip, r2))
    assert (ours - truth)[:, 1:].abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_static_clip_gives_exactly_zero_behind_its_first_frame(dtype):
    still = _clip()[:, :1].expand(-1, FRAMES, -1, -1, -1).to(dtype)
    out = LED().to(dtype)(still)
    assert torch.equal(out[:, 0], still[:, 0])
    assert torch.equal(out[:, 1:], torch.zeros_like(out[:, 1:]))


def test_a_brighter_clip_gives_the_same():
    led, clip = _led(), _clip() + 0.01
    torch.testing.assert_close(led(17.0 * clip)[:, 1:], led(clip)[:, 1:], rtol=0, atol=1e-6)


def test_the_gain_changes_nothing():
    led, louder = _led(), LED(alpha=300.0).double()
    clip = _clip() + 0.01
    torch.testing.assert_close(louder(clip)[:, 1:], led(clip)[:, 1:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_between_minus_one_and_one_and_both_are_reached(seed):
    clip = _clip(seed) - 0.5 * (seed % 2)
    assert _led()(clip)[:, 1:].abs().max() <= 1
    flash = torch.zeros(1, FRAMES, 1, 1, 1)
    flash[0, 1] = 1.0
    dim = torch.zeros(1, FRAMES, 1, 1, 1)
    dim[0, 0] = 1.0
    assert LED()(flash)[0, 1].item() == pytest.approx(1.0) and LED()(dim)[0, 1].item() == pytest.approx(-1.0)
    assert LED()(dim)[:, 1:].abs().max() <= 1


def test_black_pixels_stay_at_zero():
    assert LED()(torch.zeros(2, FRAMES, 1, 3, 3)).abs().max() == 0


def test_the_constants_start_where_the_released_code_starts_them():
    led = LED()
    values = [parameter.exp().item() for parameter in (led.log_alpha, led.log_r1, led.log_r2)]
    assert values == pytest.approx([10.0, 0.4, 0.05], rel=1e-6)


def test_gradients_are_those_of_the_equation():
    led = _led()
    clip = (_clip()[:1, :, :, :2, :2] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: led(x), (clip, *led.parameters()))
    (led(_clip())[:, 1:] ** 2).sum().backward()
    assert led.log_r1.grad.abs() > 1e-3 and led.log_r2.grad.abs() > 1e-3
    assert float(led.log_alpha.grad.abs()) < 1e-6


def test_gradients_stay_finite_at_and_beyond_a_constant_of_one():
    for log_r in (0.0, math.log(1.7)):
        led = LED()
        torch.nn.init.constant_(led.log_r1, log_r)
        led(torch.rand(2, FRAMES, 1, 3, 3)).sum().backward()
        assert all(parameter.grad.isfinite() for parameter in led.parameters())
