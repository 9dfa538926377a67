import torch
from torch import nn

from auharness.nn.residual import Residual, perceptron


def test_a_branch_is_normed_mixed_and_added():
    torch.manual_seed(0)
    layer, x = Residual(6, nn.Linear(6, 6), dropout=0.5).eval(), torch.randn(2, 3, 6)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), x + normed @ layer.mixer.weight.T + layer.mixer.bias)


def test_dropout_is_on_the_branch_alone():
    layer, x = Residual(6, nn.Identity(), dropout=0.999999).train(), torch.randn(2, 3, 6)
    assert torch.equal(layer(x), x)


def test_norms_stand_between_layers_and_nothing_behind_the_last():
    kinds = [type(part) for part in perceptron((8, 4, 2), dropout=0.3)]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.GELU, nn.Dropout, nn.Linear]
    assert [type(part) for part in perceptron((8, 2), dropout=0.3)] == [nn.Linear]
