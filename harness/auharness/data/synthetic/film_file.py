"""Films on disk: pictures at any times and a sound track, in the two containers that data sets of the web come in."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.raster import Byte

__all__ = ["TICK", "write_film"]

TICK = 30000
"""Ticks per second of a film's clock; 24, 25, 29.97, 30 and 60 pictures per second fall on it."""

_BIT_RATE = 500_000


def write_film(
    path: Path,
    pictures: Iterable[Byte],
    ticks: Sequence[int],
    *,
    rate: Fraction,
    size: tuple[int, int],
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 16000,
) -> None:
    """Write an mp4 or avi file; the same pictures and sound give the same file.

    Args:
        path: ends in `.mp4` or `.avi`.
        pictures: uint8 [height, width, 3] RGB, one per tick.
        ticks: when each is shown. An avi file has no clock: there they must be evenly spaced, at `rate`. An mp4 file
            keeps the first one to a thousandth of a second, which is 30 ticks, and the others exactly.
        rate: pictures per second, on average.
        size: height and width in pixels, both even.
        sound: mono [n] in [-1, 1] that begins at tick 0, on both channels of an mp4 file; None for a film without a
            sound track.
        sound_rate: its samples per second.
    """
    even = path.suffix == ".avi"
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = _BIT_RATE
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = 1 / rate if even else Fraction(1, TICK)
        if not even:
            # pictures are stored in another order than they are shown, as in most films
            stream.codec_context.max_b_frames = 2
        # streams must stand before the first packet
        track = None
        if sound is not None:
            track = container.add_stream("pcm_s16le" if even else "aac", rate=sound_rate)
            track.layout = "mono" if even else "stereo"
        for number, (picture, tick) in enumerate(zip(pictures, ticks, strict=True)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number if even else tick, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None and sound is not None:
            for part in _seconds(sound, sound_rate):
                container.mux(track.encode(part))
            container.mux(track.encode())


def _seconds(sound: NDArray[np.float32], rate: int) -> Iterator[av.AudioFrame]:
    samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    for start in range(0, len(samples), rate):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + rate], format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame
