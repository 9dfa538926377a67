"""The 3D ResNet-18 of action recognition in its four forms, from torchvision's blocks."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

from auharness.nn.resnet2d import initialise
from auharness.nn.vision import import_torchvision

__all__ = ["Form3D", "ResNet3D18", "factored_channels", "wide_stem"]

Form3D = Literal["r3d", "wide", "r2plus1d", "r2plus1d-rule"]
"""`r3d` and `r2plus1d` are torchvision's networks.

- `r3d`: a stem of 3x7x7 that halves the image, 3x3x3 convolutions.
- `wide`: a stem of 7x7x7 that halves the image and a pool that halves all, 3x3x3 convolutions (Hara et al., CVPR 2018).
- `r2plus1d`: every convolution over the image, then over time; both of a block have the channels of the first between
  the two parts, and the stem has 45.
- `r2plus1d-rule`: the same with every convolution's own number, `factored_channels`, as Tran et al. define it.
"""

_TORCHVISION_STEM = 45  # at 64 channels behind it


class ResNet3D18(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,A]` (Tran et al., CVPR 2018; Hara et al., CVPR 2018).

    Two blocks of two convolutions in each of four stages, the last three halving time and image. Parameter names are
    torchvision's, and with `width` 64 and 3 channels two forms are its networks.

    Args:
        num_outputs: A; None leaves the last layer out and returns the means `[B,8 width]` of the last map.
        channels: C.
        width: channels of the first stage; each later one doubles them.
        form: stem and convolutions.

    Raises:
        DataError: if torchvision is not installed.
    """

    def __init__(self, num_outputs: int | None, *, channels: int = 1, width: int = 64, form: Form3D = "r3d") -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models.video.resnet import BasicBlock

        convolution = _convolution(form)
        self.stem = _stem(form, channels, width)
        before = width
        for number, factor in enumerate((1, 2, 4, 8), start=1):
            after = width * factor
            stride = 1 if number == 1 else 2
            first = BasicBlock(before, after, convolution, stride, _shortcut(before, after, stride))
            setattr(self, f"layer{number}", nn.Sequential(first, BasicBlock(after, after, convolution)))
            before = after
        self.features = before
        """Channels of the last map."""
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Identity() if num_outputs is None else nn.Linear(before, num_outputs)
        initialise(self)

    def forward(self, clip: Tensor) -> Tensor:
        found = self.stem(clip.transpose(1, 2))
        for number in range(1, 5):
            found = self.get_submodule(f"layer{number}")(found)
        return self.fc(self.avgpool(found).flatten(1))


def wide_stem(channels: int, width: int) -> nn.Sequential:
    """Return the stem of Hara et al., `[B,C,T,H,W] -> [B,width,T/2,H/4,W/4]`, sides rounded up."""
    return nn.Sequential(
        nn.Conv3d(channels, width, 7, stride=(1, 2, 2), padding=3, bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool3d(3, stride=2, padding=1),
    )


def factored_channels(before: int, after: int, *, time: int = 3, side: int = 3) -> int:
    """Return the channels between the two parts of a convolution that keep its number of weights.

    M = floor(t d^2 N_in N_out / (d^2 N_in + t N_out)) (Tran et al., CVPR 2018, sec. 3.5).

    >>> factored_channels(3, 64, side=7), factored_channels(64, 64), factored_channels(64, 128)
    (83, 144, 230)
    """
    return max(1, time * side**2 * before * after // (side**2 * before + time * after))


def _stem(form: Form3D, channels: int, width: int) -> nn.Sequential:
    if form == "wide":
        return wide_stem(channels, width)
    if form == "r3d":
        first = nn.Conv3d(channels, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        return nn.Sequential(first, nn.BatchNorm3d(width), nn.ReLU(inplace=True))
    if form == "r2plus1d":
        between = max(1, _TORCHVISION_STEM * width // 64)
    else:
        between = factored_channels(channels, width, side=7)
    return nn.Sequential(
        nn.Conv3d(channels, between, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


def _convolution(form: Form3D) -> Callable[..., nn.Module]:
    """Return what torchvision's block calls with `(before, after, channels between, stride)`."""
    from torchvision.models.video.resnet import Conv2Plus1D, Conv3DSimple

    if form in ("r3d", "wide"):
        return Conv3DSimple
    return Conv2Plus1D if form == "r2plus1d" else partial(_by_rule, Conv2Plus1D)


def _by_rule(make: Callable[..., nn.Module], before: int, after: int, between: int, stride: int = 1) -> nn.Module:
    return make(before, after, factored_channels(before, after), stride)


def _shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv3d(before, after, 1, stride=stride, bias=False), nn.BatchNorm3d(after))
