"""Facial attention on maps of single frames: CBAM, landmark attention and enhancer, each of which may be left out."""

from torch import Tensor, nn

from auharness.nn.face_regions import landmark_mask, region_masks
from auharness.nn.facial_cbam import FacialCBAM
from auharness.nn.facial_enhancer import FacialEnhancer
from auharness.nn.landmark_attention import LandmarkAttention

__all__ = ["FacialStack"]


class FacialStack(nn.Module):
    """Maps of frames `[N,C,h,w]` to such maps, and what was looked at (Mamba-style DFER, table 1, row 3).

    The second result holds, of the parts that are there, `regions` `[N,8,h,w]`, `places` and `landmarks` `[N,1,h,w]`.

    Args:
        cbam: first, or None.
        landmark: attention around landmarks, second, or None.
        enhancer: last, or None.
        image_size: side of the frames in pixels.
        sigma: of the landmark masks in cells; None is no masks.
    """

    def __init__(
        self,
        cbam: FacialCBAM | None,
        landmark: LandmarkAttention | None,
        enhancer: FacialEnhancer | None,
        *,
        image_size: int,
        sigma: float | None,
    ) -> None:
        super().__init__()
        self.cbam, self.landmark, self.enhancer = cbam, landmark, enhancer
        self.image_size, self.sigma = image_size, sigma

    def forward(self, x: Tensor, landmarks: Tensor, valid: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Attend.

        Args:
            x: maps.
            landmarks: `[N,68,2]` in pixels of the frames.
            valid: `[N]` bool; where false, nothing is masked.
        """
        seen: dict[str, Tensor] = {}
        regions = points = None
        if self.sigma is not None:
            place = {"grid": x.shape[-1], "image_size": self.image_size}
            regions = region_masks(landmarks, valid, sigma=self.sigma, **place)
            points = landmark_mask(landmarks, valid, sigma=self.sigma, **place)
        if self.cbam is not None:
            x, seen["regions"], seen["places"] = self.cbam(x, regions)
        if self.landmark is not None:
            x, seen["landmarks"] = self.landmark(x, points)
        return (x if self.enhancer is None else self.enhancer(x)), seen
