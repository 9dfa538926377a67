"""DISFA: 27 subjects, one 20 fps stereo video each, AU intensity coded per frame.

Mavadati et al., DISFA: a spontaneous facial action intensity database, IEEE Transactions on Affective Computing 2013.

Decisions where releases and loaders differ:
- an AU occurs where its intensity is 2 or more (the rule of the published label lists);
- line `1,...` of a label file belongs to image 0 of the video and to the landmark file `SN001_0000_lm.mat`;
- lines need not be sorted; a frame that occurs twice, or that another AU of the subject lacks, is an error;
- vendor landmarks belong to the left camera; with `camera=right` there are none.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from auharness.api import DatasetPlugin
from auharness.data.layout import child, missing_data, names_in, read_lines, whole_number
from auharness.data.problems import Problems
from auharness.data.published import read_counts
from auharness.hookspecs import hookimpl
from auharness.records import FrameRecord, LandmarkFile, Media

OCCURRENCE = 2
"""Smallest intensity (0 to 5) that counts as present."""
INTENSITIES = {str(value): value for value in range(6)}
LANDMARKS = re.compile(r".*?_?(\d+)_lm\.mat", re.IGNORECASE)


class DISFA(DatasetPlugin):
    """Reads the label files, videos and 66-point landmarks that the licence holder receives."""

    name: ClassVar[str] = "disfa"
    paper: ClassVar[str] = "Mavadati et al., IEEE Transactions on Affective Computing 2013"
    aus: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 9, 12, 25, 26)
    fps: ClassVar[float] = 20.0
    layout: ClassVar[str] = "ActionUnit_Labels/SN001/SN001_au1.txt and Video_LeftCamera/LeftVideoSN001_comp.avi"

    camera: Literal["left", "right"] = Field("left", description="which of the two videos is read")

    def records(self) -> Iterator[FrameRecord]:
        subjects = self._subjects()
        side = self.camera.capitalize()
        videos = child(self.root, f"Video_{side}Camera", f"Videos_{side}Camera", f"Video*{side}*Camera*")
        if not subjects:
            raise missing_data(self.name, self.root, "ActionUnit_Labels/SN*/SN*_au*.txt", self.layout)
        if videos is None:
            raise missing_data(self.name, self.root, f"Video_{side}Camera folder", self.layout)
        problems = Problems(self.name)
        found = [record for subject in subjects for record in self._subject(subject, videos, problems)]
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        if not found:
            raise missing_data(self.name, self.root, "coded frame", self.layout)
        yield from found

    def label_files(self) -> list[Path]:
        files = [Path(file) for folder in self._subjects() for file in self._sheets(folder).values()]
        return [file for file in files if (self.root / file).is_file()]

    def published_counts(self) -> dict[str, tuple[int, dict[int, int]]]:
        return read_counts(self.name)

    def _subjects(self) -> list[Path]:
        labels = child(self.root, "ActionUnit_Labels")
        if labels is None:
            return []
        return [labels / name for name in names_in(labels) if re.fullmatch(r"SN\d{3}", name, re.IGNORECASE)]

    def _sheets(self, folder: Path) -> dict[int, str]:
        """Return AU -> label file of one subject, relative to the root; the usual name where it is missing."""
        relative = folder.relative_to(self.root).as_posix()
        names = {name.lower(): name for name in names_in(folder)}
        usual = {au: f"{folder.name}_au{au}.txt" for au in self.aus}
        return {au: f"{relative}/{names.get(name.lower(), name)}" for au, name in usual.items()}

    def _subject(self, folder: Path, videos: Path, problems: Problems) -> list[FrameRecord]:
        """Return the records of one subject by frame, and report its bad lines and a missing video."""
        subject = folder.name.upper()
        sheets = self._sheets(folder)
        codes = {au: _read(self.root, file, problems) for au, file in sheets.items()}
        frames = sorted({frame for column in codes.values() for frame in column})
        for au, column in codes.items():
            # an empty column is a missing file, which is reported already
            for frame in frames if column else ():
                if frame not in column:
                    expected = "a line for every frame of the other AUs"
                    problems.add(sheets[au], None, column=f"frame {frame}", expected=expected, got="missing")
        video = child(videos, f"{self.camera}Video{subject}*.avi")
        if video is None:
            where = f"{videos.name}/{self.camera.capitalize()}Video{subject}_comp.avi"
            problems.add(folder.relative_to(self.root).as_posix(), None, column="video", expected=where, got="missing")
            return []
        media = video.relative_to(self.root).as_posix()
        points = self._landmark_files(subject)
        return [
            FrameRecord(
                dataset=self.name,
                subject=subject,
                sequence=subject,
                frame=frame,
                media=Media(media, frame - 1),
                labels={au: int(column[frame] >= OCCURRENCE) for au, column in codes.items() if frame in column},
                landmarks=LandmarkFile(points[frame - 1], "mat66", frame) if frame - 1 in points else None,
            )
            for frame in frames
        ]

    def _landmark_files(self, subject: str) -> dict[int, str]:
        """Return 0-based video frame -> landmark file."""
        folder = child(child(child(self.root, "Landmark_Points"), subject), "tmp_frame_lm")
        if folder is None or self.camera == "right":
            return {}
        relative = folder.relative_to(self.root).as_posix()
        matches = [LANDMARKS.fullmatch(name) for name in names_in(folder)]
        return {int(match[1]): f"{relative}/{match[0]}" for match in matches if match}


def _read(root: Path, file: str, problems: Problems) -> dict[int, int]:
    """Return frame -> intensity of one label file."""
    path = root / file
    if not path.is_file():
        problems.add(file, None, column="label file", expected="one file per AU", got="missing")
        return {}
    column: dict[int, int] = {}
    for row, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        text, _, intensity = (part.strip() for part in line.partition(","))
        frame = whole_number(text)
        if not frame:
            problems.add(file, row, column="frame", expected="a number from 1", got=text or "empty")
        elif frame in column:
            problems.add(file, row, column="frame", expected="each frame once", got=f"{frame} again")
        elif intensity not in INTENSITIES:
            problems.add(file, row, column="intensity", expected="0 to 5", got=intensity or "empty")
            column[frame] = 0  # known, so that it is not reported as missing too
        else:
            column[frame] = INTENSITIES[intensity]
    if not column:
        problems.add(file, None, column="file", expected="lines such as 1,0", got="without a sound line")
    return column


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return DISFA
