import math

import pytest
import torch

from auharness.losses import wdi


def test_equation_9_by_hand():
    # rates (1/4, 1/2) give weights (4/3, 2/3); p = 3/4
    logits = torch.full((1, 2), math.log(3.0))
    value = wdi(logits, torch.tensor([[1, 0]]), rates=(0.25, 0.5), smooth=1.0)
    present = 4 / 3 * (1 - (1.5 + 1) / (1 + 0.5625 + 1))
    absent = 2 / 3 * (1 - 1 / (0.5625 + 1))
    assert value.item() == pytest.approx((present + absent) / 2, rel=1e-6)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_at_most_the_weight():
    target = torch.tensor([[1, 0]])
    right = wdi(torch.tensor([[50.0, -50.0]]), target, rates=(0.5, 0.5))
    wrong = wdi(torch.tensor([[-50.0, 50.0]]), target, rates=(0.5, 0.5))
    assert right.item() == pytest.approx(0.0, abs=1e-6)
    assert wrong.item() == pytest.approx(0.5)  # 1 - eps / (1 + eps) with eps = 1


def test_an_entry_that_is_not_coded_changes_nothing():
    logits = torch.tensor([[1.0, -2.0, 7.0]], requires_grad=True)
    masked = wdi(logits, torch.tensor([[1, 0, -1]]), rates=(0.25, 0.5, float("nan")))
    torch.testing.assert_close(masked, wdi(logits[:, :2], torch.tensor([[1, 0]]), rates=(0.25, 0.5)))
    assert torch.autograd.grad(masked, logits)[0][0, 2] == 0


def test_gradients_are_finite_at_extreme_logits():
    logits = torch.tensor([[-60000.0, 60000.0]], dtype=torch.float16, requires_grad=True)
    for label in (0, 1):
        value = wdi(logits, torch.full((1, 2), label), rates=(0.5, 0.5))
        assert torch.autograd.grad(value, logits)[0].isfinite().all()
