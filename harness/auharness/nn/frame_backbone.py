"""Convolutional networks that turn single frames into feature maps, behind one interface."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.errors import UsageError
from auharness.nn.vision import import_torchvision

__all__ = ["SMALL_CNN_STEP", "EdgeCells", "FrameBackbone", "PlaceWeights", "efficientnet_v2_s", "small_cnn"]

SMALL_CNN_STEP = 12
"""Pixels of a frame's side behind each place of `small_cnn`'s maps, with cells of the usual side."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_COS4 = (3 / 8, 1 / 2, 1 / 2, 1 / 8, 1 / 8)  # cos^4 x = 3/8 + cos 2x / 2 + cos 4x / 8
_FAINT = 2e-4  # squared gradients, summed over directions, below which there is no edge; frames have deviation 1


class FrameBackbone(nn.Sequential):
    """Frames `[N,3,S,S]` to maps `[N,channels,h,w]`, stage by stage.

    Args:
        stages: in order.
        channels: of the result.
        cut: the number of stages that come before the last halving of the side.
        cut_channels: of the maps there.
    """

    def __init__(self, stages: Sequence[nn.Module], *, channels: int, cut: int, cut_channels: int) -> None:
        super().__init__(*stages)
        self.channels, self.cut, self.cut_channels = channels, cut, cut_channels

    def run(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return what the stages from `start` up to `stop` make of `x`."""
        for number, stage in enumerate(self):
            if start <= number and (stop is None or number < stop):
                x = stage(x)
        return x


def efficientnet_v2_s() -> FrameBackbone:
    """Return torchvision's EfficientNetV2-S without pooling and classifier: 1,280 channels at S / 32, random weights.

    Tan and Le, ICML 2021; https://arxiv.org/abs/2104.00298. Parameter names are those below torchvision's `features.`.

    Raises:
        DataError: if torchvision is not installed.
    """
    import_torchvision()
    from torchvision.models import efficientnet_v2_s as network

    features = network(weights=None).features
    return FrameBackbone(list(features), channels=1280, cut=6, cut_channels=160)


class EdgeCells(nn.Module):
    """How strong edges of each direction are around each place, `[N,3,S,S] -> [N,K,S/cell,S/cell]`; nothing is learned.

    The grey image's gradient, whichever way it points, is shared out to K directions by the fourth power of the cosine,
    averaged over cells, and divided by its norm over the 5x5 cells around: histograms of oriented gradients (Dalal and
    Triggs, CVPR 2005) in other words.

    Args:
        directions: K.
        cell: side of a cell in pixels.
    """

    luma: Tensor
    mix: Tensor

    def __init__(self, directions: int, *, cell: int) -> None:
        super().__init__()
        self.cell = cell
        turns = torch.arange(directions, dtype=torch.float64)[:, None] * (math.pi / directions)
        waves = torch.cat((torch.ones_like(turns), *(f(n * turns) for n in (2, 4) for f in (torch.cos, torch.sin))), 1)
        mix = waves * torch.tensor(_COS4, dtype=torch.float64)
        self.register_buffer("luma", torch.tensor(_LUMA).view(3, 1, 1), persistent=False)
        self.register_buffer("mix", mix.float()[..., None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.pad((x * self.luma).sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        right = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
        down = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
        square = right.square() + down.square()
        inverse = (square + _FAINT).rsqrt()
        cos, sin = (right.square() - down.square()) * inverse.square(), 2 * right * down * inverse.square()
        # cos^4 has five terms, so only they are averaged over cells, not every direction
        terms = square * inverse * torch.cat((torch.ones_like(cos), cos, sin, cos * cos - sin * sin, 2 * sin * cos), 1)
        cells = F.conv2d(F.avg_pool2d(terms, self.cell), self.mix)
        around = F.avg_pool2d(F.pad(cells.square().sum(1, keepdim=True), (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        return cells / (around + _FAINT).sqrt()


class PlaceWeights(nn.Module):
    """Weigh every place of every map by a number of its own, `[N,C,h,h] -> [N,C,h,h]`.

    What follows may average over places and still know where something was, as features of a deep network do.

    Args:
        channels: C.
        side: h.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, side, side))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def small_cnn(channels: int, *, image_size: int, directions: int = 8, cell: int = SMALL_CNN_STEP // 2) -> FrameBackbone:
    """Return a network of two stages that learns from a few hundred clips: fixed edges, and one convolution of them.

    A free network of this size learns the faces of such few clips and nothing else. The convolution has stride 2, norm
    and ReLU, and its maps are weighted by place.

    Args:
        channels: of the result.
        image_size: side of the frames in pixels.
        directions: of the edges.
        cell: side of a cell of edges in pixels.

    Raises:
        UsageError: if two cells are no divisor of the side.
    """
    if image_size % (2 * cell):
        raise UsageError(
            f"small-cnn reads frames whose side is a multiple of {2 * cell} px, got {image_size}; set preprocess.crop"
        )
    learned = nn.Sequential(
        nn.Conv2d(directions, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        PlaceWeights(channels, image_size // (2 * cell)),
    )
    edges = EdgeCells(directions, cell=cell)
    return FrameBackbone([edges, learned], channels=channels, cut=1, cut_channels=directions)
