"""Frames to patch tokens: vision transformers of which only low-rank adapters learn, and a small net from scratch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from auharness.errors import UsageError
from auharness.nn.encoder import tokens_per_row
from auharness.nn.foundation import FOUNDATIONS, LoadedFoundation, load_foundation
from auharness.nn.frozen import FrozenBase, add_lora

__all__ = [
    "KINDS",
    "SMALL",
    "ConvFrames",
    "FrameTokens",
    "Lora",
    "ViTFrames",
    "check_side",
    "frame_encoder",
    "in_parts",
]

KINDS: Final = ("dinov2", "vit")
TARGETS: Final = r".*attention.*\.(query|value|q_proj|v_proj)"
"""Queries and values in the names of transformers before and since 5.18."""
SMALL: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({"conv": (16, 32, 48), "conv-small": (8, 16, 16)})
"""Channels of encoders that are trained from scratch, each convolution halving the sides."""
GROUPS: Final = 8


class FrameTokens(NamedTuple):
    """What an encoder makes of frames."""

    cls: Tensor
    """`[N,D]`."""
    patches: Tensor
    """`[N,P,D]`, row by row, after the final norm."""


@dataclass(frozen=True, slots=True)
class Lora:
    """Sizes of low-rank adapters."""

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.05


class ViTFrames(FrozenBase):
    """A frozen vision transformer with adapters on queries and values, `[N,3,S,S]` to `FrameTokens`.

    Register tokens, where there are any, are left out.

    Args:
        base: a DINOv2 or ViT.
        image_size: S in pixels.
        lora: None leaves the transformer as it is; its features then have no gradient.

    Raises:
        UsageError: if the patch does not divide the image.
    """

    def __init__(self, base: LoadedFoundation, *, image_size: int, lora: Lora | None) -> None:
        def adapt(model: Any) -> None:
            if lora is not None:
                add_lora(model, targets=TARGETS, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)

        super().__init__(base.model, loaded=base.checksum, adapt=adapt)
        config = self.model.config
        self.width: int = config.hidden_size
        self.grid = tokens_per_row(image_size, config.patch_size)
        # DINOv2 always fits its positions to the picture
        self._options = {"interpolate_pos_encoding": config.image_size != image_size} if base.kind == "vit" else {}

    def forward(self, frames: Tensor) -> FrameTokens:
        states = self.model(pixel_values=frames, **self._options).last_hidden_state
        return FrameTokens(states[:, 0], states[:, states.shape[1] - self.grid**2 :])


class ConvFrames(nn.Module):
    """Strided convolutions, trained from scratch, `[N,3,S,S]` to `FrameTokens`, a token per cell of the last map.

    A stand-in for a vision transformer where that is out of reach: what random and frozen weights of one say of a face
    is worth little. Group normalisation, so a token never depends on the batch.

    Args:
        image_size: S in pixels.
        widths: channels of each convolution, multiples of 8.

    Raises:
        UsageError: if the strides do not divide the image.
    """

    def __init__(self, image_size: int, *, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.width = widths[-1]
        self.grid = tokens_per_row(image_size, 2 ** len(widths))
        layers: list[nn.Module] = []
        for before, after in pairwise((3, *widths)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> FrameTokens:
        patches = self.layers(frames).flatten(2).transpose(1, 2)
        return FrameTokens(patches.mean(dim=1), patches)


def frame_encoder(name: str, *, image_size: int, lora: Lora | None, pretrained: bool) -> ViTFrames | ConvFrames:
    """Return an encoder by name.

    Args:
        name: one of `FOUNDATIONS` of vision, `hf:` and a folder or hub name, or one of `SMALL`.
        image_size: side of the frames in pixels.
        lora: adapters of a frozen encoder.
        pretrained: load its weights.

    Raises:
        DataError: if the weights are missing.
        UsageError: if the weights are no vision transformer, or its patch does not divide the frame.
    """
    if name in SMALL:
        return ConvFrames(image_size, widths=SMALL[name])
    check_side(name, image_size)
    base = load_foundation(name, pretrained=pretrained, kinds=KINDS)
    return ViTFrames(base, image_size=image_size, lora=lora)


def check_side(name: str, image_size: int, *, kept: int = 1) -> None:
    """Refuse a side that the patches of an encoder do not divide, before gigabytes are read.

    Args:
        name: as for `frame_encoder`; what is not known by name is let pass.
        image_size: side of the frames in pixels.
        kept: patches per side that are kept of them, a divisor.

    Raises:
        UsageError: naming both.
    """
    known = FOUNDATIONS.get(name)
    patch = 2 ** len(SMALL[name]) if name in SMALL else known.options["patch_size"] if known is not None else None
    if patch is not None and (grid := tokens_per_row(image_size, patch)) % kept:
        raise UsageError(f"kept_grid is {kept}, expected a divisor of the {grid} patches per side of {name}")


def in_parts(see: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...], *, rows: int) -> tuple[Tensor, ...]:
    """Return `see(*inputs)` computed for some rows at a time; training keeps nothing of a part but its results.

    The backward pass computes a part again. Without it the activations of 4,096 frames in a ViT-L take terabytes.

    Args:
        see: treats every row by itself.
        inputs: each `[N,...]`.
        rows: at a time; 0 is all.
    """
    if not rows or len(inputs[0]) <= rows:
        return see(*inputs)
    parts = zip(*(torch.split(x, rows) for x in inputs), strict=True)
    if torch.is_grad_enabled():
        seen = [checkpoint(see, *part, use_reentrant=False) for part in parts]
    else:
        seen = [see(*part) for part in parts]
    return tuple(torch.cat(column) for column in zip(*seen, strict=True))
