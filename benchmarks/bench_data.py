"""Speed of the data pipeline, one thread: decode pictures and video, cut faces, write and read the crop cache.

`README.md` says how to run it. Peers do the same job with a library alone, on the same files, in the same process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from auharness.data.align import align_face, crop_matrix
from auharness.data.cache import CropCache, CropSettings
from auharness.data.decode import read_image, read_video_frames
from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.records import FrameRecord, Media

HEIGHT, WIDTH = 1392, 1040  # BP4D
FRAMES, SIZE = 32, 256
CROPS = CropSettings("none", SIZE, "mean-shape")

Image = npt.NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG pictures of the size of BP4D's, with edges and noise as a face in a room has."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(FRAMES):
        image = cv2.resize(random.integers(0, 256, (30, 24, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        image = np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video as of DISFA: 640 x 480, here in MPEG-4."""
    path = tmp_path_factory.mktemp("video") / "video.avi"
    random = np.random.default_rng(0)
    still = cv2.resize(random.integers(0, 256, (24, 32, 3), dtype=np.uint8), (640, 480))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 480, "yuv420p", 2_000_000
        for number in range(FRAMES):
            moved = np.roll(still, 3 * number, axis=1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    return path


def image_by_cv2(path: Path) -> Image:
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB), np.uint8)


def image_by_av(path: Path) -> Image:
    with av.open(str(path)) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


@pytest.mark.benchmark(group="decode a picture")
@pytest.mark.parametrize("who", ["auharness", "cv2", "av"])
def test_read_image(benchmark: Any, pictures: Path, who: str) -> None:
    read = {"auharness": read_image, "cv2": image_by_cv2, "av": image_by_av}[who]
    assert benchmark(read, pictures / "000.jpg").shape == (HEIGHT, WIDTH, 3)


def video_by_auharness(path: Path) -> list[Image]:
    return [image for _, image in read_video_frames(path, range(FRAMES))]


def video_by_cv2(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    found: list[Image] = []
    while len(found) < FRAMES:
        _, image = capture.read()
        found.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
    capture.release()
    return found


def video_by_av(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.benchmark(group="decode 32 video frames")
@pytest.mark.parametrize("who", ["auharness", "cv2", "av"])
def test_read_video(benchmark: Any, video: Path, who: str) -> None:
    read = {"auharness": video_by_auharness, "cv2": video_by_cv2, "av": video_by_av}[who]
    assert len(benchmark(read, video)) == FRAMES


@pytest.mark.benchmark(group="cut a face of 256 pixels")
@pytest.mark.parametrize("who", ["auharness", "skimage"])
def test_align_face(benchmark: Any, pictures: Path, who: str) -> None:
    image = read_image(pictures / "000.jpg")
    points = (np.array([300, 450]) + 450 * MEAN_SHAPE).astype(np.float32)
    if who == "auharness":
        crop, _ = benchmark(align_face, image, points, method="ffhq", size=SIZE)
    else:
        transform = pytest.importorskip("skimage.transform")
        matrix = crop_matrix(points, method="ffhq", size=SIZE, image_size=(HEIGHT, WIDTH))
        inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
        options = {"output_shape": (SIZE, SIZE), "order": 1, "mode": "reflect", "preserve_range": True}
        crop = benchmark(transform.warp, image, inverse, **options)
    assert crop.shape == (SIZE, SIZE, 3)


def records(folder: Path) -> list[FrameRecord]:
    names = sorted(path.name for path in folder.glob("*.jpg"))
    return [FrameRecord("made", "S1", "S1/T1", number, Media(name), {}) for number, name in enumerate(names)]


@pytest.mark.benchmark(group="write 32 crops")
@pytest.mark.parametrize("who", ["auharness", "png files"])
def test_write_crops(benchmark: Any, pictures: Path, tmp_path: Path, who: str) -> None:
    """Decode, resize and write; the cache flushes its files to the disk, the png files are left to the system."""
    rounds = iter(range(1000))

    def write() -> None:
        folder = tmp_path / str(next(rounds))
        if who == "auharness":
            CropCache(folder).prepare_sequence(pictures, "S1/T1", records(pictures), CROPS)
            return
        folder.mkdir()
        for record in records(pictures):
            image = image_by_cv2(pictures / record.media.path)[..., ::-1]
            small = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"{record.frame}.png"), small)

    benchmark.pedantic(write, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="read a batch of 16 crops")
@pytest.mark.parametrize("who", ["auharness", "png files"])
def test_read_crops(benchmark: Any, pictures: Path, tmp_path: Path, who: str) -> None:
    which = np.random.default_rng(0).permutation(FRAMES)[:16]
    cache = CropCache(tmp_path / "cache")
    cache.prepare_sequence(pictures, "S1/T1", records(pictures), CROPS)
    crops = cache.sequence("S1/T1")
    for number, image in enumerate(crops.images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[..., ::-1])

    def from_files() -> Image:
        return np.stack([image_by_cv2(tmp_path / f"{number}.png") for number in which])

    batch = benchmark((lambda: np.asarray(crops.images[which])) if who == "auharness" else from_files)
    np.testing.assert_array_equal(batch, crops.images[which])
