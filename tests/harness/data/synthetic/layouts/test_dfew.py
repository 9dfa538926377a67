from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from auharness.data.index import build_index
from auharness.data.synthetic.layouts import dfew
from auharness.data.synthetic.standin import is_standin
from auharness.data.verify import verify
from auharness_plugins.datasets.dfew import DFEW


def test_the_reader_finds_what_the_faces_show(dfew_tiny: Path) -> None:
    records = list(DFEW(root=dfew_tiny).records())
    clips = dfew._clips("tiny", 0)
    assert {record.sequence: record.label for record in records} == {
        name: DFEW.classes[clip.label] for name, clip in clips.items()
    }
    assert [len(record.frames) for record in records] == [clip.frames for clip in clips.values()]
    assert tuple(emotion.name for emotion in dfew.EMOTIONS) == DFEW.classes
    assert min(len(record.frames) for record in records) == 11 and max(len(record.frames) for record in records) == 40


def test_five_folds_partition_the_clips(dfew_tiny: Path, tmp_path: Path) -> None:
    index = build_index(DFEW(root=dfew_tiny), cache=tmp_path)
    everyone = set(index.clips("dfew"))
    tests = [index.split("dfew", f"fold{fold}/test") for fold in range(1, 6)]
    assert sorted(clip for test in tests for clip in test) == sorted(everyone) and len(everyone) == 40
    for fold, test in enumerate(tests, start=1):
        assert set(index.split("dfew", f"fold{fold}/train")) == everyone - set(test)
        classes = index.classes()[index.rows([("dfew", clip) for clip in test], key="clip")]
        assert set(classes.tolist()) == set(range(7))


def test_verify_finds_other_counts_but_no_broken_split(dfew_tiny: Path, tmp_path: Path) -> None:
    data = DFEW(root=dfew_tiny)
    report = verify(data, build_index(data, cache=tmp_path))
    assert report.verified is False and not any("clips" in found.column for found in report.differences)
    assert (report.release, report.media) == ("fold1, fold2, fold3, fold4, fold5", "Clip/clip_224x224")


def test_lists_are_written_as_the_vendor_does(dfew_tiny: Path) -> None:
    lines = (dfew_tiny / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv").read_text().splitlines()
    assert lines[0] == "video_name,label"
    assert all(str(int(cell)) == cell for line in lines[1:] for cell in line.split(","))
    assert {int(line.split(",")[1]) for line in lines[1:]} == set(range(1, 8))


def test_frames_are_colour_squares(dfew_tiny: Path) -> None:
    folder = min((dfew_tiny / "Clip/clip_224x224").iterdir())
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "00001.jpg" and names == [f"{number:05d}.jpg" for number in range(1, len(names) + 1)]
    image = cv2.imread(str(folder / names[0]), cv2.IMREAD_UNCHANGED)
    assert image.shape == (96, 96, 3)
    assert dfew.SIZES["small"].pixels == dfew.SIZES["full"].pixels == 224


def test_files_depend_on_the_seed_alone(tmp_path: Path) -> None:
    name = min(dfew._clips("tiny", 0).values(), key=lambda clip: clip.frames).name
    for folder, seed in (("first", 0), ("again", 0), ("other", 1)):
        dfew.write_subject(tmp_path / folder, name, size="tiny", seed=seed)
    first, again, other = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*.jpg")}
        for folder in ("first", "again", "other")
    )
    assert first == again and len(first) == 11
    assert not set(first.values()) & set(other.values())


def test_totals_are_what_the_files_hold(dfew_tiny: Path) -> None:
    mark = is_standin(dfew_tiny)
    assert mark is not None
    records = list(DFEW(root=dfew_tiny).records())
    labels = Counter(record.label for record in records)
    frames = sum(len(record.frames) for record in records)
    assert mark["counts"] == {"subjects": 40, "sequences": 40, "frames": frames, **labels}


def test_lists_of_some_clips_leave_out_the_empty_ones(tmp_path: Path) -> None:
    clips = [clip for clip in dfew._clips("tiny", 0).values() if clip.fold == 2][:2]
    dfew.write_shared(tmp_path, [clip.name for clip in clips], size="tiny", seed=0)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.csv")) == [
        "EmoLabel_DataSplit/test(single-labeled)/set_2.csv",
        *(f"EmoLabel_DataSplit/train(single-labeled)/set_{fold}.csv" for fold in (1, 3, 4, 5)),
    ]


@pytest.mark.parametrize("name", ["Happy", "Surprise"])
def test_a_face_moves_within_its_clip(dfew_tiny: Path, name: str) -> None:
    moved = []
    for record in DFEW(root=dfew_tiny).records():
        if record.label == name:
            frames = [cv2.imread(str(dfew_tiny / media.path), cv2.IMREAD_GRAYSCALE) for media in record.media]
            moved.append(np.abs(np.stack(frames).astype(float) - frames[0]).mean(axis=(1, 2)).max())
    assert np.median(moved) > 3
