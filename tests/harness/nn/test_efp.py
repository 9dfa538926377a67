import pytest
import torch
from torch.nn import functional as F

from auharness.nn.efp import EFP

WIDTH = 1536


@pytest.mark.parametrize(
    ("features", "linear", "count"),
    [
        (10_624, False, 73_940_416),  # the paper's EFP, 73.9 M
        (256, False, 1_608_064),  # F_high alone
        (10_368, False, 70_860_096),  # F_mid alone
        (10_624, True, 16_320_000),  # EFP-
    ],
)
def test_parameters_at_the_width_of_a_1_5b_model(features, linear, count):
    with torch.device("meta"):
        module = EFP(features, WIDTH, linear=linear)
    assert sum(parameter.numel() for parameter in module.parameters()) == count


@pytest.mark.parametrize(
    ("name", "function"),
    [("gelu", F.gelu), ("tanh", torch.tanh), ("relu", torch.relu), ("identity", lambda x: x)],
)
def test_equation_3_by_hand(name, function):
    module = EFP(10, 4, activation=name).eval()
    w1, b1, w2, b2 = module.parameters()
    assert w1.shape == (7, 10)
    features = torch.randn(3, 10)
    token = function(torch.relu(features @ w1.T + b1) @ w2.T + b2)
    torch.testing.assert_close(module(features), token)


def test_without_the_perceptron_it_is_one_linear_layer():
    module = EFP(10, 4, linear=True)
    weight, bias = module.parameters()
    features = torch.randn(3, 10)
    torch.testing.assert_close(module(features), features @ weight.T + bias)
