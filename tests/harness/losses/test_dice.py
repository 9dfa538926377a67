import math

import pytest
import torch

from auharness.losses import dice

# softmax of these is (1/2, 1/4, 1/4) and (1/10, 1/10, 8/10)
LOGITS = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(8)]])


def test_the_loss_equals_the_formula_by_hand():
    value = dice(LOGITS, torch.tensor([0, 2]))
    # overlaps 1/2, 0, 4/5; sizes 3/5 + 1, 7/20 + 0, 21/20 + 1
    classes = (1 - (1 + 1) / (1.6 + 1), 1 - 1 / (0.35 + 1), 1 - (1.6 + 1) / (2.05 + 1))
    assert value.item() == pytest.approx(sum(classes) / 3, rel=1e-6)
    tenth = (1 - 1.1 / 1.7, 1 - 0.1 / 0.45, 1 - 1.7 / 2.15)
    assert dice(LOGITS, torch.tensor([0, 2]), smooth=0.1).item() == pytest.approx(sum(tenth) / 3, rel=1e-6)


def test_a_perfect_model_has_no_loss():
    logits = 100.0 * torch.eye(3)
    assert dice(logits, torch.arange(3)).item() == pytest.approx(0, abs=1e-6)


def test_a_sample_that_is_not_coded_counts_nowhere():
    logits = LOGITS.clone().requires_grad_()
    value = dice(logits, torch.tensor([0, -1]))
    torch.testing.assert_close(value, dice(logits[:1], torch.tensor([0])))
    value.backward()
    assert not logits.grad[1].any() and logits.grad[0].any()
    assert dice(LOGITS, torch.tensor([-1, -1])).item() == 0
