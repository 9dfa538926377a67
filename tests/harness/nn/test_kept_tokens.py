"""What is kept of frames, and the layer that reads it."""

from importlib.util import find_spec

import pytest
import torch

from auharness.api import KeptFrames
from auharness.errors import IntegrityError, UsageError
from auharness.nn.frame_encoder import frame_encoder
from auharness.nn.kept_tokens import FrameKeeper

pytestmark = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def keeper(grid=4) -> FrameKeeper:
    return FrameKeeper("dinov2-random", image_size=56, grid=grid, pretrained=False)


def test_all_patches_kept_are_those_of_the_frozen_transformer_in_half_precision():
    frames = torch.randn(2, 3, 56, 56)
    kept = keeper()(frames)
    assert kept.dtype == torch.float16 and kept.shape == (2, *keeper().shape) == (2, 17, 32)
    with torch.inference_mode():
        wanted = frame_encoder("dinov2-random", image_size=56, lora=None, pretrained=False)(frames)
    found = keeper().reader()(kept)
    torch.testing.assert_close(found.cls, wanted.cls, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(found.patches, wanted.patches, atol=2e-3, rtol=1e-3)
    assert found.patches.dtype == torch.float32


def test_a_coarser_grid_holds_means_of_neighbours_whose_mean_is_that_of_all():
    frames = torch.randn(1, 3, 56, 56)
    fine, coarse = (keeper(grid).reader()(keeper(grid)(frames)).patches[0] for grid in (4, 2))
    square = fine.unflatten(0, (4, 4))
    wanted = [square[y : y + 2, x : x + 2].mean((0, 1)) for y in (0, 2) for x in (0, 2)]
    torch.testing.assert_close(coarse, torch.stack(wanted), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(coarse.mean(0), fine.mean(0), atol=2e-3, rtol=1e-3)


def test_the_key_stands_for_weights_and_grid_and_the_reader_refuses_other_weights():
    whole: KeptFrames = keeper()
    assert whole.key == keeper().key != keeper(2).key
    other = keeper()
    other.checksum += 1
    assert other.key != whole.key
    with pytest.raises(IntegrityError, match="belong to another encoder"):
        keeper().reader().load_state_dict(other.reader().state_dict())


def test_a_grid_that_does_not_divide_the_patches_is_refused():
    with pytest.raises(UsageError, match="kept_grid is 3, expected a divisor of the 4 patches per side"):
        keeper(3)
