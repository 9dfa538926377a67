import math

import pytest
import torch
from torch.nn import functional as F

from auharness.losses import focal

# softmax of these is (1/2, 1/4, 1/4) and (1/10, 1/10, 8/10)
LOGITS = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(8)]])


def test_the_loss_equals_the_formula_by_hand():
    weights = torch.tensor([1.0, 3.0, 0.5])
    value = focal(LOGITS, torch.tensor([0, 1]), weights=weights)
    # 1 (1/2)^2 ln 2 and 3 (9/10)^2 ln 10
    assert value.item() == pytest.approx((0.25 * math.log(2) + 3 * 0.81 * math.log(10)) / 2, rel=1e-6)
    by_weight = focal(LOGITS, torch.tensor([0, 1]), weights=weights, reduction="weighted")
    assert by_weight.item() == pytest.approx((0.25 * math.log(2) + 3 * 0.81 * math.log(10)) / 4, rel=1e-6)
    samples = focal(LOGITS, torch.tensor([0, 1]), weights=weights, sample_weights=torch.tensor([2.0, 0.5]))
    assert samples.item() == pytest.approx((2 * 0.25 * math.log(2) + 1.5 * 0.81 * math.log(10)) / 2, rel=1e-6)


def test_without_focusing_it_is_the_cross_entropy():
    logits, target = torch.randn(9, 7, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 7
    torch.testing.assert_close(focal(logits, target, gamma=0.0), F.cross_entropy(logits, target))
    weights = torch.rand(7, generator=torch.Generator().manual_seed(1)) + 0.1
    expected = F.cross_entropy(logits, target, weight=weights)
    torch.testing.assert_close(focal(logits, target, gamma=0.0, weights=weights, reduction="weighted"), expected)


def test_a_sample_that_is_not_coded_counts_nowhere():
    logits = LOGITS.clone().requires_grad_()
    value = focal(logits, torch.tensor([0, -1]))
    assert value.item() == pytest.approx(0.25 * math.log(2), rel=1e-6)
    value.backward()
    assert not logits.grad[1].any() and logits.grad[0].any()
    for reduction in ("mean", "weighted"):
        assert focal(LOGITS, torch.tensor([-1, -1]), reduction=reduction).item() == 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_gradients_are_finite_where_the_model_is_sure(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0], [-200.0, 0.0, 0.0]], requires_grad=True)
    focal(logits, torch.tensor([0, 0]), gamma=gamma).backward()
    assert logits.grad.isfinite().all()


def test_half_precision_logits_are_computed_in_single_precision():
    value = focal(LOGITS.half(), torch.tensor([0, 1]))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(focal(LOGITS, torch.tensor([0, 1])).item(), rel=1e-3)
