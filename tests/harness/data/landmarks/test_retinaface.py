"""The detector's arithmetic against faces that are encoded as its training does."""

import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from auharness.data.landmarks import MEAN_SHAPE, make_source, source_version
from auharness.data.landmarks.retinaface import RetinaFace, anchors, faces, five_points, pick
from auharness.errors import DataError
from auharness.records import FrameRecord, Media

# five points of a face in a box, as shares of the box: eyes, nose, mouth corners
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
FACE, OTHER = (96.0, 80.0, 160.0, 150.0), (300.0, 100.0, 420.0, 240.0)


def encoded(*boxes: tuple[float, float, float, float], size: tuple[int, int]) -> list[np.ndarray]:
    """What the network would say of these faces: offsets from the anchor that fits each best (SSD encoding)."""
    places = anchors(*size)
    output = [np.zeros((len(places), width), np.float32) for width in (4, 2, 10)]
    output[1][:, 0] = 1
    for box in boxes:
        low, high = np.array(box[:2]), np.array(box[2:])
        middle, sides = (low + high) / 2, high - low
        best = int(np.argmin(np.abs(places[:, :2] - middle).sum(axis=1) + np.abs(places[:, 2] - sides.mean())))
        at, side = places[best, :2], places[best, 2]
        output[0][best] = [*(middle - at) / (0.1 * side), *np.log(sides / side) / 0.2]
        output[2][best] = ((low + POINTS * sides - at) / (0.1 * side)).ravel()
        output[1][best] = 0.02, 0.98
    return [array[None] for array in output]


class Session:
    """Stands for onnxruntime's: finds the same faces in every picture and keeps what it was shown."""

    answer: ClassVar[list[np.ndarray]] = []
    shape: ClassVar[list[object]] = [1, 3, "height", "width"]
    seen: ClassVar[list[np.ndarray]] = []

    def __init__(self, *_: object, **__: object) -> None: ...

    def get_inputs(self) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(name="input0", shape=self.shape)]

    def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.seen.append(feed["input0"])
        return self.answer


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is taken for weights."""
    runtime = types.SimpleNamespace(SessionOptions=types.SimpleNamespace, InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(Session, "seen", [])
    path = tmp_path / "retinaface.onnx"
    path.write_bytes(b"weights")
    return path


def test_anchors_are_two_squares_at_the_middle_of_every_cell() -> None:
    found = anchors(64, 96)
    assert len(found) == 2 * (8 * 12 + 4 * 6 + 2 * 3)
    assert found[:3].tolist() == [[4, 4, 16], [4, 4, 32], [12, 4, 16]]
    assert found[-1].tolist() == [80, 48, 512]
    # 16,800 in the picture of the usual export
    assert len(anchors(640, 640)) == 16800


def test_encoded_faces_come_back_in_pixels_of_the_picture() -> None:
    size = (256, 448)
    boxes, scores, points = (array[0] for array in encoded(FACE, OTHER, size=size))
    found = faces(boxes, scores, points, anchors(*size), size=size, scale=0.5)
    assert sorted(face.box for face in found) == [
        pytest.approx(tuple(2 * side for side in box), abs=0.01) for box in (FACE, OTHER)
    ]
    for face in found:
        low, high = np.array(face.box[:2]), np.array(face.box[2:])
        np.testing.assert_allclose(face.points + 0.5, low + POINTS * (high - low), atol=0.01)


def test_logits_are_probabilities_and_unsure_faces_are_none() -> None:
    size = (256, 448)
    boxes, scores, points = (array[0] for array in encoded(FACE, size=size))
    logits = np.log(scores + 1e-6) + 3
    assert [face.score for face in faces(boxes, logits, points, anchors(*size), size=size, scale=1)] == [
        pytest.approx(0.98, abs=1e-3)
    ]
    scores[scores[:, 1] > 0.5] = 0.6, 0.4
    assert faces(boxes, scores, points, anchors(*size), size=size, scale=1) == []


def test_of_overlapping_boxes_the_surest_stays() -> None:
    size = (256, 448)
    boxes, scores, points = (array[0] for array in encoded(FACE, size=size))
    moved = (FACE[0] + 12, FACE[1] + 12, FACE[2] + 12, FACE[3] + 12)
    for array, added in zip((boxes, scores, points), encoded(moved, size=size), strict=True):
        where = encoded(moved, size=size)[1][0][:, 1] > 0.5
        array[where] = added[0][where]
    assert (scores[:, 1] > 0.5).sum() == 2
    scores[encoded(moved, size=size)[1][0][:, 1] > 0.5] = 0.1, 0.9
    (face,) = faces(boxes, scores, points, anchors(*size), size=size, scale=1)
    assert face.box == pytest.approx(FACE, abs=0.01)


def test_the_largest_face_of_a_half_is_taken() -> None:
    size = (256, 448)
    boxes, scores, points = (array[0] for array in encoded(FACE, OTHER, size=size))
    found = faces(boxes, scores, points, anchors(*size), size=size, scale=1)
    chosen = [pick(found, 448, side) for side in ("", "left", "right")]
    assert [face.box[0] for face in chosen if face] == [pytest.approx(x, abs=0.01) for x in (300, 96, 300)]
    assert pick(found, 300, "left") is not None and pick(found[:0], 448) is None
    assert pick([face for face in found if face.box[0] > 200], 448, "left") is None


@pytest.mark.parametrize("shape", [[1, 3, "height", "width"], [1, 3, 256, 448]], ids=["any size", "one size"])
def test_the_mean_shape_lands_on_the_five_points(
    weights: Path, monkeypatch: pytest.MonkeyPatch, shape: list[object]
) -> None:
    monkeypatch.setattr(Session, "shape", shape)
    monkeypatch.setattr(Session, "answer", encoded(FACE, OTHER, size=(256, 448))[::-1])
    image = np.zeros((256, 448, 3), np.uint8)
    image[10, 20] = 200, 100, 50
    points = RetinaFace(weights)(image, side="left")
    assert points is not None and points.shape == (68, 2)
    eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
    expected = np.array(FACE[:2]) + POINTS[:2] * (64, 70) - 0.5
    np.testing.assert_allclose(eyes, expected, atol=4)
    (seen,) = Session.seen
    assert seen.shape == (1, 3, 256, 448) and seen.dtype == np.float32
    assert seen[0, :, 10, 20].tolist() == [50 - 104, 100 - 117, 200 - 123]
    monkeypatch.setattr(Session, "answer", encoded(size=(256, 448)))
    assert RetinaFace(weights)(image) is None


def test_a_face_with_the_proportions_of_the_mean_shape_is_met_exactly(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "POINTS", five_points())
    monkeypatch.setattr(Session, "answer", encoded((96, 80, 176, 160), size=(256, 448)))
    points = RetinaFace(weights)(np.zeros((256, 448, 3), np.uint8))
    assert points is not None
    np.testing.assert_allclose(points, 80 * MEAN_SHAPE + (95.5, 79.5), atol=0.02)


def test_pictures_that_are_larger_are_seen_smaller(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "answer", encoded(FACE, size=(384, 640)))
    (face,) = RetinaFace(weights).faces(np.zeros((720, 1280, 3), np.uint8))
    assert Session.seen[0].shape == (1, 3, 384, 640)
    assert face.box == pytest.approx(tuple(2 * side for side in FACE), abs=0.05)


def test_another_graph_is_refused(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "answer", encoded(FACE, size=(64, 64))[:2])
    with pytest.raises(
        DataError, match=r"expected the outputs of RetinaFace, boxes \[1, 168, 4\].* got \[1, 168, 4\], "
    ):
        RetinaFace(weights)(np.zeros((64, 64, 3), np.uint8))


def test_the_source_looks_at_the_half_that_the_sequence_names(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "answer", encoded(FACE, OTHER, size=(256, 448)))
    source = make_source(f"retinaface:{weights}")
    middles = []
    for name in ("1_left", "1_right", "1"):
        record = FrameRecord("affwild2", name, name, 1, Media("1.mp4", 0), {})
        points = source(weights.parent, record, np.zeros((256, 448, 3), np.uint8))
        assert points is not None
        middles.append(points[:, 0].mean())
    assert middles[0] < 224 < middles[1] == middles[2]


def test_the_version_is_the_content_of_the_file(weights: Path, tmp_path: Path) -> None:
    one = source_version(f"retinaface:{weights}")
    (tmp_path / "same.onnx").write_bytes(b"weights")
    assert one == source_version(f"retinaface:{tmp_path / 'same.onnx'}")
    weights.write_bytes(b"others")
    assert one != source_version(f"retinaface:{weights}")


def test_a_missing_file_or_package_is_one_line(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (make_source, source_version):
        with pytest.raises(DataError, match=r"expected an ONNX file of RetinaFace, got none"):
            ask(f"retinaface:{tmp_path / 'none.onnx'}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match="onnxruntime is missing; install"):
        RetinaFace(weights)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match=r"a\.onnx: expected an ONNX file, got"):
        RetinaFace(tmp_path / "a.onnx")
