from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from openpyxl import Workbook

from auharness.data.synthetic.film_file import write_film

Sheet = Sequence[Sequence[object]]

BP4D_HEADER = ["0", "1", "2", "4", "5", "6", "7", "10", "12", "14", "15", "17", "23", "24"]
CASME2_HEADER = [
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion")
]
SAMM_HEADER = [
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro"),
    *("Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
]


def write_jpg(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))


@pytest.fixture
def bp4d_root(tmp_path: Path) -> Callable[..., Path]:
    """Write one sequence of a vendor tree; call again to add sequences."""

    def write(
        rows: Sheet,
        *,
        sequence: str = "F001_T1",
        header: Sequence[str] = BP4D_HEADER,
        images: str = "2D+3D",
        stem: str = "{}",
        frames: Sequence[int] | None = None,
        newline: str = "\n",
        bom: bool = False,
    ) -> Path:
        sheet = tmp_path / "AUCoding" / "AU_OCC" / f"{sequence}.csv"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        content = newline.join(lines) + newline
        sheet.write_bytes(content.encode("utf-8-sig" if bom else "utf-8"))
        subject, task = sequence.split("_")
        at = list(header).index("0") if "0" in header else 0
        numbers = [int(str(row[at])) for row in rows] if frames is None else frames
        for number in numbers:
            write_jpg(tmp_path / images / subject / task / f"{stem.format(number)}.jpg")
        return tmp_path

    return write


@pytest.fixture
def disfa_root(tmp_path: Path) -> Callable[..., Path]:
    """Write one subject of a vendor tree: label files of 12 AUs, an empty video file, landmark files."""

    def write(
        intensities: Mapping[int, Sequence[int]],
        *,
        subject: str = "SN001",
        frames: int = 3,
        videos: str = "Video_LeftCamera",
        video: str = "LeftVideoSN001_comp.avi",
        landmarks: Sequence[int] = (),
    ) -> Path:
        folder = tmp_path / "ActionUnit_Labels" / subject
        folder.mkdir(parents=True, exist_ok=True)
        for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
            values = intensities.get(au, [0] * frames)
            text = "".join(f"{frame},{value}\n" for frame, value in enumerate(values, start=1))
            (folder / f"{subject}_au{au}.txt").write_text(text)
        (tmp_path / videos).mkdir(exist_ok=True)
        (tmp_path / videos / video).write_bytes(b"")
        points = tmp_path / "Landmark_Points" / subject / "tmp_frame_lm"
        points.mkdir(parents=True, exist_ok=True)
        for index in landmarks:
            scipy.io.savemat(points / f"{subject}_{index:04d}_lm.mat", {"pts": np.full((66, 2), float(index))})
        return tmp_path

    return write


def _write_clips(
    root: Path, name: str, preamble: Sheet, header: Sequence[object], rows: Sheet, image: Callable[[str, str, int], str]
) -> Path:
    book = Workbook()
    for row in (*preamble, header, *rows):
        book.active.append(list(row))
    book.save(root / name)
    at = {str(title).replace(" ", ""): place for place, title in enumerate(header)}
    for row in rows:
        subject, filename, onset, offset = (
            row[at[key]] for key in ("Subject", "Filename", "OnsetFrame", "OffsetFrame")
        )
        if str(onset).isdigit() and str(offset).isdigit():
            for frame in range(int(str(onset)), int(str(offset)) + 1):
                path = root / image(str(subject), str(filename).strip(), frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return root


@pytest.fixture
def casme2_root(tmp_path: Path) -> Callable[..., Path]:
    """Write the sheet of (subject, file name, onset, offset, AUs) rows and their empty images."""

    def write(
        rows: Sheet,
        *,
        name: str = "CASME2-coding-20190701.xlsx",
        header: Sequence[object] = CASME2_HEADER,
        image: str = "Cropped/sub{0:02d}/{1}/reg_img{2}.jpg",
        root: Path = tmp_path,
    ) -> Path:
        cells = [[s, file, None, on, "/", off, None, aus, "others"] for s, file, on, off, aus in rows]
        return _write_clips(root, name, (), header, cells, lambda s, file, frame: image.format(int(s), file, frame))

    return write


@pytest.fixture
def samm_root(tmp_path: Path) -> Callable[..., Path]:
    """Write the sheet of (subject, file name, onset, offset, AUs) rows below its preamble and their empty images."""

    def write(rows: Sheet, *, folder: str = "Cropped", preamble: int = 13) -> Path:
        lines = [[f"Subject: line {number} of the key"] for number in range(preamble)]
        cells = [[s, file, 1, on, on, off, 71, "Micro - 1/2", aus, "Anger", 3, None] for s, file, on, off, aus in rows]
        image = f"{folder}/{{0}}/{{1}}/{{0}}_{{2:05d}}.jpg"
        name = "SAMM_Micro_FACS_Codes_v2.xlsx"
        return _write_clips(tmp_path, name, lines, SAMM_HEADER, cells, image.format)

    return write


Lists = Mapping[str, Sequence[tuple[object, object]]]


@pytest.fixture
def dfew_root(tmp_path: Path) -> Callable[..., Path]:
    """Write lists of (clip, label) rows by split, and three empty images of every clip; call again to add more."""

    def write(
        lists: Lists,
        *,
        form: str = "EmoLabel_DataSplit/{part}(single-labeled)/set_{fold}.csv",
        row: str = "{clip},{label}",
        header: str = "video_name,label\n",
        folder: str = "Clip/clip_224x224",
        clip: str = "{:05d}",
        images: Sequence[str] = ("00001.jpg", "00002.jpg", "00003.jpg"),
        root: Path = tmp_path,
    ) -> Path:
        for split, rows in lists.items():
            fold, part = split.removeprefix("fold").split("/")
            path = root / form.format(fold=fold, part=part)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(header + "".join(row.format(clip=name, label=label) + "\n" for name, label in rows))
            for name in [str(name) for name, _ in rows if str(name).isdigit()]:
                place = root / folder / clip.format(int(name))
                place.mkdir(parents=True, exist_ok=True)
                for image in images:
                    (place / image.format(int(name))).touch()
        return root

    return write


AFFWILD2_HEADER = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"


@pytest.fixture
def affwild2_root(tmp_path: Path) -> Callable[..., Path]:
    """Write the label file of one video and its empty images; call again to add videos.

    A row is written as it is, or given as one label for all AUs; images are numbers, or names as they are.
    """

    def write(
        rows: Sequence[int | str],
        images: Iterable[int | str] = (1,),
        *,
        video: str = "v",
        part: str = "AU_Detection_Challenge/Train_Set",
        header: str = AFFWILD2_HEADER,
        folder: str = "cropped_aligned",
    ) -> Path:
        sheet = tmp_path / part / f"{video}.txt"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else ",".join([str(row)] * 12) for row in rows]
        sheet.write_text("\n".join([header, *lines]) + "\n")
        (tmp_path / folder / video).mkdir(parents=True, exist_ok=True)
        for image in images:
            (tmp_path / folder / video / (image if isinstance(image, str) else f"{image:05d}.jpg")).touch()
        return tmp_path

    return write


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """Write a film of grey pictures at these ticks of 1/30000 s, below the root."""

    def write(name: str, ticks: Sequence[int], *, rate: Fraction = Fraction(25)) -> Path:
        pictures = [np.full((32, 48, 3), 5 * number % 256, np.uint8) for number in range(len(ticks))]
        write_film(tmp_path / name, pictures, ticks, rate=rate, size=(32, 48), sound=np.zeros(8000, np.float32))
        return tmp_path / name

    return write
