"""Landmark sources by name: where the 68 points of a frame come from when its crop is made."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.files import load_landmarks, npz_row, usable
from auharness.data.landmarks.haar import haar_landmarks
from auharness.data.landmarks.mediapipe68 import DEFAULT_TABLE, TABLES, MediaPipeDetector
from auharness.data.landmarks.retinaface import RetinaFace
from auharness.errors import DataError, UsageError, near
from auharness.records import FrameRecord

__all__ = ["SOURCES", "LandmarkSource", "make_source", "source_version"]

LandmarkSource = Callable[[Path, FrameRecord, npt.NDArray[np.uint8]], npt.NDArray[np.float32] | None]
"""Called with dataset root, record and RGB frame `[H, W, 3]`; returns `[68, 2]` in pixels, or None: no face."""

SOURCES = (
    *("vendor", "npz:FOLDER", "mediapipe", *(f"mediapipe:{table}" for table in TABLES)),
    *("retinaface:FILE.onnx", "haar", "mean-shape"),
)
"""Names that `make_source` knows."""


@lru_cache(maxsize=8)
def make_source(name: str) -> LandmarkSource:
    """Return the landmark source of this name.

    `vendor` reads the file that the record names; `npz:FOLDER` reads `FOLDER/SEQUENCE.npz`; `mediapipe` (or
    `mediapipe:TABLE`), `retinaface:FILE.onnx` and `haar` look at the picture; `mean-shape` finds no face, so every
    frame falls back. Where the name of a sequence ends in `_left` or `_right`, RetinaFace looks at that half.

    Raises:
        DataError: if the folder or the package is missing.
        UsageError: if the name is unknown.
    """
    if name == "vendor":
        return _vendor
    if name == "haar":
        return lambda root, record, image: haar_landmarks(image)
    if name == "mean-shape":
        return lambda root, record, image: None
    if name.startswith("npz:"):
        return _npz(_npz_folder(name))
    if name.startswith("retinaface:"):
        return _retinaface(_file(name))
    if name in SOURCES and name.startswith("mediapipe"):
        detector = MediaPipeDetector(table=name.partition(":")[2] or DEFAULT_TABLE)
        return lambda root, record, image: detector(image)
    raise UsageError(f"landmark source {name!r}: expected one of {', '.join(SOURCES)}{near(name, SOURCES)}")


def source_version(name: str) -> str:
    """Return what identifies the points that a source gives, beside the dataset's own files; part of the cache key.

    Raises:
        DataError: if the folder or the package is missing.
    """
    if name.startswith("npz:"):
        folder = _npz_folder(name)
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.npz")):
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
        return f"npz:{digest.hexdigest()}"
    if name.startswith("retinaface:"):
        return f"retinaface:{RetinaFace.version(_file(name))}"
    if name.startswith("mediapipe"):
        table = name.partition(":")[2] or DEFAULT_TABLE
        return f"mediapipe:{table}:{MediaPipeDetector(table=table).version}"
    return name


def _vendor(root: Path, record: FrameRecord, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    return None if record.landmarks is None else load_landmarks(root, record.landmarks, image=image)


def _file(name: str) -> Path:
    return Path(name.partition(":")[2]).expanduser()


def _retinaface(path: Path) -> LandmarkSource:
    detector = RetinaFace(path)

    def look(root: Path, record: FrameRecord, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        side = record.sequence.rpartition("_")[2].lower()
        return detector(image, side=side if side in ("left", "right") else "")

    return look


def _npz_folder(name: str) -> Path:
    folder = Path(name.removeprefix("npz:")).expanduser()
    if not folder.is_dir():
        raise DataError(f"landmark source {name!r}: expected a folder of npz files at {folder}, got none")
    return folder


def _npz(folder: Path) -> LandmarkSource:
    def rows(root: Path, record: FrameRecord, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        path = folder / f"{record.sequence}.npz"
        try:
            points = npz_row(path, record.frame)
        except FileNotFoundError:
            raise DataError(f"{path}: expected the landmarks of sequence {record.sequence}, got no file") from None
        return points if points is not None and usable(points, (image.shape[0], image.shape[1])) else None

    return rows
