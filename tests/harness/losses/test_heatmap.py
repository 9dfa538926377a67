import pytest
import torch

from auharness.losses import heatmap_mse


def test_mean_and_squared_norm_by_hand():
    predicted = torch.zeros(2, 2, 2, 2)
    truth = torch.zeros(2, 2, 2, 2)
    truth[0, 0] = 1.0
    truth[1, 1] = 5.0
    coded = torch.tensor([[True, True], [True, False]])
    assert heatmap_mse(predicted, truth, coded=coded).item() == pytest.approx(4 / 12)
    assert heatmap_mse(predicted, truth, coded=coded, reduction="squared-norm").item() == pytest.approx(4 / 2)


def test_maps_that_are_not_coded_have_no_gradient():
    predicted = torch.randn(1, 2, 3, 3, requires_grad=True)
    for reduction in ("mean", "squared-norm"):
        value = heatmap_mse(
            predicted, torch.zeros(1, 2, 3, 3), coded=torch.tensor([[False, True]]), reduction=reduction
        )
        (gradient,) = torch.autograd.grad(value, predicted)
        assert gradient[0, 0].abs().max() == 0
        assert gradient[0, 1].abs().min() > 0
