"""Pictures and video frames as RGB arrays; what cannot be decoded is an error that names the file, never a guess."""

import re
import struct
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from auharness.errors import DataError

__all__ = ["DECODERS", "count_video_frames", "read_image", "read_video_frames", "scan_video_frames", "video_times"]

Image = npt.NDArray[np.uint8]

DECODERS = f"opencv {cv2.__version__}, pyav {av.__version__}, ffmpeg {av.ffmpeg_version_info}"
"""Versions of the decoders; part of the crop cache's key."""

# a JPEG marker inside entropy-coded data; FF00 is a stuffed byte, FFD0-FFD7 are restarts, FFFF is filling
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# JPEG segments that hold height and width; C4, C8 and CC are tables
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_PIXELS = 2**26


def read_image(path: Path) -> Image:
    """Return a picture as uint8 RGB `[H, W, 3]`, turned as its EXIF orientation says; grey becomes RGB.

    A JPEG or PNG file that ends early is refused, also where the decoder would fill the rest with grey. Damage in the
    middle of a file whose end is intact is not always detectable.

    Raises:
        DataError: if the file is missing, empty, truncated or no picture.
    """
    data = _bytes(path)
    if data.startswith(b"\xff\xd8"):
        whole, size = _walk_jpeg(data)
        if not whole:
            raise DataError(f"{path}: expected a whole JPEG file, got one that ends early ({len(data)} bytes)")
        _refuse_vast(path, *size)
    if data.startswith(b"\x89PNG"):
        if b"IEND" not in data[-16:]:
            raise DataError(f"{path}: expected a whole PNG file, got one that ends early ({len(data)} bytes)")
        _refuse_vast(path, *struct.unpack(">II", data[16:24]))
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise DataError(f"{path}: expected a picture, got {error.err}") from None
    if image is None:
        raise DataError(f"{path}: expected a picture that OpenCV reads, got {len(data)} bytes that it cannot decode")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable picture, got {error.strerror}") from None
    if not data:
        raise DataError(f"{path}: expected a picture, got a file of zero bytes")
    return data


def _refuse_vast(path: Path, width: int, height: int) -> None:
    """Refuse a header of more pixels than any camera of the field has, before memory is taken for them."""
    if width * height > _MOST_PIXELS:
        raise DataError(f"{path}: expected at most {_MOST_PIXELS} pixels, got a header of {width} x {height}")


def _walk_jpeg(data: bytes) -> tuple[bool, tuple[int, int]]:
    """Return whether the end-of-image marker is there, and (width, height) of the frame header.

    The segments are walked: a thumbnail's own markers lie inside a segment and are skipped.
    """
    position, size = 2, (0, 0)
    while found := _MARKER.search(data, position):
        marker = data[found.end() - 1]
        if marker == 0xD9:
            return True, size
        position = found.end()
        if marker in _FRAME_HEADERS and len(data) >= position + 7:
            height, width = struct.unpack(">HH", data[position + 3 : position + 7])
            size = (width, height)
        if marker not in (0x01, 0xD8):
            position += int.from_bytes(data[position : position + 2], "big")
    return False, size


def count_video_frames(path: Path) -> int:
    """Return the number of pictures in a video's first video stream, without decoding them.

    Raises:
        DataError: if the file is missing, empty, no video, or has no video stream.
    """
    with _opened(path) as container:
        # a packet holds one picture, see `_numbered`
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size and not packet.is_discard)


def video_times(path: Path) -> npt.NDArray[np.float64]:
    """Return when each picture of a video's first video stream is shown, without decoding: `[n]` seconds, ascending.

    Time 0 is the beginning of the file's earliest stream, so that times are those of the sound beside the pictures. The
    frame rate may vary. Where stamps are missing or cannot be trusted, pictures are taken to follow each other evenly.

    Raises:
        DataError: if the file is missing, empty, no video, or has no video stream, or neither stamps nor a frame rate.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        stamps = [packet.pts for packet in packets if packet.pts is not None]
        if len(stamps) < len(packets) or (container.format.name == "avi" and stream.codec_context.has_b_frames):
            if not stream.average_rate:
                raise DataError(f"{path}: expected time stamps or a frame rate, got neither")
            return np.arange(len(packets)) / float(stream.average_rate)
        unit = stream.time_base or Fraction(1, av.time_base)
        start = (container.start_time or 0) / av.time_base
        # multiplied first: 1001 k / 30000 is exact where k times 1001 / 30000 is not
        return np.maximum(np.sort(stamps) * float(unit.numerator) / unit.denominator - start, 0)


def read_video_frames(path: Path, frames: Sequence[int]) -> Iterator[tuple[int, Image]]:
    """Yield (frame, uint8 RGB `[H, W, 3]`) for the wanted 0-based frames, in order, by decoding from the start.

    Args:
        path: a video; its first video stream is read. Rotation tags are not applied.
        frames: strictly increasing frame numbers in order of presentation.

    Raises:
        DataError: if the file is missing, empty, has no video stream or too few frames, or a wanted frame cannot be
            decoded; a later frame never takes its place.
    """
    for frame, image in scan_video_frames(path, frames):
        if isinstance(image, DataError):
            raise image
        yield frame, image


def scan_video_frames(path: Path, frames: Sequence[int]) -> Iterator[tuple[int, Image | DataError]]:
    """Yield each wanted frame or the reason why it is missing; see `read_video_frames`."""
    if any(b <= a for a, b in pairwise(frames)) or (frames and frames[0] < 0):
        raise ValueError("frames must be strictly increasing and not negative")
    if not frames:
        return
    done, seen = 0, 0
    try:
        for index, picture in _pictures(path):
            seen = index + 1
            while done < len(frames) and frames[done] < index:
                yield frames[done], DataError(f"{path}: frame {frames[done]} cannot be decoded")
                done += 1
            if done == len(frames):
                return
            if frames[done] == index:
                yield index, np.asarray(picture.to_ndarray(format="rgb24"), dtype=np.uint8)
                done += 1
            if done == len(frames):
                return
        fault = DataError(f"{path}: expected at least {frames[-1] + 1} video frames, got {seen}")
    except DataError as error:
        fault = error
    for frame in frames[done:]:
        yield frame, fault


def _pictures(path: Path) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (frame number, picture) in order of presentation, leaving out what cannot be decoded."""
    with _opened(path) as container:
        yield from _numbered(path, container)


@contextmanager
def _opened(path: Path) -> Iterator["av.container.InputContainer"]:
    if not path.is_file():
        raise DataError(f"{path}: expected a video, got no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: expected a video, got a file of zero bytes")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: expected a video stream, got none")
            if container.streams.video[0].codec_context is None:
                raise DataError(f"{path}: expected a video in a codec that FFmpeg reads, got an unknown one")
            yield container
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: expected a video that FFmpeg reads, got: {error.strerror}") from None


def _numbered(path: Path, container: "av.container.InputContainer") -> Iterator[tuple[int, av.VideoFrame]]:
    """Number pictures by the rank of their time stamp, or by counting where stamps are missing or cannot be trusted.

    A packet holds one picture, so the rank stays right when an earlier picture is lost; a count does not, so there
    the first fault ends the reading.
    """
    stream = container.streams.video[0]
    context = stream.codec_context
    # one thread, so that the load of the machine is the number of workers
    context.thread_count = 1
    stamps: list[int] = []
    damaged, count = False, 0
    # AVI stores the order of decoding only: with bidirectional frames its stamps of presentation are guesses
    guesses = container.format.name == "avi"
    stamped = True
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            stamped = stamped and packet.pts is not None and not (guesses and context.has_b_frames)
            if stamped and packet.pts is not None:
                insort(stamps, packet.pts)
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            if not stamped:
                raise DataError(f"{path}: frame {count} cannot be decoded ({error.strerror})") from None
            damaged = True
            continue
        for picture in pictures:
            # until the next key frame a picture may be built on the damaged one
            damaged = picture.is_corrupt or (damaged and not picture.key_frame)
            index = bisect_left(stamps, picture.pts) if stamped and picture.pts is not None else count
            count = index + 1
            if not damaged:
                yield index, picture
