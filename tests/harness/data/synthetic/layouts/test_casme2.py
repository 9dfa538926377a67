from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from openpyxl import load_workbook

from auharness.data.au_notation import parse_aus
from auharness.data.synthetic.layouts import casme2
from auharness_plugins.datasets.casme2 import CASME2

SHEET = "CASME2-coding-20190701.xlsx"


def rows(root: Path) -> list[list[object]]:
    (sheet,) = load_workbook(root / SHEET).worksheets
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def test_all_26_subjects_are_there() -> None:
    for size in ("small", "full"):
        assert list(casme2.subjects(size=size)) == [f"{number:02d}" for number in range(1, 27)]
    assert list(casme2.subjects(size="tiny")) == [f"{number:02d}" for number in range(1, 7)]


def test_the_header_is_the_vendors_with_two_nameless_columns(casme2_tiny: Path) -> None:
    assert rows(casme2_tiny)[0] == [
        "Subject",
        "Filename",
        None,
        "OnsetFrame",
        "ApexFrame",
        "OffsetFrame",
        None,
        "Action Units",
        "Estimated Emotion",
    ]


def test_every_frame_of_a_row_is_in_the_vendors_folder(casme2_tiny: Path) -> None:
    held = rows(casme2_tiny)[1:]
    assert len(held) == 12 and {type(row[0]) for row in held} == {int}
    for subject, name, _, onset, apex, offset, *_ in held:
        folder = casme2_tiny / "Cropped" / f"sub{subject:02d}" / str(name)
        assert apex == "/" or onset < apex < offset
        assert all((folder / f"reg_img{number}.jpg").is_file() for number in range(onset, offset + 1))


def test_frames_are_colour_and_have_the_vendors_shape(casme2_tiny: Path) -> None:
    path = next(iter(sorted(casme2_tiny.rglob("*.jpg"))))
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image.shape == (170, 140, 3)
    full = casme2.SIZES["full"]
    assert (full.width, full.height) == (280, 340)


def test_the_reader_finds_what_the_faces_show(casme2_tiny: Path) -> None:
    shown = {
        f"{clip.subject}/{casme2._name(clip)}": {au for _, au in clip.code.actions} & set(casme2.AUS)
        for clips in casme2._clips("tiny", 0).values()
        for clip in clips
    }
    records = list(CASME2(root=casme2_tiny).records())
    assert {record.sequence: {au for au in casme2.AUS if record.labels[au]} for record in records} == shown
    assert [len(record.frames) for record in records] == [24] * 12


def test_full_rows_are_the_256_of_the_updated_sheet(tmp_path: Path) -> None:
    casme2.write_shared(tmp_path, casme2.subjects(size="full"), size="full", seed=0)
    held = rows(tmp_path)[1:]
    assert len({(row[0], row[1]) for row in held}) == len(held) == 256
    assert len({row[0] for row in held}) == 26
    counts = Counter(au for row in held for au in parse_aus(str(row[7])))
    assert {au: counts[au] for au in casme2.AUS} == {1: 26, 2: 22, 4: 130, 7: 39, 12: 34, 14: 27, 15: 16, 17: 25}
    assert sum(row[7] == "?" for row in held) == 5


def test_files_depend_on_the_seed_alone(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        casme2.write_subject(tmp_path / name, "02", size="tiny", seed=seed)
        casme2.write_shared(tmp_path / name, ["02"], size="tiny", seed=seed)
    first, again, other = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("first", "again", "other")
    )
    assert first == again and len(first) > 48
    assert not set(first.values()) & set(other.values())


def test_totals_are_what_the_files_hold(tmp_path: Path, casme2_tiny: Path) -> None:
    totals = casme2.write_subject(tmp_path, "04", size="tiny", seed=0)
    own = [record for record in CASME2(root=casme2_tiny).records() if record.subject == "04"]
    assert (totals["sequences"], totals["frames"]) == (len(own), sum(len(record.frames) for record in own))
    assert {au: totals[f"AU{au}"] for au in casme2.AUS} == {
        au: sum(record.labels[au] for record in own) for au in casme2.AUS
    }


def test_a_face_differs_from_other_faces_more_than_it_moves(casme2_tiny: Path) -> None:
    def grey(subject: int, name: object, number: int) -> np.ndarray:
        path = casme2_tiny / "Cropped" / f"sub{subject:02d}" / str(name) / f"reg_img{number}.jpg"
        return cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (35, 42), interpolation=cv2.INTER_AREA)

    held = [row for row in rows(casme2_tiny)[1:] if row[7] != "?" and row[4] != "/"]
    onsets = np.stack([grey(row[0], row[1], row[3]) for row in held]).astype(float)
    apexes = np.stack([grey(row[0], row[1], row[4]) for row in held]).astype(float)
    moved = np.abs(apexes - onsets).mean()
    between = np.abs(apexes[:, None] - apexes[None]).mean(axis=(2, 3))
    assert moved < 0.15 * between[np.triu_indices(len(held), 1)].mean()


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_names_are_unique_in_a_subject(size: str) -> None:
    for clips in casme2._clips(size, 0).values():
        assert len({casme2._name(clip) for clip in clips}) == len(clips)
