from torch import nn

from auharness.efficiency import count_parameters


def test_a_shared_parameter_counts_once_and_a_buffer_never():
    layer = nn.Linear(3, 4)
    assert count_parameters(nn.Sequential(layer, layer, nn.BatchNorm1d(4))) == 16 + 8


def test_frozen_parameters_can_be_left_out():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2).requires_grad_(False))
    assert count_parameters(model) == 26
    assert count_parameters(model, trainable=True) == 16
