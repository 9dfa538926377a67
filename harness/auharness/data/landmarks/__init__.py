"""The 68 points of a face, whatever their source: vendor files, npz cache, MediaPipe, Haar box or mean shape."""

from auharness.data.landmarks.files import KINDS, load_landmarks, usable
from auharness.data.landmarks.mean_shape import MEAN_SHAPE, central_box, place_mean_shape
from auharness.data.landmarks.sources import SOURCES, LandmarkSource, make_source, source_version
from auharness.data.landmarks.to68 import POINT_SETS, to_68

__all__ = [
    "KINDS",
    "MEAN_SHAPE",
    "POINT_SETS",
    "SOURCES",
    "LandmarkSource",
    "central_box",
    "load_landmarks",
    "make_source",
    "place_mean_shape",
    "source_version",
    "to_68",
    "usable",
]
