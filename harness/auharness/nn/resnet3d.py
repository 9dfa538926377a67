"""The 3D ResNet-18 of action recognition, from torchvision's blocks."""

from torch import Tensor, nn

from auharness.nn.resnet2d import initialise
from auharness.nn.vision import import_torchvision

__all__ = ["ResNet3D18"]


class ResNet3D18(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,A]` (r3d_18; Tran et al., CVPR 2018).

    Parameter names are torchvision's. With `width` 64 and 3 channels it is torchvision's network: a stem of 3x7x7 that
    halves the image, two blocks of 3x3x3 convolutions in each of four stages, the last three halving time and image.

    Args:
        num_outputs: A.
        channels: C.
        width: channels of the first stage; each later one doubles them.

    Raises:
        DataError: if torchvision is not installed.
    """

    def __init__(self, num_outputs: int, *, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models.video.resnet import BasicBlock, Conv3DSimple

        self.stem = nn.Sequential(
            nn.Conv3d(channels, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        before = width
        for number, factor in enumerate((1, 2, 4, 8), start=1):
            after = width * factor
            stride = 1 if number == 1 else 2
            first = BasicBlock(before, after, Conv3DSimple, stride, _shortcut(before, after, stride))
            setattr(self, f"layer{number}", nn.Sequential(first, BasicBlock(after, after, Conv3DSimple)))
            before = after
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(before, num_outputs)
        initialise(self)

    def forward(self, clip: Tensor) -> Tensor:
        found = self.stem(clip.transpose(1, 2))
        for number in range(1, 5):
            found = self.get_submodule(f"layer{number}")(found)
        return self.fc(self.avgpool(found).flatten(1))


def _shortcut(before: int, after: int, stride: int) -> nn.Module | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv3d(before, after, 1, stride=stride, bias=False), nn.BatchNorm3d(after))
