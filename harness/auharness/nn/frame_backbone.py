"""Convolutional networks that turn single frames into feature maps, behind one interface."""

from collections.abc import Sequence

from torch import Tensor, nn

from auharness.nn.vision import import_torchvision

__all__ = ["FrameBackbone", "efficientnet_v2_s", "small_cnn"]


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


def small_cnn(widths: Sequence[int]) -> FrameBackbone:
    """Return a small network: per width a 3x3 convolution of stride 2 with norm and ReLU, so a side of S / 2^len.

    Args:
        widths: channels of the stages, at least two.
    """
    stages = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
        )
        for before, after in zip((3, *widths[:-1]), widths, strict=True)
    ]
    return FrameBackbone(stages, channels=widths[-1], cut=len(widths) - 1, cut_channels=widths[-2])
