import pytest
import torch
from torch import nn

from auharness.errors import UsageError
from auharness.nn.encoder import Block, Encoder, tokens_per_row
from auharness.nn.patch import PatchEmbed


def test_a_token_is_the_linear_projection_of_its_patch_row_by_row():
    embed = PatchEmbed(4, 5)
    image = torch.randn(1, 3, 12, 12)
    tokens = embed(image)
    assert tokens.shape == (1, 9, 5)
    second_row_last = image[0, :, 4:8, 8:12]
    expected = (embed.projection.weight * second_row_last).sum((1, 2, 3)) + embed.projection.bias
    torch.testing.assert_close(tokens[0, 5], expected, atol=1e-5, rtol=1e-5)


def test_the_class_token_is_last_and_every_token_has_its_position():
    encoder = Encoder([], image_size=8, patch=4, dim=6)
    encoder.norm = nn.Identity()
    nn.init.constant_(encoder.cls, 3.0)
    tokens = encoder(torch.zeros(2, 3, 8, 8))
    bias = encoder.patches.projection.bias
    torch.testing.assert_close(tokens[1, :-1], bias + encoder.positions[0, :-1])
    torch.testing.assert_close(tokens[1, -1], 3.0 + encoder.positions[0, -1])


def test_a_block_adds_the_mixer_then_the_mlp_each_on_a_normed_copy():
    block = Block(6, mixer=nn.Linear(6, 6), mlp_ratio=2)
    x = torch.randn(2, 3, 6)
    middle = x + block.mixer(block.norm1(x))
    torch.testing.assert_close(block(x), middle + block.mlp(block.norm2(middle)))


def test_blocks_receive_the_context():
    class Shift(nn.Module):
        def forward(self, tokens, by):
            return tokens + by

    encoder = Encoder([Shift(), Shift()], image_size=8, patch=4, dim=2)
    encoder.norm = nn.Identity()
    image = torch.zeros(1, 3, 8, 8)
    step = encoder(image, torch.tensor([1.0, 5.0])) - encoder(image, torch.zeros(2))
    torch.testing.assert_close(step, torch.tensor([2.0, 10.0]).expand_as(step))


def test_a_patch_that_does_not_divide_the_crop_is_refused():
    assert [tokens_per_row(size, patch) for size, patch in ((224, 32), (224, 16), (224, 8), (56, 8))] == [7, 14, 28, 7]
    with pytest.raises(UsageError, match="crop of 100 px is no multiple of the patch of 16 px"):
        tokens_per_row(100, 16)


def test_fresh_positions_have_the_asked_deviation():
    torch.manual_seed(0)
    for std in (0.02, 0.5):
        encoder = Encoder([], image_size=64, patch=4, dim=16, position_std=std)
        assert encoder.positions.std().item() == pytest.approx(std, rel=0.05)
