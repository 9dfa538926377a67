from pathlib import Path

import av
import numpy as np
import pytest

from auharness.data.decode import read_image
from auharness.data.index import build_index
from auharness.data.synthetic.layouts import affwild2
from auharness.data.synthetic.standin import is_standin
from auharness.data.verify import verify
from auharness.records import FrameRecord
from auharness_plugins.datasets.affwild2 import AUS, AffWild2

FILMS = affwild2._films("tiny")
PAIR, VARYING, SILENT = "1-30-272x128", "2-24-144x128", "3-25-144x128"


@pytest.fixture(scope="module")
def records(affwild2_tiny: Path) -> dict[str, list[FrameRecord]]:
    found: dict[str, list[FrameRecord]] = {}
    for record in AffWild2(root=affwild2_tiny).records():
        found.setdefault(record.sequence, []).append(record)
    return found


def test_the_reader_finds_the_videos_and_coded_rows_of_every_part(
    affwild2_tiny: Path, records: dict[str, list[FrameRecord]]
) -> None:
    assert {name: len(rows) for name, rows in records.items()} == {
        video: film.coded for film in FILMS.values() for video in film.videos
    }
    splits = AffWild2(root=affwild2_tiny).splits()
    assert {part: len(videos) for part, videos in splits.items()} == {"train": 4, "validation": 2, "test": 1}


def test_labels_are_those_that_are_shown(records: dict[str, list[FrameRecord]]) -> None:
    for film in FILMS.values():
        drawn = affwild2._labels("tiny", film.part, 0)
        for video in film.videos:
            values = np.array([[record.labels[au] for au in AUS] for record in records[video]])
            numbers = np.array([record.frame for record in records[video]])
            expected = np.full_like(values, -1) if film.part == "test" else drawn[video][numbers - 1]
            np.testing.assert_array_equal(values, expected)


def test_every_au_is_present_and_absent_in_training(records: dict[str, list[FrameRecord]]) -> None:
    train = [record for film in FILMS.values() if film.part == "train" for v in film.videos for record in records[v]]
    rates = np.array([[record.labels[au] for au in AUS] for record in train]).mean(axis=0)
    assert len(train) == 240 and (rates > 0.01).all() and (rates < 0.75).all()


def test_rows_crops_and_pictures_disagree_as_the_vendors_do(affwild2_tiny: Path) -> None:
    remarks = AffWild2(root=affwild2_tiny).remarks()
    assert remarks["train"]["n_length_differs"] == 2 and remarks["validation"]["n_length_differs"] == 1
    assert remarks["train"]["n_extra_crops"] == 6 and remarks["train"]["n_filled"] >= 7
    assert remarks["train"]["n_not_coded"] == sum(
        len(film.people) * (film.rows - film.coded) for film in FILMS.values() if film.part == "train"
    )
    assert all(found["n_partly_coded"] == found["n_without_film"] == 0 for found in remarks.values())


def test_times_are_the_clock_of_the_film(records: dict[str, list[FrameRecord]]) -> None:
    for film in FILMS.values():
        clock = affwild2._moments(film, 0)
        for video in film.videos:
            rows = records[video]
            inside = [(record.time_s, clock[record.frame - 1]) for record in rows if record.frame <= film.pictures]
            found, expected = np.array(inside, float).T
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    gaps = np.diff([record.time_s for record in records[VARYING]])
    assert gaps.max() > 1.5 * gaps.min() > 0


def test_two_people_share_a_film_and_one_film_is_silent(affwild2_tiny: Path) -> None:
    data = AffWild2(root=affwild2_tiny)
    assert data.audio(f"{PAIR}_left") == data.audio(f"{PAIR}_right") == f"videos/{PAIR}.mp4"
    assert data.audio("4-30-144x128_main") == "videos/4-30-144x128.avi"
    for film in FILMS.values():
        with av.open(str(affwild2_tiny / "videos" / f"{film.name}{film.ending}")) as container:
            tracks = [stream.codec_context.sample_rate for stream in container.streams.audio]
            assert tracks == ([film.sound] if film.sound else [])
            assert container.streams.video[0].codec_context.width == (272 if len(film.people) == 2 else 144)
    assert data.audio(SILENT) == f"videos/{SILENT}.avi" and not FILMS[SILENT].sound


def test_the_film_shows_the_crops(affwild2_tiny: Path) -> None:
    with av.open(str(affwild2_tiny / "videos" / f"{PAIR}.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    for side, left in (("left", 16), ("right", 144)):
        crop = read_image(affwild2_tiny / "cropped_aligned" / f"{PAIR}_{side}" / "00001.jpg")
        assert np.abs(picture[8:120, left : left + 112] - crop).mean() < 12
        assert np.abs(picture[8:120, 160 - left : 272 - left] - crop).mean() > 20


def test_crops_are_the_vendors_and_lie_in_two_folders(affwild2_tiny: Path) -> None:
    folders = {path.name: path.parent.name for path in affwild2_tiny.glob("cropped_aligned*/*")}
    assert folders == {
        video: "cropped_aligned_new_50_vids" if film.new else "cropped_aligned"
        for film in FILMS.values()
        for video in film.videos
    }
    names = sorted(path.name for path in (affwild2_tiny / "cropped_aligned" / VARYING).iterdir())
    assert names[0] == "00001.jpg" and names[-1] == f"{FILMS[VARYING].pictures:05d}.jpg"
    assert len(names) < FILMS[VARYING].pictures
    assert read_image(affwild2_tiny / "cropped_aligned" / VARYING / names[0]).shape == (112, 112, 3)


def test_cached_landmarks_belong_to_the_crops(affwild2_tiny: Path, records: dict[str, list[FrameRecord]]) -> None:
    seen = []
    for video, rows in records.items():
        cache = np.load(affwild2_tiny / "landmarks" / f"{video}.npz")
        names = sorted(int(path.stem) for path in affwild2_tiny.glob(f"cropped_aligned*/{video}/*.jpg"))
        assert cache["frame"].tolist() == names and cache["points"].shape == (len(names), 68, 2)
        assert {record.landmarks.frame for record in rows if record.landmarks} <= set(names)
        seen += cache["valid"].tolist()
    assert 0.3 < np.mean(seen) < 0.9


def test_the_test_list_names_every_row(affwild2_tiny: Path) -> None:
    header, *rows = (affwild2_tiny / "CVPR_6th_ABAW_AU_test_set_example.txt").read_text().splitlines()
    assert header == "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    assert [row.partition(",")[0] for row in rows] == [f"6-30-144x128/{number:05d}.jpg" for number in range(1, 41)]


def test_verify_finds_other_counts_but_no_broken_split(affwild2_tiny: Path, tmp_path: Path) -> None:
    data = AffWild2(root=affwild2_tiny)
    report = verify(data, build_index(data, cache=tmp_path))
    assert report.verified is False and report.n_rows == 400
    assert {found.subject for found in report.differences} == {"train", "validation", "test"}


def test_totals_are_what_the_files_hold(affwild2_tiny: Path, records: dict[str, list[FrameRecord]]) -> None:
    mark = is_standin(affwild2_tiny)
    assert mark is not None and isinstance(mark["counts"], dict)
    counts = mark["counts"]
    assert (counts["subjects"], counts["sequences"], counts["frames"]) == (6, 7, 400)
    coded = [record for rows in records.values() for record in rows if record.labels[1] >= 0]
    hidden = affwild2._labels("tiny", "test", 0)["6-30-144x128"][:40]
    for column, au in enumerate(AUS):
        assert counts[f"AU{au}"] == sum(record.labels[au] for record in coded) + hidden[:, column].sum()


def test_files_depend_on_the_seed_alone(tmp_path: Path) -> None:
    name = "6-30-144x128"
    for folder, seed in (("first", 0), ("again", 0), ("other", 1)):
        affwild2.write_subject(tmp_path / folder, name, size="tiny", seed=seed)
    first, again, other = (
        {path.relative_to(tmp_path / folder): path.read_bytes() for path in (tmp_path / folder).rglob("*.*")}
        for folder in ("first", "again", "other")
    )
    assert first == again and len(first) > 30
    assert not set(first.values()) & set(other.values())
