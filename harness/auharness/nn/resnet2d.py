"""ResNet-18 and ResNet-34 on images and on clips whose frames are channels, from torchvision's blocks."""

from typing import Literal

from torch import Tensor, nn

from auharness.errors import UsageError
from auharness.nn.vision import import_torchvision

__all__ = ["LAYERS", "BlockKind", "ClipResNet", "View", "initialise", "seen_frames"]

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Blocks in each of the four stages, by depth (He et al., CVPR 2016, table 1)."""

View = Literal["stack", "difference"]
"""What a 2D network sees of a clip: all frames, or every later frame minus the first."""

BlockKind = Literal["basic", "bottleneck"]
"""Two 3x3 convolutions, or 1x1, 3x3 and 1x1 to four times the channels (He et al., figure 5)."""


class ClipResNet(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,A]`; frames are channels of the first convolution.

    Parameter names are torchvision's. With `width` 64 and one frame of 3 channels it is torchvision's network; such a
    network sees the frames of a clip one by one as `net(clip.flatten(0, 1)[:, None])`.

    Args:
        frames: T.
        num_outputs: A; None leaves the last layer out and returns the means `[B,features]` of the last map.
        depth: 18 or 34.
        channels: C.
        width: channels of the first stage; each later one doubles them.
        view: what the network sees.
        block: what the stages are made of; a bottleneck halves the image in its first convolution, as in the paper.

    Raises:
        DataError: if torchvision is not installed.
        UsageError: if `difference` is asked of one frame.
    """

    def __init__(
        self,
        frames: int,
        num_outputs: int | None,
        *,
        depth: int = 18,
        channels: int = 1,
        width: int = 64,
        view: View = "stack",
        block: BlockKind = "basic",
    ) -> None:
        super().__init__()
        import_torchvision()
        self.view = view
        make = _basic if block == "basic" else _bottleneck
        expansion = 1 if block == "basic" else 4
        self.widths = tuple(width * factor * expansion for factor in (1, 2, 4, 8))
        self.conv1 = nn.Conv2d(channels * seen_frames(frames, view), width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = width
        for number, (after, blocks) in enumerate(zip(self.widths, LAYERS[depth], strict=True), start=1):
            stage = [make(before, after, 1 if number == 1 else 2)]
            stage += [make(after, after, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{number}", nn.Sequential(*stage))
            before = after
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Identity() if num_outputs is None else nn.Linear(before, num_outputs)
        initialise(self)

    @property
    def features(self) -> int:
        """Channels of the last map."""
        return self.widths[-1]

    def stages(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Return the maps behind the four stages, `[B,width,H/4,W/4]` to `[B,features,H/32,W/32]`."""
        found = self.stem(clip)
        maps = []
        for number in range(1, 5):
            found = self.get_submodule(f"layer{number}")(found)
            maps.append(found)
        return tuple(maps)

    def stem(self, clip: Tensor) -> Tensor:
        """Return what the first stage is given, `[B,width,H/4,W/4]`."""
        frames = clip if self.view == "stack" else clip[:, 1:] - clip[:, :1]
        return self.maxpool(self.relu(self.bn1(self.conv1(frames.flatten(1, 2)))))

    def classify(self, last: Tensor) -> Tensor:
        """Return the logits of the map behind the last stage, or its means if there is no last layer."""
        return self.fc(self.avgpool(last).flatten(1))

    def forward(self, clip: Tensor) -> Tensor:
        return self.classify(self.stages(clip)[-1])


def seen_frames(frames: int, view: View) -> int:
    """Return how many frames a view of a clip has.

    >>> seen_frames(6, "stack"), seen_frames(6, "difference")
    (6, 5)
    """
    if view == "stack":
        return frames
    if frames < 2:
        raise UsageError(f"view=difference needs 2 frames, got {frames}; set preprocess.frames")
    return frames - 1


def initialise(module: nn.Module) -> None:
    """Draw the weights as torchvision's residual networks do: He's normal for convolutions, norms pass on."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def _basic(before: int, after: int, stride: int) -> nn.Module:
    from torchvision.models.resnet import BasicBlock

    return BasicBlock(before, after, stride, _shortcut(before, after, stride))


def _bottleneck(before: int, after: int, stride: int) -> nn.Module:
    from torchvision.models.resnet import Bottleneck

    block = Bottleneck(before, after // 4, stride, _shortcut(before, after, stride))
    # torchvision strides in the second convolution
    block.conv1.stride, block.conv2.stride = (stride, stride), (1, 1)
    return block


def _shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
