from importlib.util import find_spec

import pytest
import torch

from auharness.errors import DataError, UsageError
from auharness.nn.frame_encoder import Lora, check_side, frame_encoder, in_parts

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def _dino(lora=None):
    return frame_encoder("dinov2-random", image_size=56, lora=lora, pretrained=False)


@needs_hf
def test_patches_are_the_tokens_after_the_class_token():
    encoder = _dino().eval()
    frames = torch.randn(2, 3, 56, 56)
    with torch.inference_mode():
        found = encoder(frames)
        wanted = encoder.model(pixel_values=frames).last_hidden_state
    assert found.patches.shape == (2, 16, 32) and encoder.grid == 4
    torch.testing.assert_close(found.cls, wanted[:, 0])
    torch.testing.assert_close(found.patches, wanted[:, 1:])


@needs_hf
def test_gradients_reach_queries_and_values_of_every_block_only():
    encoder = _dino(Lora())
    encoder(torch.randn(2, 3, 56, 56)).patches.square().sum().backward()
    learned = {name for name, value in encoder.named_parameters() if value.grad is not None}
    assert learned == {name for name, value in encoder.named_parameters() if value.requires_grad}
    places = {tuple(name.split(".lora_")[0].split(".")[-4:]) for name in learned}
    assert all(".lora_" in name for name in learned) and len(learned) == 2 * 2 * 2
    layers = {"q_proj", "v_proj"} if any("q_proj" in place for place in places) else {"query", "value"}
    assert {place[-1] for place in places} == layers


@needs_hf
def test_weights_come_from_a_folder(tmp_path):
    saved = _dino().model
    saved.save_pretrained(tmp_path / "dino")
    encoder = frame_encoder(f"hf:{tmp_path / 'dino'}", image_size=56, lora=Lora(), pretrained=True).eval()
    frames = torch.randn(1, 3, 56, 56)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(frames).cls, saved(pixel_values=frames).last_hidden_state[:, 0])
    with pytest.raises(DataError, match=r"hf:FOLDER"):
        frame_encoder(f"hf:{tmp_path / 'none'}", image_size=56, lora=None, pretrained=True)


def test_a_patch_that_does_not_divide_the_frame_is_refused_before_weights_are_read():
    with pytest.raises(UsageError, match="no multiple of the patch of 14 px"):
        frame_encoder("dinov2-vitl14", image_size=225, lora=None, pretrained=True)


def test_small_encoder_keeps_frames_apart():
    encoder = frame_encoder("conv", image_size=64, lora=None, pretrained=False).double()
    frames = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    together = encoder(frames)
    assert together.patches.shape == (3, encoder.grid**2, encoder.width)
    torch.testing.assert_close(encoder(frames[1:2]).patches, together.patches[1:2])


def test_parts_have_the_gradients_of_the_whole_and_keep_less():
    encoder = frame_encoder("conv", image_size=64, lora=None, pretrained=False).double()
    frames = torch.randn(7, 3, 64, 64, dtype=torch.float64)
    gradients, kept = [], []
    for rows in (0, 3):
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, saved=saved: saved.append(x.numel()) or x, lambda x: x):
            (cls,) = in_parts(lambda x: (encoder(x).cls,), (frames,), rows=rows)
        encoder.zero_grad()
        cls.square().sum().backward()
        gradients.append([value.grad.clone() for value in encoder.parameters()])
        kept.append(sum(saved))
    for whole, part in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, part)
    # in parts, what is kept are the frames themselves
    assert kept[1] == frames.numel() < kept[0] / 5


def test_a_side_that_patches_do_not_divide_is_refused_before_weights_are_read():
    check_side("dinov2-vitl14", 224, kept=8)
    check_side("hf:some/where", 111)
    for name, side, kept, message in [
        ("dinov2-vitl14", 220, 1, "the crop of 220 px is no multiple of the patch of 14 px"),
        ("conv", 60, 1, "no multiple of the patch of 8 px"),
        ("dinov2-vitl14", 224, 5, "kept_grid is 5, expected a divisor of the 16 patches per side of dinov2-vitl14"),
    ]:
        with pytest.raises(UsageError, match=message):
            check_side(name, side, kept=kept)
