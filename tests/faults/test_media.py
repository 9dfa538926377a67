"""Pictures, films and landmark files as cameras, downloads and hostile hands leave them: right, or refused by name."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import scipy.io

from auharness.data.decode import read_image, scan_video_frames
from auharness.data.landmarks.files import load_landmarks
from auharness.errors import DataError
from auharness.records import LandmarkFile

SIDE = 24
FILM = 8


def jpeg(image: npt.NDArray[Any], *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, list(options))[1])


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, pixels: bytes = b"") -> bytes:
    """Return a png whose header says what it is told to."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def with_size(data: bytes, width: int, height: int) -> bytes:
    """Let the frame header of a jpeg say another size."""
    place = data.index(b"\xff\xc0")
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


SOUND: dict[str, Callable[[npt.NDArray[Any]], bytes]] = {
    "jpeg": jpeg,
    "progressive": lambda image: jpeg(image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "grey": lambda image: jpeg(image[..., 0]),
    "png": lambda image: bytes(cv2.imencode(".png", image)[1]),
    "png of 16 bits": lambda image: bytes(cv2.imencode(".png", image.astype(np.uint16) * 257)[1]),
    "png with alpha": lambda image: bytes(cv2.imencode(".png", np.dstack([image, image[..., 0]]))[1]),
    "webp": lambda image: bytes(cv2.imencode(".webp", image)[1]),
    "bmp": lambda image: bytes(cv2.imencode(".bmp", image)[1]),
    "tiff": lambda image: bytes(cv2.imencode(".tiff", image)[1]),
    "single pixel": lambda image: jpeg(image[:1, :1]),
}
"""Pictures that are whole, whatever the name of their file says."""
BAD_IMAGES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "empty": lambda data, chance: b"",
    "cut": lambda data, chance: data[: chance.integers(1, len(data) - 1)],
    "noise": lambda data, chance: chance.bytes(int(chance.integers(1, 5000))),
    "page": lambda data, chance: b"<!DOCTYPE html><html>403 Forbidden</html>",
    "film": lambda data, chance: b"RIFF" + struct.pack("<I", 99) + b"AVI LIST" + bytes(90),
    "head alone": lambda data, chance: data[: int(chance.integers(2, 20))],
    "huge jpeg": lambda data, chance: with_size(data, int(chance.integers(12_000, 65_500)), 65_000),
    "huge png": lambda data, chance: png(int(chance.integers(12_000, 2**31)), int(chance.integers(12_000, 2**31))),
    "30,000 pixels": lambda data, chance: png(30_000, 30_000, pixels=bytes(3000)),
    "no pixels": lambda data, chance: png(0, int(chance.integers(2))),
    "odd depth": lambda data, chance: png(8, 8, depth=int(chance.choice([3, 7, 64])), colour=5),
}
FLIPS = ("bits", "block", "doubled")
IMAGE_KINDS = (*BAD_IMAGES, *(f"sound {name}" for name in SOUND), *(f"flip {name}" for name in FLIPS))


@pytest.mark.cases("images", *IMAGE_KINDS)
def test_a_picture_is_read_whole_or_refused_by_name(tmp_path: Path, kind: str, chance: np.random.Generator) -> None:
    image = cv2.GaussianBlur(chance.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), (5, 5), 0)
    path = tmp_path / "0001.jpg"
    what, _, name = kind.partition(" ")
    if what == "sound":
        path.write_bytes(SOUND[name](image))
        read = read_image(path)
        assert read.dtype == np.uint8 and read.shape == ((1, 1, 3) if name == "single pixel" else (SIDE, SIDE, 3))
        if name not in ("single pixel", "grey"):
            assert np.abs(read.astype(int) - image[..., ::-1]).mean() < 12
        return
    data = jpeg(image)
    if what == "flip":
        content = bytearray(data)
        start = int(chance.integers(len(content)))
        if name == "bits":
            for place in chance.integers(len(content), size=5):
                content[place] ^= 1 << int(chance.integers(8))
        elif name == "block":
            content[start : start + 40] = chance.bytes(40)
        else:
            content[start:start] = content[start // 2 : start]
        path.write_bytes(content)
    else:
        path.write_bytes(BAD_IMAGES[kind](data, chance))
    try:
        read = read_image(path)
    except DataError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        # damage within entropy-coded data need not be seen; what is known to be bad must be
        assert what == "flip" and read.dtype == np.uint8 and read.ndim == 3


def stripes(number: int) -> npt.NDArray[np.uint8]:
    """Eight stripes, black or white: the frame number in binary."""
    bits = [255 * (number >> bit & 1) for bit in range(8)]
    return np.repeat(np.repeat(np.array(bits, np.uint8), 12)[None, :, None], 64, axis=0).repeat(3, axis=2)


def number_of(image: npt.NDArray[np.uint8]) -> int:
    means = image.reshape(64, 8, 12, 3).mean(axis=(0, 2, 3)) > 127
    return sum(int(on) << bit for bit, on in enumerate(means))


def film(path: Path, *, codec: str = "mpeg4", count: int = FILM, stamps: list[int] | None = None) -> bytes:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=20)
        stream.width, stream.height = 96, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(stripes(number), format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[number], Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def sound(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
        frame.rate, frame.pts = 16000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode())
    return path.read_bytes()


def turned(data: bytes) -> bytes:
    """Let the track header of an mp4 say that the film is to be shown turned by a quarter."""
    one, matrix = struct.pack(">i", 1 << 16), b"tkhd"
    place = data.index(matrix) + 4 + 40
    zero, minus, last = bytes(4), struct.pack(">i", -(1 << 16)), struct.pack(">i", 1 << 30)
    return data[:place] + zero + one + zero + minus + zero + zero + zero + zero + last + data[place + 36 :]


VIDEO_KINDS = (
    *("empty", "noise", "no moov", "cut avi", "bits avi", "bits mp4", "sound alone", "a picture"),
    *("one frame", "varying rate", "turned", "another ending"),
)


@pytest.mark.cases("videos", *VIDEO_KINDS)
def test_a_film_gives_each_frame_its_own_picture_or_a_reason(
    tmp_path: Path, kind: str, chance: np.random.Generator
) -> None:
    path = tmp_path / ("v.avi" if "avi" in kind else "v.mp4")
    count = 1 if kind == "one frame" else FILM
    stamps = np.cumsum(chance.integers(1, 9, FILM)).tolist() if kind == "varying rate" else None
    data = sound(path) if kind == "sound alone" else film(path, count=count, stamps=stamps)
    content = bytearray(data)
    if kind.startswith("bits"):
        for place in chance.integers(200, len(content), size=6):
            content[place] ^= 1 << int(chance.integers(8))
    changes = {
        "empty": b"",
        "noise": chance.bytes(4000),
        "no moov": data[: int(len(data) * chance.uniform(0.1, 0.6))],
        "cut avi": data[: chance.integers(1, len(data))],
        "a picture": jpeg(stripes(3)),
        "turned": turned(data) if kind == "turned" else b"",
    }
    path.write_bytes(changes.get(kind, bytes(content)))
    if kind == "another ending":
        path = path.rename(path.with_suffix(".avi"))
    found = list(scan_video_frames(path, range(FILM)))
    assert [frame for frame, _ in found] == list(range(FILM))
    reasons = {frame: image for frame, image in found if isinstance(image, DataError)}
    assert all(str(reason).startswith(f"{path}: ") and "\n" not in str(reason) for reason in reasons.values())
    if not kind.startswith("bits"):
        numbers = {frame: number_of(image) for frame, image in found if not isinstance(image, DataError)}
        sound_films = {"one frame": 1, "varying rate": FILM, "turned": FILM, "another ending": FILM}
        first = 3 if kind == "a picture" else 0
        assert numbers == {frame: frame + first for frame in numbers}
        expected = sound_films.get(kind)
        assert len(numbers) <= 1 if kind == "a picture" else expected is None or len(numbers) == expected
        assert kind != "cut avi" or sorted(numbers) == list(range(len(numbers)))


def npz(**arrays: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


FACE = np.stack(np.meshgrid(np.linspace(10, 90, 17), np.linspace(10, 90, 4)), axis=-1).reshape(68, 2)
LANDMARK_KINDS = (
    *("cut", "bits", "empty", "noise", "pickle", "shape", "twice", "huge", "bomb"),
    *("mat cut", "mat bits", "mat shape", "mat text", "mat noise", "mat nan"),
    *("pts text", "pts nan", "pts short", "pts bits", "pts huge"),
)


def spoiled(kind: str, chance: np.random.Generator) -> tuple[bytes, str]:
    """Return a bad landmark file and its kind."""
    form, _, damage = kind.rpartition(" ")
    table = {"frame": np.arange(3), "points": np.repeat(FACE[None], 3, axis=0), "valid": np.ones(3, bool)}
    if form == "mat":
        stream: Any = io.BytesIO()
        points: Any = {"shape": FACE[:-1], "text": "no points", "nan": FACE[:66] * np.nan}.get(damage, FACE[:66])
        scipy.io.savemat(stream, {"pts": points})
        content, name = stream.getvalue(), "mat66"
    elif form == "pts":
        lines = [f"{x} {y}" for x, y in FACE]
        at = int(chance.integers(68))
        lines[at] = {"text": "x y", "nan": "nan inf", "short": "", "huge": f"{'9' * 400} 1"}.get(damage, lines[at])
        content, name = "\n".join(["version: 1", "{", *lines, "}"]).encode(), "pts68"
    else:
        changes = {
            "pickle": {"points": np.array([{"a": 1}] * 3, object)},
            "shape": {"points": table["points"][:, :, :1]},
            "twice": {"frame": np.zeros(3, int)},
        }
        content, name = npz(**{**table, **changes.get(damage, {})}), "npz68"
        if damage in ("huge", "bomb"):
            content = _header_bomb(2**62 if damage == "huge" else 2**33)
    if damage == "cut":
        content = content[: chance.integers(len(content))]
    elif damage == "bits":
        flipped = bytearray(content)
        for place in chance.integers(len(content), size=6):
            flipped[place] ^= 1 << int(chance.integers(8))
        content = bytes(flipped)
    elif damage in ("empty", "noise"):
        content = b"" if damage == "empty" else chance.bytes(700)
    return content, name


def _header_bomb(count: int) -> bytes:
    """An npz file of a few bytes whose header speaks of very many points."""
    header = json.dumps({"descr": "<f8", "fortran_order": False, "shape": [count]}).replace("false", "False")
    header = header.replace("[", "(").replace("]", ",)")
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("frame", "points", "valid"):
            archive.writestr(f"{name}.npy", array)
    return stream.getvalue()


@pytest.mark.cases("landmark files", *LANDMARK_KINDS)
def test_a_landmark_file_gives_a_face_none_or_a_reason(tmp_path: Path, kind: str, chance: np.random.Generator) -> None:
    content, name = spoiled(kind, chance)
    path = tmp_path / "points"
    path.write_bytes(content)
    try:
        points = load_landmarks(tmp_path, LandmarkFile("points", name, 1))
    except DataError as error:
        assert str(error).startswith(f"{path}") and "\n" not in str(error)
    else:
        assert points is None or (points.shape == (68, 2) and np.isfinite(points).all())
        assert "bits" in kind or points is None
