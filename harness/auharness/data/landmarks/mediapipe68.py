"""MediaPipe face mesh as dlib-68 through one of three published vertex tables.

| table | origin | note |
|---|---|---|
| `a` | the table most copied between repositories | jaw follows the mesh contour loosely |
| `b` | PeizhiYan/Mediapipe_2_Dlib_Landmarks (MIT) | default; some points are the mean of two vertices |
| `c` | cosanlab/py-feat, `DLIB68_FROM_MP478` (MIT) | its jaw puts the chin at index 10, so not for jaw geometry |

Eyes agree in all three; the tables differ in the jaw, the outer brow ends, the nose and two lower-lip points.
"""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from auharness.errors import DataError

__all__ = ["DEFAULT_TABLE", "TABLES", "MediaPipeDetector", "mesh_to_68"]

DEFAULT_TABLE = "b"

_EYES = "33 160 158 133 153 144 362 385 387 263 373 380"
_INNER_LIP = "78 82 13 312 308 317 14 87"
_TEXT = {
    "a": "162 234 93 58 172 136 149 148 152 377 378 365 397 288 323 454 389 "
    "71 63 105 66 107 336 296 334 293 301 168 197 5 4 75 97 2 326 305 "
    f"{_EYES} 61 39 37 0 267 269 291 405 314 17 84 181 {_INNER_LIP}",
    "b": "127 234 93 132+58 58+172 136 150 176 152 400 379 365 397+288 361 323 454 356 "
    "70 63 105 66 107 336 296 334 293 300 168+6 197+195 5 4 75 97 2 326 305 "
    f"{_EYES} 61 39 37 0 267 269 291 321 314 17 84 91 {_INNER_LIP}",
    "c": "127 234 93 132 58 172 136 150 176 148 152 377 400 379 365 397 356 "
    "70 63 105 66 107 336 296 334 293 300 168 6 195 4 240 75 1 305 460 "
    f"{_EYES} 61 39 37 0 267 269 291 405 314 17 84 181 {_INNER_LIP}",
}

TABLES = MappingProxyType(
    {
        name: tuple(tuple(int(vertex) for vertex in point.split("+")) for point in text.split())
        for name, text in _TEXT.items()
    }
)
"""Table name -> for each of the 68 points the mesh vertices whose mean it is."""

_INSTALL = (
    "pip install --no-deps mediapipe==0.10.21 && pip install absl-py attrs flatbuffers matplotlib 'protobuf>=6.31.1,<7'"
)


def mesh_to_68(mesh: npt.ArrayLike, *, table: str = DEFAULT_TABLE) -> npt.NDArray[np.float32]:
    """Return 68 points from a face mesh.

    Args:
        mesh: `[468 | 478, 2]` in any unit.
        table: `a`, `b` or `c`.

    Returns:
        `[68, 2]` in the unit of the mesh.
    """
    vertices = np.asarray(mesh, dtype=np.float64)
    return np.array([vertices[list(point)].mean(axis=0) for point in TABLES[table]], dtype=np.float32)


def _mediapipe() -> ModuleType:
    try:
        module = import_module("mediapipe")
    except ImportError as error:
        raise DataError(f"landmark source 'mediapipe': {error}; install it with: {_INSTALL}") from None
    if not hasattr(module, "solutions"):
        found = getattr(module, "__version__", "unknown")
        raise DataError(f"landmark source 'mediapipe': expected version 0.10.21, got {found}; run: {_INSTALL}")
    return module


class MediaPipeDetector:
    """Face mesh of the most prominent face; works offline, as the model is part of the package.

    Raises:
        DataError: if MediaPipe is not installed or is a release without the face mesh.
    """

    def __init__(self, *, table: str = DEFAULT_TABLE) -> None:
        self.table = table
        module = _mediapipe()
        self.version = str(module.__version__)
        self._open: Callable[..., Any] = module.solutions.face_mesh.FaceMesh
        self._mesh: Any = None

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        """Return 68 points `[68, 2]` in pixels of an RGB picture `[H, W, 3]`, or None if no face is found."""
        if self._mesh is None:
            # each frame on its own: tracking would make the points depend on the order of the frames
            self._mesh = self._open(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
        faces = self._mesh.process(np.ascontiguousarray(image)).multi_face_landmarks
        if not faces:
            return None
        height, width = image.shape[:2]
        # the mesh is in fractions of the picture, measured at pixel borders
        mesh = np.array([(p.x * width - 0.5, p.y * height - 0.5) for p in faces[0].landmark])
        return mesh_to_68(mesh, table=self.table)
