"""The frames of a clip that is known by its number: a folder of images or a video, padded or not."""

import re
from collections.abc import Sequence
from pathlib import Path

from auharness.data.decode import count_video_frames
from auharness.data.layout import names_in
from auharness.data.problems import Problems
from auharness.errors import DataError
from auharness.records import Media

__all__ = ["ClipMedia"]

VIDEOS = (".mp4", ".avi")
IMAGE = re.compile(r"(?:.*[^0-9])?([0-9]+)\.(?:jpe?g|png)", re.IGNORECASE)


class ClipMedia:
    """The clips below one folder; its names are read once.

    Args:
        root: dataset root.
        folder: where the clips lie, relative to the root.
        digits: digits of a padded clip number.
    """

    def __init__(self, root: Path, folder: str, *, digits: int) -> None:
        self.root = root
        self.folder = folder
        self.digits = digits
        self._names = {name.lower(): name for name in names_in(root / folder)}

    def names(self, clip: int) -> tuple[str, ...]:
        """Return the names that are tried for a clip, in this order."""
        stems = dict.fromkeys((f"{clip:0{self.digits}d}", str(clip)))
        return (*stems, *(stem + suffix for suffix in VIDEOS for stem in stems))

    def read(self, clip: int, problems: Problems) -> dict[int, Media]:
        """Return frame number -> medium, ascending; empty where there is no frame.

        The number of an image is the last number in its name, that of a video's frame its place from 0. Two images of
        one number and a video that cannot be read are reported, and give no frames.
        """
        for name in self.names(clip):
            if name in self._names:
                place = f"{self.folder}/{self._names[name]}"
                found = _video(self.root, place, problems) if name.endswith(VIDEOS) else self._images(place, problems)
                if found:
                    return found
        return {}

    def _images(self, place: str, problems: Problems) -> dict[int, Media]:
        found: dict[int, str] = {}
        twice: list[Sequence[str]] = []
        for name in names_in(self.root / place):
            match = IMAGE.fullmatch(name)
            if match and found.setdefault(int(match[1]), name) != name:
                twice.append((found[int(match[1])], name))
        for names in twice:
            problems.add(place, None, column="image", expected="each frame once", got=" and ".join(names))
        return {number: Media(f"{place}/{found[number]}") for number in sorted(found)}


def _video(root: Path, place: str, problems: Problems) -> dict[int, Media]:
    try:
        return {frame: Media(place, frame) for frame in range(count_video_frames(root / place))}
    except DataError as error:
        got = str(error).rpartition(" got")[2].lstrip(": ")
        problems.add(place, None, column="video", expected="one that FFmpeg reads", got=got)
        return {}
