from pathlib import Path

import av
import numpy as np
import pytest
from scipy.io import loadmat

from auharness.data.synthetic import film
from auharness.data.synthetic.layouts import disfa
from auharness.data.synthetic.published import sequence_counts

pytestmark = pytest.mark.usefixtures("flat_faces")
AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


@pytest.fixture
def root(tmp_path: Path, flat_faces: None) -> Path:
    disfa.write_subject(tmp_path, "SN001", size="tiny", seed=0)
    return tmp_path


def intensities(root: Path, subject: str, au: int) -> list[int]:
    path = root / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt"
    pairs = [tuple(map(int, line.split(","))) for line in path.read_text().splitlines()]
    assert [frame for frame, _ in pairs] == list(range(1, len(pairs) + 1))
    return [level for _, level in pairs]


def test_the_27_official_subjects_are_there() -> None:
    numbers = [*range(1, 14), 16, 17, 18, 21, *range(23, 33)]
    assert list(disfa.subjects(size="tiny")) == [f"SN{number:03d}" for number in numbers]


def test_paths_are_the_vendors(root: Path) -> None:
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    expected = {f"Video_{side}Camera/{side}VideoSN001_comp.avi" for side in ("Left", "Right")}
    expected |= {f"ActionUnit_Labels/SN001/SN001_au{au}.txt" for au in AUS}
    expected |= {f"Landmark_Points/SN001/tmp_frame_lm/SN001_{index:04d}_lm.mat" for index in range(6)}
    assert files == expected


def test_every_label_line_has_its_video_frame(root: Path) -> None:
    for side in ("Left", "Right"):
        with av.open(str(root / f"Video_{side}Camera" / f"{side}VideoSN001_comp.avi")) as container:
            stream = container.streams.video[0]
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            assert float(stream.average_rate or 0) == 20
        assert len(frames) == len(intensities(root, "SN001", 1)) == 6
        assert frames[0].shape == (96, 96, 3)


def test_cameras_see_the_face_turned_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaws: list[float] = []
    flat = film.render_face

    def noting(*args: object, pose: tuple[float, float, float], **options: object) -> object:
        yaws.append(pose[0])
        return flat(*args, pose=pose, **options)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(film, "render_face", noting)
    disfa.write_subject(tmp_path, "SN002", size="tiny", seed=0)
    np.testing.assert_allclose(np.subtract(yaws[6:], yaws[:6]), 15.0)


def test_landmarks_are_66_points_counted_from_frame_0(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    flat = film.render_face

    def noting(*args: object, **options: object) -> object:
        image, points = flat(*args, **options)  # type: ignore[arg-type]  # passed on as it came
        seen.append(points)
        return image, points

    monkeypatch.setattr(film, "render_face", noting)
    disfa.write_subject(root, "SN001", size="tiny", seed=0)
    pts = loadmat(root / "Landmark_Points" / "SN001" / "tmp_frame_lm" / "SN001_0003_lm.mat")["pts"]
    assert pts.shape == (66, 2)
    inner_mouth = [61, 62, 63, 65, 66, 67]
    np.testing.assert_array_equal(pts, seen[3][[*range(60), *inner_mouth]])


def test_intensity_2_and_above_is_occurrence_with_the_published_rates() -> None:
    counts = sequence_counts("disfa")
    takes = [take for (take,) in disfa._takes("full", 0).values()]
    columns = [AUS.index(au) for au in counts.aus]
    np.testing.assert_array_equal([take.occurrence.sum(axis=0)[columns] for take in takes], counts.positives)


def test_intensity_files_agree_with_occurrence(tmp_path: Path) -> None:
    levels = []
    for subject in ("SN003", "SN004", "SN029"):
        totals = disfa.write_subject(tmp_path, subject, size="tiny", seed=0)
        (take,) = disfa._takes("tiny", 0)[subject]
        for column, au in enumerate(AUS):
            level = np.array(intensities(tmp_path, subject, au))
            np.testing.assert_array_equal(level >= 2, take.occurrence[take.kept, column])
            assert totals[f"AU{au}"] == (level >= 2).sum()
            levels.append(level)
    found = set(np.concatenate(levels).tolist())
    assert found <= set(range(6)) and {0, 1, 2, 3} <= found
