import math

import pytest
import torch
from torch.nn import functional as F

from auharness.losses import asl, asl_released


def _logit(p):
    return torch.logit(torch.tensor([[p]], dtype=torch.float64)).float()


def _value(function, p, label, **options):
    return float(function(_logit(p), torch.tensor([[label]]), **options))


def _random(batch=64, labels=4):
    generator = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(batch, labels, generator=generator)
    return logits.requires_grad_(), torch.randint(-1, 2, (batch, labels), generator=generator)


def _clipped_bce(logits, target, clip=0.05):
    """Written from its definition, in double."""
    p = torch.sigmoid(logits.double())
    each = -torch.where(target > 0, p.log(), (1 - p + clip).clamp(max=1).log())
    return each[target >= 0].sum()


@pytest.mark.parametrize(
    ("p", "label", "wanted"), [(0.05, 0, 0.0), (0.5, 0, 0.024515), (0.9, 0, 0.990308), (0.5, 1, 0.693147)]
)
def test_values_at_gamma_0_and_4_with_clip_5_percent(p, label, wanted):
    assert _value(asl, p, label) == pytest.approx(wanted, abs=1e-6)


def test_a_present_label_is_focused_by_gamma_positive():
    assert _value(asl, 0.3, 1, gamma_positive=2.0) == pytest.approx(0.7**2 * -math.log(0.3), rel=1e-6)


def test_without_focus_and_clip_it_is_the_binary_cross_entropy():
    logits, target = _random()
    ours = asl(logits, target, gamma_negative=0.0, clip=0.0, reduction="sum")
    coded = target >= 0
    theirs = F.binary_cross_entropy_with_logits(logits[coded], target[coded].float(), reduction="sum")
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_an_easy_absent_label_has_no_loss_and_no_gradient():
    logits = torch.logit(torch.tensor([[0.05, 0.049, 1e-6]])).requires_grad_()
    value = asl(logits, torch.zeros(1, 3, dtype=torch.int64))
    value.backward()
    assert value.item() == 0.0 and logits.grad.abs().max() == 0


@pytest.mark.parametrize("attached", [False, True])
def test_the_gradient_holds_the_focusing_weight_constant_unless_attached(attached):
    logits, target = _random()
    p = torch.sigmoid(logits.double())
    truncated = (p - 0.05).clamp(min=0)
    weight = torch.where(target > 0, (1 - p) ** 1.5, truncated**4)
    each = -(weight if attached else weight.detach()) * torch.where(target > 0, p, 1 - truncated).log()
    truth = each[target >= 0].sum()
    ours = asl(logits, target, gamma_positive=1.5, attached=attached, reduction="sum")
    torch.testing.assert_close(ours.double(), truth, rtol=1e-5, atol=0)
    found, wanted = (torch.autograd.grad(loss, logits)[0] for loss in (ours, truth))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_released_value_weights_an_absent_label_by_its_ease():
    # p = 0.5: q = 0.55, so 0.55^4 in the place of 0.45^4
    assert _value(asl_released, 0.5, 0) == pytest.approx(0.55**4 * -math.log(0.55), rel=1e-6)
    assert _value(asl_released, 0.5, 1) == pytest.approx(0.693147, abs=1e-6)


def test_the_released_gradient_is_that_of_clipped_binary_cross_entropy():
    logits, target = _random()
    released, plain = asl_released(logits, target, reduction="sum"), _clipped_bce(logits, target)
    assert abs(float(released.detach()) - float(plain.detach())) > 1
    found, wanted = (torch.autograd.grad(loss, logits)[0] for loss in (released, plain))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    true = torch.autograd.grad(asl(logits, target, reduction="sum"), logits)[0]
    assert (true - wanted).abs().max() > 0.1


@pytest.mark.parametrize("loss", [asl, asl_released])
def test_the_mean_divides_the_sum_by_the_samples_with_a_coded_label(loss):
    logits, target = _random(batch=5)
    target[3] = -1
    target[0, 0] = 1
    rows = int((target >= 0).any(dim=1).sum())
    torch.testing.assert_close(loss(logits, target), loss(logits, target, reduction="sum") / rows)


@pytest.mark.parametrize("loss", [asl, asl_released])
def test_entries_that_are_not_coded_change_nothing(loss):
    logits, target = _random()
    kept = float(loss(logits.detach()[:, :2], target[:, :2], reduction="sum"))
    masked = torch.cat((target[:, :2], torch.full_like(target[:, 2:], -1)), dim=1)
    value = loss(logits, masked, reduction="sum")
    assert float(value.detach()) == pytest.approx(kept, rel=1e-6)
    assert torch.autograd.grad(value, logits)[0][masked < 0].abs().max() == 0
    nothing = loss(logits, torch.full_like(target, -1))
    assert nothing.item() == 0 and torch.autograd.grad(nothing, logits)[0].abs().max() == 0


@pytest.mark.parametrize("loss", [asl, asl_released])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("label", [0, 1])
def test_values_and_gradients_are_finite_at_extreme_logits(loss, dtype, label):
    logits = torch.tensor([[-6e4, 6e4, 0.0, 100.0, -100.0]], dtype=dtype, requires_grad=True)
    value = loss(logits, torch.full((1, 5), label))
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite() and logits.grad.isfinite().all()
    if loss is asl:
        again = logits.detach().requires_grad_()
        asl(again, torch.full((1, 5), label), gamma_positive=0.5, gamma_negative=0.5, attached=True).backward()
        assert again.grad.isfinite().all()


def test_the_mean_over_entries_takes_frames_and_leaves_out_what_is_not_coded():
    logits, target = _random(64, 4)
    frames, labels = logits.detach().view(4, 16, 4), target.view(4, 16, 4)
    plain = {"gamma_negative": 0.0, "clip": 0.0, "reduction": "entries"}
    coded = labels >= 0
    wanted = F.binary_cross_entropy_with_logits(frames[coded], labels[coded].float())
    assert float(asl(frames, labels, **plain)) == pytest.approx(float(wanted), rel=1e-6)
    focused = asl(frames, labels, gamma_positive=1.0, reduction="entries")
    total = asl(logits.detach(), target, gamma_positive=1.0, reduction="sum")
    assert float(focused) == pytest.approx(float(total) / int(coded.sum()), rel=1e-6)
    assert float(asl(frames, torch.full_like(labels, -1), reduction="entries")) == 0
