import pytest
import torch
from torch import nn

from auharness.errors import DataError
from auharness.nn.encoder import Encoder
from auharness.nn.weights import load_matching, resize_positions


def test_what_fits_is_copied_and_what_is_missing_is_named():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    untouched = module[2].weight.clone()
    given = {
        "0.weight": torch.full((3, 2), 2.0),
        "1.running_mean": torch.full((3,), 7.0),
        "2.weight": torch.zeros(1, 4),
        "other": torch.zeros(1),
    }
    assert load_matching(module, given) == ["0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert module[0].weight.unique().item() == 2.0
    assert module[1].running_mean.unique().item() == 7.0
    assert torch.equal(module[2].weight, untouched)


def test_what_a_module_keeps_out_of_its_state_is_not_missing():
    class Based(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.head = nn.Linear(2, 3), nn.Linear(3, 1)
            self.register_state_dict_post_hook(_without_base)

    def _without_base(module, state, prefix, metadata):
        for name in [name for name in state if name.startswith(f"{prefix}base.")]:
            del state[name]

    module = Based()
    kept = module.base.weight.clone()
    given = {"head.weight": torch.ones(1, 3), "base.weight": torch.zeros(3, 2)}
    assert load_matching(module, given) == ["head.bias"]
    assert torch.equal(module.base.weight, kept)


@pytest.mark.parametrize("weights", [{}, {"backbone.weight": torch.zeros(2)}])
def test_weights_of_another_model_are_refused(weights):
    with pytest.raises(DataError, match="nothing fits this model; expected names and shapes as in 'weight'"):
        load_matching(nn.Linear(2, 3), weights)


def test_positions_of_another_grid_are_resized_and_the_class_token_kept():
    small, large = (Encoder([], image_size=size, patch=8, dim=4) for size in (32, 56))
    row = torch.arange(4.0).view(1, 4, 1).expand(4, 4, 4).reshape(1, 16, 4)
    with torch.no_grad():
        small.positions.copy_(torch.cat((row, torch.full((1, 1, 4), 9.0)), dim=1))
    assert load_matching(large, small.state_dict()) == []
    grid = large.positions[0, :-1].view(7, 7, 4)
    assert torch.all(large.positions[0, -1] == 9.0)
    assert torch.all(grid.diff(dim=1) > 0)
    torch.testing.assert_close(grid[0], grid[6])
    torch.testing.assert_close(grid[:, 3].mean(), torch.tensor(1.5))


def test_positions_of_the_same_grid_are_not_touched():
    positions = torch.randn(1, 17, 4)
    assert resize_positions(positions, 17) is positions


def test_positions_that_are_no_grid_are_left_alone():
    positions = torch.randn(1, 13, 4)
    assert resize_positions(positions, 17) is positions
