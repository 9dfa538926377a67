"""Frames of faces to features: a backbone with facial attention on its maps, behind it or before its last halving."""

from collections.abc import Mapping

from torch import Tensor, nn

from auharness.nn.facial_stack import FacialStack
from auharness.nn.frame_backbone import FrameBackbone

__all__ = ["FacialFrames"]


class FacialFrames(nn.Module):
    """Frames `[N,3,S,S]`, landmarks `[N,68,2]` and their validity `[N]` to features `[N,C]`, the means of the last map.

    The second result is what the attention saw, as `FacialStack` returns it.

    Args:
        backbone: frames to maps.
        facial: attention on maps.
        early: attend before the last halving of the side instead of behind the backbone.
        frozen_norms: the backbone's running statistics stay as they are.
    """

    def __init__(self, backbone: FrameBackbone, facial: FacialStack, *, early: bool, frozen_norms: bool) -> None:
        super().__init__()
        self.backbone, self.facial = backbone, facial
        self.early, self.frozen_norms = early, frozen_norms

    def train(self, mode: bool = True) -> "FacialFrames":
        super().train(mode)
        if self.frozen_norms:
            for part in self.backbone.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def forward(self, frames: Tensor, landmarks: Tensor, valid: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        stop = self.backbone.cut if self.early else None
        maps, seen = self.facial(self.backbone.run(frames, stop=stop), landmarks, valid)
        if stop is not None:
            maps = self.backbone.run(maps, start=stop)
        return maps.mean((2, 3)), seen

    def layers(self) -> Mapping[str, nn.Module]:
        """Return the modules behind the maps `backbone`, `cbam` and `enhancer` that are there, in order of effect."""
        found: dict[str, nn.Module] = {} if self.facial.cbam is None else {"cbam": self.facial.cbam.out}
        if self.facial.enhancer is not None:
            found["enhancer"] = self.facial.enhancer
        last = {"backbone": self.backbone[-1]}
        return {**found, **last} if self.early else {**last, **found}
