"""RetinaFace through onnxruntime: the 68 mean-shape points placed on the five points that the detector finds.

Deng et al., RetinaFace: Single-shot Multi-level Face Localisation in the Wild, CVPR 2020. The weights are the user's:
an ONNX export of the common PyTorch port, whose graph takes `[1, 3, H, W]` BGR less a mean and gives three outputs for
N anchors: boxes `[1, N, 4]`, scores `[1, N, 2]` and points `[1, N, 10]`. Other graphs are refused.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mean_shape import MEAN_SHAPE, fit_similarity, transform
from auharness.errors import DataError

__all__ = ["Face", "RetinaFace", "anchors", "faces", "five_points", "pick"]

_STEPS = (8, 16, 32)
_SIDES = ((16, 32), (64, 128), (256, 512))
"""Pixels between anchors, and sides of the squares there."""
_VARIANCE = (0.1, 0.2)
_MEAN_BGR = (104.0, 117.0, 123.0)
_LONGEST = 640  # pixels of the longer side that the detector sees, where the graph takes any size
_SCORE = 0.5
_OVERLAP = 0.4

Array = npt.NDArray[np.float32]


class Face(NamedTuple):
    """A face that was found, in pixels of the picture."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom."""
    score: float
    points: Array
    """`[5, 2]`: eyes, nose and mouth corners, the image-left ones first."""


class RetinaFace:
    """A detector of one face per picture.

    Args:
        path: ONNX file.

    Raises:
        DataError: if onnxruntime or the file is missing, or the graph is another one.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"landmark source 'retinaface:{path}': expected an ONNX file of RetinaFace, got none")
        try:
            import onnxruntime
        except ImportError:
            raise DataError("landmark source 'retinaface': onnxruntime is missing; install auharness[vision]") from None
        self.path = path
        options = onnxruntime.SessionOptions()
        # one thread, so that the load of the machine is the number of workers
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has one exception class per status, all private
            raise DataError(f"{path}: expected an ONNX file, got: {str(error).splitlines()[0]}") from None

    @staticmethod
    def version(path: Path) -> str:
        """Return what identifies the weights.

        Raises:
            DataError: if the file is missing.
        """
        if not path.is_file():
            raise DataError(f"landmark source 'retinaface:{path}': expected an ONNX file of RetinaFace, got none")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def __call__(self, image: npt.NDArray[np.uint8], *, side: str = "") -> Array | None:
        """Return `[68, 2]` points of the largest face, or None.

        Args:
            image: `[H, W, 3]` RGB.
            side: `left` or `right` for the largest face whose middle lies in that half of the picture.
        """
        face = pick(self.faces(image), image.shape[1], side)
        return None if face is None else transform(fit_similarity(five_points(), face.points), MEAN_SHAPE)

    def faces(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """Return the faces in a picture `[H, W, 3]` RGB, the surest first."""
        fixed = self.session.get_inputs()[0].shape[2:]
        height, width = image.shape[:2]
        if all(isinstance(size, int) for size in fixed):
            tall, wide = (int(size) for size in fixed)
            scale = min(tall / height, wide / width)
        else:
            scale = min(1.0, _LONGEST / max(height, width))
            tall, wide = (-(-round(scale * size) // _STEPS[-1]) * _STEPS[-1] for size in (height, width))
        seen = np.zeros((tall, wide, 3), np.float32)
        small = cv2.resize(image, (min(wide, round(scale * width)), min(tall, round(scale * height))))
        # what lies beside the picture is as grey as the mean, so that it is 0 for the network
        seen[: small.shape[0], : small.shape[1]] = small[..., ::-1].astype(np.float32) - _MEAN_BGR
        feed = {self.session.get_inputs()[0].name: np.ascontiguousarray(seen.transpose(2, 0, 1)[None])}
        boxes, scores, points = self._sorted(self.session.run(None, feed), len(anchors(tall, wide)))
        return faces(boxes, scores, points, anchors(tall, wide), size=(tall, wide), scale=scale)

    def _sorted(self, outputs: Sequence[Array], count: int) -> list[Array]:
        """Return boxes, scores and points of all anchors, whatever their order."""
        by_width = {array.shape[-1]: array.reshape(-1, array.shape[-1]) for array in outputs}
        if len(outputs) != 3 or {width: len(found) for width, found in by_width.items()} != {
            4: count,
            2: count,
            10: count,
        }:
            got = ", ".join(str(list(array.shape)) for array in outputs)
            raise DataError(
                f"{self.path}: expected the outputs of RetinaFace, boxes [1, {count}, 4], scores [1, {count}, 2] and "
                f"points [1, {count}, 10], got {got}; export the PyTorch port with its anchors of 16 to 512 pixels"
            )
        return [by_width[width] for width in (4, 2, 10)]


def anchors(height: int, width: int) -> Array:
    """Return the anchors of a picture, `[N, 3]`: middle x and y, and side, in pixels."""
    found = []
    for step, sides in zip(_STEPS, _SIDES, strict=True):
        y, x, side = np.meshgrid(np.arange(-(-height // step)), np.arange(-(-width // step)), sides, indexing="ij")
        found.append(np.stack([(x + 0.5) * step, (y + 0.5) * step, side], axis=-1).reshape(-1, 3))
    return np.concatenate(found).astype(np.float32)


def faces(
    boxes: Array, scores: Array, points: Array, places: Array, *, size: tuple[int, int], scale: float
) -> list[Face]:
    """Return the faces that network outputs stand for, the surest first, without those that overlap a surer one.

    Boxes and points are offsets from the anchors in shares of their side times 0.1, sizes logarithms times 0.2.

    Args:
        boxes: `[N, 4]`.
        scores: `[N, 2]` probabilities or logits of no face and face.
        points: `[N, 10]`.
        places: `[N, 3]` from `anchors`.
        size: height and width of what the network saw.
        scale: from the picture to what the network saw.
    """
    if (scores < 0).any() or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        scores = np.exp(scores - np.logaddexp(scores[:, :1], scores[:, 1:]))
    sure = np.flatnonzero(scores[:, 1] >= _SCORE)
    middle, side = places[sure, :2], places[sure, 2:]
    centre = middle + _VARIANCE[0] * boxes[sure, :2] * side
    half = side * np.exp(_VARIANCE[1] * boxes[sure, 2:]) / 2
    # anchors are measured at pixel borders, points at pixel centres
    corners = (middle[:, None] + _VARIANCE[0] * points[sure].reshape(-1, 5, 2) * side[:, None]) / scale - 0.5
    low, high = (centre - half) / scale, (centre + half) / scale
    rectangles = np.concatenate([low, high - low], axis=1)
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores[sure, 1].tolist(), _SCORE, _OVERLAP)
    limit = np.array([size[1], size[0]]) / scale
    found = []
    for i in np.asarray(kept, np.int64).ravel().tolist():
        (left, top), (right, bottom) = np.maximum(low[i], 0).tolist(), np.minimum(high[i], limit).tolist()
        found.append(Face((left, top, right, bottom), float(scores[sure[i], 1]), corners[i].astype(np.float32)))
    return sorted(found, key=lambda face: -face.score)


def pick(found: Sequence[Face], width: int, side: str = "") -> Face | None:
    """Return the largest face, of those in one half of the picture if `side` is `left` or `right`."""
    halves = {"left": lambda x: x < width / 2, "right": lambda x: x >= width / 2}
    fits = [face for face in found if side not in halves or halves[side]((face.box[0] + face.box[2]) / 2)]
    return max(fits, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]), default=None)


def five_points() -> Array:
    """Return eyes, nose and mouth corners of the mean shape, `[5, 2]`."""
    eyes = [MEAN_SHAPE[36:42].mean(axis=0), MEAN_SHAPE[42:48].mean(axis=0)]
    return np.stack([*eyes, *MEAN_SHAPE[[30, 48, 54]]]).astype(np.float32)
