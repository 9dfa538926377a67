import math

import pytest
import torch

from auharness.losses import class_weights, mdwa, weighted_asymmetric

RATES = (0.2, 0.5, 0.05)


def _random(batch=64, scale=4.0):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(batch, len(RATES), generator=generator) * scale
    target = torch.randint(-1, 2, (batch, len(RATES)), generator=generator)
    return logits.requires_grad_(), target


def test_equation_8_by_hand():
    # rates (1/4, 1/2): weights 2 (4, 2) / 6 = (4/3, 2/3); gamma = 1 + r
    logits = torch.tensor([[math.log(3.0), math.log(3.0)]])  # p = 3/4
    value = mdwa(logits, torch.tensor([[1, 0]]), rates=(0.25, 0.5), margin=0.1)
    present = 4 / 3 * math.log(0.75)
    absent = 2 / 3 * 0.65**1.5 * math.log(0.35)
    assert value.item() == pytest.approx(-(present + absent) / 2, rel=1e-6)


def test_without_margin_and_difficulty_it_is_the_weighted_asymmetric_loss_with_its_gradient():
    logits, target = _random()
    ours = mdwa(logits, target, rates=RATES, margin=0.0, left=1.0, right=1.0)
    theirs = weighted_asymmetric(logits, target, weights=class_weights(RATES))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-5, atol=1e-8)


def test_the_weighted_asymmetric_loss_by_hand():
    logits = torch.tensor([[math.log(3.0), math.log(3.0)]])
    value = weighted_asymmetric(logits, torch.tensor([[1, 0]]), weights=torch.tensor([2.0, 0.5]))
    assert value.item() == pytest.approx(-(2 * math.log(0.75) + 0.5 * 0.75 * math.log(0.25)) / 2, rel=1e-6)


@pytest.mark.parametrize("attached", [False, True])
def test_an_absent_au_below_the_margin_has_no_loss_and_no_gradient(attached):
    logits = torch.logit(torch.tensor([[0.05, 0.14, 1e-6]])).requires_grad_()
    value = mdwa(logits, torch.zeros(1, 3, dtype=torch.int64), rates=RATES, margin=0.15, attached=attached)
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.abs().max().item() == 0.0


def test_attached_focusing_changes_the_gradient_as_autograd_of_the_equation_says():
    logits, target = _random()
    p, y = torch.sigmoid(logits.double()), target.clamp(min=0)
    gamma = 1 + torch.tensor(RATES, dtype=torch.float64)
    truncated = (p - 0.1).clamp(min=0)
    each = y * p.log() + (1 - y) * truncated**gamma * (1 - truncated).log()
    expected = -(class_weights(RATES) * each)[target >= 0].mean()
    attached = mdwa(logits, target, rates=RATES, margin=0.1, attached=True)
    detached = mdwa(logits, target, rates=RATES, margin=0.1)
    torch.testing.assert_close(attached.double(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(detached, attached)
    gradient, truth, held = (torch.autograd.grad(loss, logits)[0] for loss in (attached, expected, detached))
    torch.testing.assert_close(gradient, truth, rtol=1e-4, atol=1e-7)
    assert (gradient - held).abs().max() > 1e-4


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_are_finite_at_extreme_logits(attached, dtype):
    logits = torch.tensor([[-60000.0, 60000.0, 0.0], [100.0, -100.0, 30.0]], dtype=dtype, requires_grad=True)
    for label in (0, 1):
        value = mdwa(logits, torch.full((2, 3), label), rates=RATES, margin=0.0, left=0.5, attached=attached)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.dtype == torch.float32
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_an_entry_that_is_not_coded_changes_nothing():
    logits, target = _random()
    coded = mdwa(logits[:, :2], target[:, :2].clamp(min=0), rates=RATES[:2], margin=0.1)
    masked_target = torch.cat((target[:, :2].clamp(min=0), torch.full((len(target), 1), -1)), dim=1)
    masked = mdwa(logits, masked_target, rates=(*RATES[:2], float("nan")), margin=0.1)
    torch.testing.assert_close(masked, coded)
    assert torch.autograd.grad(masked, logits)[0][:, 2].abs().max() == 0


def test_a_batch_without_a_coded_entry_has_loss_zero_and_a_gradient_of_zero():
    logits = torch.randn(4, 3, requires_grad=True)
    value = mdwa(logits, torch.full((4, 3), -1), rates=RATES, margin=0.1)
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.abs().max() == 0
