from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

Sheet = Sequence[Sequence[object]]

BP4D_HEADER = ["0", "1", "2", "4", "5", "6", "7", "10", "12", "14", "15", "17", "23", "24"]


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
