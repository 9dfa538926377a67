"""Fixed enhancement of face crops: local contrast, edge-keeping smoothing, sharpening; OpenCV, no randomness.

Values are customary ones, since papers on expressions name the steps without them: they are mild at the 112 to 128
pixels that video models read.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["CLAHE_LIMIT", "STEPS", "Step", "clahe", "enhance"]

Step = Literal["clahe", "bilateral", "unsharp"]
STEPS: tuple[Step, ...] = get_args(Step)
Image = npt.NDArray[np.uint8]

CLAHE_LIMIT = 2.0
"""Clip limit of the fixed step, in multiples of an even histogram's height."""

_TILES = (8, 8)
_BILATERAL_DIAMETER = 5
_BILATERAL_SIGMA = 50.0  # of grey values and of pixels; 75 of OpenCV's tutorial blurs features at 112 pixels
_UNSHARP_SIGMA = 1.0
_UNSHARP_AMOUNT = 0.5


def clahe(image: Image, *, limit: float = CLAHE_LIMIT) -> Image:
    """Return `[H,W,3]` RGB with contrast-limited equalisation of its lightness (L of CIE Lab) in 8 x 8 tiles.

    Args:
        image: `[H,W,3]` RGB.
        limit: largest height of a histogram bin, in multiples of an even histogram's, rounded down to whole pixels but
            at least one: limits below 2 are all alike in tiles of 16 x 16 pixels (a crop of 128).
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(limit, _TILES).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def enhance(image: Image, steps: Sequence[Step]) -> Image:
    """Return a crop `[H,W,3]` RGB after the steps, from left to right.

    `clahe` is the function of that name; `bilateral` has diameter 5 and both deviations 50; `unsharp` adds half of
    the difference to a Gaussian blur of one pixel, rounded and clipped.

    >>> flat = np.full((16, 16, 3), 90, np.uint8)
    >>> bool((enhance(flat, ("bilateral", "unsharp")) == 90).all())
    True
    """
    for step in steps:
        if step == "clahe":
            image = clahe(image)
        elif step == "bilateral":
            smooth = cv2.bilateralFilter(image, _BILATERAL_DIAMETER, _BILATERAL_SIGMA, _BILATERAL_SIGMA)
            image = np.asarray(smooth, np.uint8)
        else:
            blurred = cv2.GaussianBlur(image, (0, 0), _UNSHARP_SIGMA)
            sharp = cv2.addWeighted(image, 1 + _UNSHARP_AMOUNT, blurred, -_UNSHARP_AMOUNT, 0)
            image = np.asarray(sharp, np.uint8)
    return image
