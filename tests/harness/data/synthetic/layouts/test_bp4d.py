import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from auharness.data.synthetic.layouts import bp4d
from auharness.data.synthetic.published import sequence_counts

pytestmark = pytest.mark.usefixtures("flat_faces")


@pytest.fixture
def root(tmp_path: Path, flat_faces: None) -> Path:
    bp4d.write_subject(tmp_path, "F001", size="tiny", seed=0)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_41_official_subjects_are_there() -> None:
    expected = [f"F{number:03d}" for number in range(1, 24)] + [f"M{number:03d}" for number in range(1, 19)]
    assert list(bp4d.subjects(size="tiny")) == expected


def test_paths_are_the_vendors(root: Path) -> None:
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    expected = []
    for task in ("T1", "T2", "T7", "T8"):
        expected += [f"2D+3D/F001/{task}/0001.jpg", f"2D+3D/F001/{task}/0002.jpg"]
        expected += [f"AUCoding/AU_OCC/F001_{task}.csv", f"landmarks/F001/{task}.npz"]
    assert files == sorted(expected)


@pytest.mark.parametrize(("width", "name"), [(1, "1.jpg"), (5, "00001.jpg")])
def test_stems_can_be_padded_like_other_copies(tmp_path: Path, width: int, name: str) -> None:
    bp4d.write_subject(tmp_path, "F001", size="tiny", seed=0, stem_width=width)
    assert (tmp_path / "2D+3D" / "F001" / "T1" / name).exists()


def test_header_names_frame_and_the_vendors_27_aus(root: Path) -> None:
    header = (root / "AUCoding" / "AU_OCC" / "F001_T1.csv").read_text().splitlines()[0]
    assert header == "0,1,2,4,5,6,7,9,10,11,12,13,14,15,16,17,18,19,20,22,23,24,27,28,30,32,38,39"


def test_twelve_aus_are_coded_and_the_rest_is_9(root: Path) -> None:
    coded = {str(au) for au in sequence_counts("bp4d").aus}
    for path in (root / "AUCoding" / "AU_OCC").iterdir():
        for number, row in enumerate(rows(path), start=1):
            assert row.pop("0") == str(number)
            assert all(value in ("0", "1") if au in coded else value == "9" for au, value in row.items())


def test_labels_are_what_the_face_shows(root: Path) -> None:
    # a stripe of the fake renderer is as long as the AU is strong: 0.3 of the width and more when present
    for row in rows(root / "AUCoding" / "AU_OCC" / "F001_T1.csv"):
        image = cv2.imread(str(root / "2D+3D" / "F001" / "T1" / f"{int(row['0']):04d}.jpg"))
        shown = sorted([*sequence_counts("bp4d").aus, 5, 9, 20, 25, 26])
        for au in sequence_counts("bp4d").aus:
            stripe = image[4 * shown.index(au) + 1 : 4 * shown.index(au) + 3].mean(axis=0)
            length = (stripe[:, 2] > 140).mean()  # BGR: red
            assert (length > 0.27) == (row[str(au)] == "1"), (au, length)


def test_landmark_cache_holds_every_frame(root: Path) -> None:
    with np.load(root / "landmarks" / "F001" / "T1.npz") as cache:
        assert cache["frame"].dtype == np.int32 and cache["frame"].tolist() == [1, 2]
        assert cache["points"].dtype == np.float32 and cache["points"].shape == (2, 68, 2)
        assert cache["valid"].dtype == np.bool_ and cache["valid"].all()


def test_totals_are_what_the_files_hold(tmp_path: Path) -> None:
    totals = bp4d.write_subject(tmp_path, "M003", size="tiny", seed=1)
    written = [row for path in (tmp_path / "AUCoding" / "AU_OCC").iterdir() for row in rows(path)]
    assert totals["sequences"] == 4 and totals["frames"] == len(written) == 8
    assert all(totals[f"AU{au}"] == sum(row[str(au)] == "1" for row in written) for au in sequence_counts("bp4d").aus)


def test_small_has_8_tasks_of_10_frames_for_41_subjects() -> None:
    takes = bp4d._takes("small", 0)
    assert len(takes) == 41
    assert {len(of_subject) for of_subject in takes.values()} == {8}
    assert {len(take.kept) for of_subject in takes.values() for take in of_subject} == {10}


def test_full_has_the_published_frames_and_positives() -> None:
    takes = [take for of_subject in bp4d._takes("full", 0).values() for take in of_subject]
    counts = sequence_counts("bp4d")
    assert [len(take.kept) for take in takes] == counts.frames.tolist()
    np.testing.assert_array_equal([take.occurrence[take.kept].sum(axis=0) for take in takes], counts.positives)
