"""Aff-Wild2: people in films from the web, 12 AUs coded frame by frame, with sound.

Kollias and Zafeiriou, Aff-Wild2: Extending the Aff-Wild Database for Affect Recognition, 2018; AU track of the ABAW
competitions from 2022 on. 541 videos: a training, a validation and a test part, whose labels are not handed out.

Decisions where copies and loaders differ:
- row i of a label file belongs to image `%05d.jpg` of number i and to picture i of the video, counted from 1. Rows,
  images and pictures differ in number in three quarters of the videos, by up to 2,487: nothing is matched by counting.
  Rows and images beyond the end of the others are counted, and never shift the rest;
- the challenge scores every coded row, so a coded row without an image is kept and shows the image whose number is
  nearest, of two the earlier. How many these are stands in `remarks` (`n_filled`; 2,829 training and 9 validation rows
  in the copy whose counts are published); most loaders leave them out;
- -1 is not coded, AU by AU. Rows in which no AU is coded are left out, as in the published counts. In the vendor's
  files -1 stands in whole rows; those in which only some AUs are -1 are counted (`n_partly_coded`);
- a second folder of images, `cropped_aligned_new_50_vids`, belongs to the first. Labelled videos without any image are
  an error unless `on_missing_crops` is `drop`, as leaving them out changes what is scored;
- `_left`, `_right` and `_main` name one of several people in a film; the film, and its sound, have the name without it;
- times are the time stamps of the film: 15 to 60 frames per second, in some films varying. Rows behind its last picture
  go on at its usual pace. Without the film times are counted at 30 frames per second, and there is no sound;
- the 2020 edition (8 AUs, scored otherwise) and the file of the multi-task track are other data and refused by name;
- test frames are those of the vendor's list, where it is below the root: no AU of them is coded.

The images are the vendor's crops of 112 x 112 pixels; models say by `preprocess` to what they are enlarged. With
`crop=film` they are the whole pictures of the films, as papers that detect faces anew take them: a landmark source that
looks at pictures finds the faces, e.g. `preprocess.landmarks=retinaface:FILE.onnx` with `preprocess.align=similarity`.
Rows behind a film's last picture show that picture, and are counted as filled.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from auharness.api import DatasetPlugin
from auharness.data.decode import video_times
from auharness.data.layout import child, missing_data, names_in, numbered, read_lines
from auharness.data.problems import Problems
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import FrameRecord, LandmarkFile, Media, au_name

AUS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
HEADER = ",".join(map(au_name, AUS))
OTHERS = {
    "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25": "the 2020 edition, 8 AUs that were coded and scored otherwise",
    "image,valence,arousal,expression": "the multi-task track, whose rows name images of several videos",
}
"""How a header begins -> what the file is; neither can stand in for the AU track."""
CODES = {"0": 0, "1": 1, "-1": -1}
NOT_CODED: Mapping[int, int] = dict.fromkeys(AUS, -1)
PARTS = {"train": "Train_Set", "validation": "Validation_Set"}
LIST = "*_AU_test_set*.txt"
IMAGE = re.compile(r"(.+)/([0-9]{1,9})\.jpg", re.IGNORECASE)
PERSON = re.compile(r"_(left|right|main)$", re.IGNORECASE)
FILMS = (".mp4", ".avi", ".MP4", ".AVI")
ROWS = {"train": 1_359_523, "validation": 445_845, "test": 729_736}
"""Coded rows as published, and rows of the test list."""
RATES = (11.8, 5.0, 15.4, 26.6, 39.7, 34.4, 24.5, 2.8, 3.1, 2.6, 62.7, 7.4)
"""Rows with each AU in the training part, in percent, as published."""
SHOWN = 5
"""Examples of videos in a message."""


@dataclass(frozen=True, slots=True)
class _Video:
    """The rows of one label file or of one video of the test list."""

    split: str
    name: str
    file: str
    """Relative to the root."""
    rows: Mapping[int, Mapping[int, int]]
    """Frame number -> AU -> label, by frame, of rows with a coded AU and of test rows."""
    last: int
    """Number of the last row, coded or not."""

    @property
    def counts(self) -> dict[str, int]:
        """How often rows are not or partly coded."""
        partly = sum(len({label >= 0 for label in labels.values()}) == 2 for labels in self.rows.values())
        not_coded = 0 if self.split == "test" else self.last - len(self.rows)
        return {"n_not_coded": not_coded, "n_partly_coded": partly}


class AffWild2(DatasetPlugin):
    """Reads label files, crops and films as the licence holder receives them, and optional landmarks per video.

    `landmarks/<video>.npz` (arrays `frame`, `points`, `valid`, in pixels of the crops) is used where it lies beside
    them. `audio` names the film whether it has sound or not.
    """

    name: ClassVar[str] = "affwild2"
    paper: ClassVar[str] = "Kollias and Zafeiriou, 2018; ABAW competitions, CVPR 2022 to 2025"
    aus: ClassVar[tuple[int, ...]] = AUS
    fps: ClassVar[float] = 30.0  # of most films; true times come from the films
    published_within: ClassVar[float] = 0.001
    layout: ClassVar[str] = (
        "AU_Detection_Challenge/Train_Set/<video>.txt, cropped_aligned/<video>/00001.jpg and <video>.mp4 or .avi"
    )

    crop: Literal["vendor", "film"] = Field(
        "vendor",
        description="the vendor's crops, or whole pictures of the films for a landmark source to find faces in",
    )
    on_missing_crops: Literal["fail", "drop"] = Field(
        "fail", description="labelled videos without any crop: stop, or leave them out and count them"
    )

    def records(self) -> Iterator[FrameRecord]:
        for video in self._videos()[0]:
            images = self._images(video.name)
            numbers = np.array(sorted(images))
            frames = np.array(list(video.rows))
            shown = numbers[_nearest(numbers, frames)].tolist()
            film = self.audio(video.name)
            times = _times(self.root / film, frames).tolist() if film else [None] * len(frames)
            points = f"landmarks/{video.name}.npz"
            cached = self.crop == "vendor" and (self.root / points).is_file()
            for (frame, labels), number, time in zip(video.rows.items(), shown, times, strict=True):
                yield FrameRecord(
                    dataset=self.name,
                    subject=video.name,
                    sequence=video.name,
                    frame=frame,
                    media=images[number],
                    labels=labels,
                    landmarks=LandmarkFile(points, "npz68", number) if cached else None,
                    time_s=time,
                )

    def label_files(self) -> list[Path]:
        return [Path(file) for _, file in self._sheets()] + [Path(file) for file in self._test_lists()]

    def audio(self, sequence: str) -> str | None:
        for folder in self._film_folders():
            for stem in dict.fromkeys((sequence, PERSON.sub("", sequence))):
                for ending in FILMS:
                    if (folder / f"{stem}{ending}").is_file():
                        return (folder / f"{stem}{ending}").relative_to(self.root).as_posix()
        return None

    def splits(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for video in self._videos()[0]:
            found.setdefault(video.split, []).append(video.name)
        return {split: tuple(names) for split, names in found.items()}

    def published_splits(self) -> dict[str, dict[str, int]]:
        rates = {au_name(au): round(rate / 100 * ROWS["train"]) for au, rate in zip(AUS, RATES, strict=True)}
        splits = {split: {"rows": rows} for split, rows in ROWS.items() if split != "test" or self._test_lists()}
        return splits | {"train": splits["train"] | rates}

    def remarks(self) -> dict[str, dict[str, int]]:
        """Return per split how often copies and labels disagree, and how often the reader filled in.

        Videos, rows that show another image, rows without any or without some codes, images behind the last row; videos
        whose rows and pictures differ in number, videos without a film, and videos left out as they have no crop.
        """
        videos, dropped = self._videos()
        found: dict[str, Counter[str]] = {}
        for video in videos:
            numbers = set(self._images(video.name))
            film = self.audio(video.name)
            pictures = len(_film_times(self.root / film)) if film else video.last
            found.setdefault(video.split, Counter()).update(
                {
                    "n_videos": 1,
                    "n_filled": len(video.rows.keys() - numbers),
                    **video.counts,
                    "n_extra_crops": sum(number > video.last for number in numbers),
                    "n_length_differs": int(pictures != video.last),
                    "n_without_film": int(film is None),
                    "n_without_crops": 0,
                }
            )
        for video in dropped:
            found.setdefault(video.split, Counter())["n_without_crops"] += 1
        return {split: dict(counts) for split, counts in found.items()}

    def _videos(self) -> tuple[list[_Video], list[_Video]]:
        """Return what is labelled, by split and name: videos with crops, and those without that are left out."""
        sheets, lists = self._sheets(), self._test_lists()
        if not sheets and not lists:
            raise missing_data(self.name, self.root, "AU_Detection_Challenge/Train_Set/*.txt", self.layout)
        problems = Problems(self.name)
        videos = [_read_sheet(self.root, split, file, problems) for split, file in sheets]
        videos += [video for file in lists for video in _read_list(self.root, file, problems)]
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        videos = [video for video in videos if video.rows]
        if not videos:
            raise missing_data(self.name, self.root, "coded frame", self.layout)
        if self.crop == "vendor" and not self._crop_folders():
            raise missing_data(self.name, self.root, "cropped_aligned folder", self.layout)
        without = [video for video in videos if not self._has_images(video.name)]
        self._refuse_missing([video.name for video in without], len(videos))
        left_out = {video.name for video in without}
        return [video for video in videos if video.name not in left_out], without

    def _refuse_missing(self, without: list[str], labelled: int) -> None:
        if not without or (self.on_missing_crops == "drop" and len(without) < labelled):
            return
        names = ", ".join(without[:SHOWN]) + (", ..." if len(without) > SHOWN else "")
        what, remedy = "crop", "unpack cropped_aligned and cropped_aligned_new_50_vids again"
        if self.crop == "film":
            what, remedy = "film", "copy the films below the root"
        raise DataError(
            f"{self.name}: {len(without)} of {labelled} labelled videos have no {what} in {self.root}: {names}; "
            f"{remedy}, or leave these videos out by --set data.{self.name}.on_missing_crops=drop "
            f"(without data.{self.name}. in `auharness data`)"
        )

    def _sheets(self) -> list[tuple[str, str]]:
        """Return (split, label file relative to the root), by split and name."""
        above = [self.root, *(self.root / name for name in names_in(self.root) if "annotation" in name.lower())]
        for folder in above:
            labels = child(folder, "AU_Detection_Challenge", "AU_Set")
            if labels is not None:
                parts = [(split, child(labels, part)) for split, part in PARTS.items()]
                return [
                    (split, (part / name).relative_to(self.root).as_posix())
                    for split, part in parts
                    for name in names_in(part)
                    if part is not None and name.lower().endswith(".txt")
                ]
        return []

    def _test_lists(self) -> list[str]:
        """Return the vendor's list of test frames, relative to the root; empty where there is none."""
        found = child(self.root, LIST) or child(child(self.root, "AU_Detection_Challenge"), LIST)
        return [found.relative_to(self.root).as_posix()] if found else []

    def _crop_folders(self) -> list[Path]:
        names = [name for name in names_in(self.root) if name.lower().startswith("cropped_aligned")]
        return [self.root / name for name in names]

    def _has_images(self, video: str) -> bool:
        if self.crop == "film":
            return self.audio(video) is not None
        names = (name for above in self._crop_folders() for name in names_in(above / video))
        return any(name.lower().endswith(".jpg") for name in names)

    def _images(self, video: str) -> dict[int, Media]:
        """Return image number -> image; of several folders of crops the first that has the number counts."""
        film = self.audio(video)
        if self.crop == "film" and film is not None:
            return {place + 1: Media(film, place) for place in range(len(_film_times(self.root / film)))}
        found: dict[int, Media] = {}
        for above in self._crop_folders():
            folder = above / video
            for number, names in numbered(folder, ".jpg").items():
                if len(names) > 1:
                    raise DataError(f"{folder}: image is {' and '.join(names)}, expected each number once; delete one")
                found.setdefault(number, Media(f"{above.name}/{video}/{names[0]}"))
        return found

    def _film_folders(self) -> list[Path]:
        """Return the root and the folders below it, two levels deep and without the crops."""
        near = [self.root / name for name in names_in(self.root) if not name.lower().startswith("cropped")]
        folders = [folder for folder in near if folder.is_dir()]
        return [self.root, *folders, *(below / name for below in folders for name in names_in(below))]


def _read_sheet(root: Path, split: str, file: str, problems: Problems) -> _Video:
    """Return the rows of one label file, and report bad ones; an edition that is known to differ ends the reading."""
    header, *lines = read_lines(root / file) or [""]
    columns = ",".join(cell.strip() for cell in header.split(","))
    for beginning, what in OTHERS.items():
        if columns.startswith(beginning):
            raise DataError(
                f"affwild2: {root / file} is of {what}; expected the header {HEADER}, got {columns}; take the labels "
                "of the AU track of ABAW 2022 or later"
            )
    if columns != HEADER:
        problems.add(file, 1, column="header", expected=HEADER, got=columns or "empty")
        return _Video(split, Path(file).stem, file, {}, 0)
    while lines and not lines[-1].strip():
        lines.pop()
    rows: dict[int, Mapping[int, int]] = {}
    for frame, line in enumerate(lines, start=1):
        labels = _labels(line)
        if labels is None:
            expected = f"{len(AUS)} labels 0, 1 or -1 (not coded)"
            problems.add(file, frame + 1, column="row", expected=expected, got=line.strip() or "empty")
        elif labels is not NOT_CODED:
            rows[frame] = labels
    return _Video(split, Path(file).stem, file, rows, len(lines))


@lru_cache(maxsize=8192)
def _labels(line: str) -> Mapping[int, int] | None:
    """Return AU -> label of a row, `NOT_CODED` itself where all are -1, and None for a bad one.

    Rows that are equal share their labels: there are 1.8 million.
    """
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(AUS) or any(cell not in CODES for cell in cells):
        return None
    labels = {au: CODES[cell] for au, cell in zip(AUS, cells, strict=True)}
    return NOT_CODED if labels == NOT_CODED else labels


def _read_list(root: Path, file: str, problems: Problems) -> list[_Video]:
    """Return the videos of the test list, by name; the labels in it only fill the form."""
    header, *lines = read_lines(root / file) or [""]
    expected = f"image_location,{HEADER}"
    if ",".join(cell.strip() for cell in header.split(",")) != expected:
        problems.add(file, 1, column="header", expected=expected, got=header.strip() or "empty")
        return []
    found: dict[str, dict[int, Mapping[int, int]]] = {}
    for row, line in enumerate(lines, start=2):
        location = line.partition(",")[0].strip()
        match = IMAGE.fullmatch(location)
        if match is None:
            if line.strip():
                problems.add(file, row, column="image_location", expected="such as video/00001.jpg", got=location)
        elif int(match[2]) in found.setdefault(match[1], {}):
            problems.add(file, row, column="image_location", expected="each image once", got=f"{location} again")
        else:
            found[match[1]][int(match[2])] = NOT_CODED
    videos = sorted((name, dict(sorted(rows.items()))) for name, rows in found.items())
    return [_Video("test", name, file, rows, max(rows)) for name, rows in videos]


def _nearest(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places in ascending `numbers` that are nearest to those wanted; of two, the earlier."""
    behind = np.searchsorted(numbers, wanted).clip(max=len(numbers) - 1)
    before = (behind - 1).clip(min=0)
    return np.where(np.abs(numbers[before] - wanted) <= np.abs(numbers[behind] - wanted), before, behind)


def _times(film: Path, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the times of pictures in seconds, numbered from 1; those behind the last go on at the usual pace."""
    known = _film_times(film)
    pace = float(np.median(np.diff(known))) if len(known) > 1 else 1 / AffWild2.fps
    inside = frames.clip(max=len(known))
    return np.asarray(known[inside - 1] + pace * (frames - inside), np.float64)


def _film_times(film: Path) -> NDArray[np.float64]:
    status = film.stat()
    return _read_times(film, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_times(film: Path, size: int, changed: int) -> NDArray[np.float64]:
    times = video_times(film)
    if not len(times):
        raise DataError(f"{film}: expected pictures, got none; fetch the file again")
    return times


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return AffWild2
