from collections import Counter
from pathlib import Path

import cv2
import pytest
from openpyxl import load_workbook

from auharness.data.au_notation import parse_aus
from auharness.data.synthetic.layouts import samm
from auharness_plugins.datasets.samm import SAMM

SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"


def lines(root: Path) -> list[list[object]]:
    (sheet,) = load_workbook(root / SHEET).worksheets
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def test_the_29_subjects_with_clips_are_there() -> None:
    everyone = samm.subjects(size="small")
    assert len(everyone) == 29 and (everyone[0], everyone[-1]) == ("006", "037")
    assert not {"008", "027", "029"} & set(everyone)


def test_the_header_is_the_fourteenth_row(samm_tiny: Path) -> None:
    held = lines(samm_tiny)
    assert held[13] == [
        "Subject",
        "Filename",
        "Inducement Code",
        "Onset Frame",
        "Apex Frame",
        "Offset Frame",
        "Duration",
        "Micro",
        "Action Units",
        "Estimated Emotion",
        "Objective Classes",
        "Notes",
    ]
    assert "rendered faces" in str(held[0][0]) and len(held) == 14 + 12


def test_every_frame_of_a_row_is_in_the_vendors_folder(samm_tiny: Path) -> None:
    for subject, name, _, onset, apex, offset, duration, *_ in lines(samm_tiny)[14:]:
        assert onset < apex < offset and duration == offset - onset + 1
        folder = samm_tiny / "Cropped" / str(subject) / str(name)
        assert all((folder / f"{subject}_{number:05d}.jpg").is_file() for number in range(onset, offset + 1))


def test_frames_are_grey(samm_tiny: Path) -> None:
    path = next(iter(sorted(samm_tiny.rglob("*.jpg"))))
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (180, 150)


def test_the_reader_finds_what_the_faces_show(samm_tiny: Path) -> None:
    shown = {
        f"{clip.subject}/{samm._name(clip)}": {au for _, au in clip.code.actions} & set(samm.AUS)
        for clips in samm._clips("tiny", 0).values()
        for clip in clips
    }
    records = list(SAMM(root=samm_tiny).records())
    assert {record.sequence: {au for au in samm.AUS if record.labels[au]} for record in records} == shown
    assert all(30 <= len(record.frames) <= 32 for record in records)


@pytest.mark.parametrize(
    ("policies", "au7", "au12"),
    [
        ({}, 46, 28),
        ({"or_policy": "first"}, 46, 28),
        ({"or_policy": "second"}, 46, 28),
        ({"or_policy": "drop"}, 46, 26),
        ({"or_policy": "all"}, 46, 30),
        ({"ref_policy": "drop"}, 44, 28),
    ],
)
def test_open_rows_count_as_in_the_vendors_sheet(policies: dict[str, str], au7: int, au12: int, tmp_path: Path) -> None:
    samm.write_shared(tmp_path, samm.subjects(size="full"), size="full", seed=0)
    held = lines(tmp_path)[14:]
    counts = Counter(au for row in held for au in parse_aus(str(row[8]), **policies))
    assert (len(held), counts[2], counts[4], counts[7], counts[12]) == (159, 18, 23, au7, au12)


def test_classes_and_durations_go_with_the_rest_of_the_row(samm_tiny: Path) -> None:
    for row in lines(samm_tiny)[14:]:
        assert row[7] == "Micro" and row[2] == int(str(row[1]).split("_")[1])
        assert (row[10] == 1) == (row[9] == "Happiness") and 1 <= row[10] <= 7


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_names_are_unique_in_a_subject(size: str) -> None:
    for clips in samm._clips(size, 0).values():
        assert len({samm._name(clip) for clip in clips}) == len(clips)
