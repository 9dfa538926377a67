"""The words of the crop cache: settings, reports and what an opened sequence holds."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from auharness.data import align
from auharness.data.enhance import STEPS, Step
from auharness.errors import UsageError, near

__all__ = ["METHODS", "BadFrame", "CropSettings", "Crops", "SequenceReport", "looks_for_face"]

METHODS: tuple[str, ...] = (*align.METHODS, "haar-eyes")
"""How a face can be aligned; all but the last by its landmarks."""


@dataclass(frozen=True)
class CropSettings:
    """How crops are made.

    Raises:
        UsageError: if the method, a step or the rule for bad frames is unknown, or the size is below 8.
    """

    method: str = "ffhq"
    """`ffhq`, `similarity`, `none` or `haar-eyes`."""
    size: int = 256
    """Side of the square crop in pixels."""
    landmarks: str = "vendor"
    """Name of a landmark source."""
    enhance: tuple[Step, ...] = ()
    """Fixed steps on the finished crop, from left to right."""
    on_bad_frame: Literal["fail", "drop"] = "fail"
    """What to do with frames that cannot be read."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"alignment {self.method!r}: expected one of {', '.join(METHODS)}{near(self.method, METHODS)}"
            )
        for step in self.enhance:
            if step not in STEPS:
                raise UsageError(f"enhancement {step!r}: expected one of {', '.join(STEPS)}{near(step, STEPS)}")
        if self.on_bad_frame not in ("fail", "drop"):
            raise UsageError(f"on_bad_frame {self.on_bad_frame!r}: expected fail or drop")
        if self.size < 8:
            raise UsageError(f"crop size {self.size}: expected at least 8 pixels")


def looks_for_face(method: str, landmarks: str) -> bool:
    """Return whether a crop depends on where the face is, so that a face that is not found says something.

    Whole pictures that are only resized, such as the vendor's own crops, need none.
    """
    return (method, landmarks) != ("none", "mean-shape")


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A frame that cannot be read."""

    frame: int
    path: str
    """The media file, relative to the dataset root."""
    message: str
    """What is wrong, with the file's name."""


@dataclass(frozen=True, slots=True)
class SequenceReport:
    """What became of one sequence."""

    name: str
    n: int
    """Frames with a crop."""
    n_no_face: int
    """Frames among them in which no face was found: the mean shape stands in, or with `haar-eyes` the neighbouring
    frames' box or the whole picture."""
    bad: tuple[BadFrame, ...]
    """Frames left out."""
    cached: bool = False
    """Whether nothing had to be done."""

    @property
    def n_bad(self) -> int:
        """Number of frames left out."""
        return len(self.bad)


class Crops(NamedTuple):
    """The crops of one sequence, read-only."""

    images: npt.NDArray[np.uint8]
    """`[n, size, size, 3]` RGB, a memory map."""
    landmarks: npt.NDArray[np.float32]
    """`[n, 68, 2]` in crop pixels, a memory map."""
    valid: npt.NDArray[np.bool_]
    """`[n]`, False where no face was found in the frame, a memory map."""
    frames: npt.NDArray[np.int32]
    """`[n]`, ascending frame numbers of the label file."""
