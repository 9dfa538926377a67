from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auharness.data.cache import CropCache, CropSettings
from auharness.data.index import build_index
from auharness.data.prepare import by_sequence, prepare
from auharness.data.verify import Difference, verify
from auharness.errors import DataError
from auharness.records import FrameRecord, Media
from auharness_plugins.datasets import affwild2
from auharness_plugins.datasets.affwild2 import AUS, AffWild2, auharness_dataset

Root = Callable[..., Path]
TRAIN, VALIDATION = "AU_Detection_Challenge/Train_Set", "AU_Detection_Challenge/Validation_Set"
HEADER = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
LIST = "CVPR_6th_ABAW_AU_test_set_example.txt"


def read(root: Path, **settings: str) -> list[FrameRecord]:
    return list(AffWild2(root=root, **settings).records())


def message(root: Path, **settings: str) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **settings)
    return str(caught.value).splitlines()


def shown(root: Path) -> dict[int, str]:
    return {record.frame: record.media.path.rpartition("/")[2] for record in read(root)}


def remarks(root: Path, split: str = "train") -> dict[str, int]:
    return {what: count for what, count in AffWild2(root=root).remarks()[split].items() if count}


def test_a_row_gives_its_number_labels_and_image(affwild2_root: Root) -> None:
    root = affwild2_root(["1,0,0,0,0,0,0,0,0,0,0,1", 0], [1, 2])
    first, second = read(root)
    assert (first.id, first.subject, first.sequence) == ("affwild2/v/1", "v", "v")
    assert first.labels == {1: 1, **dict.fromkeys(AUS[1:-1], 0), 26: 1}
    assert (first.media.path, first.media.frame) == ("cropped_aligned/v/00001.jpg", None)
    assert second.frame == 2 and set(second.labels.values()) == {0}
    assert first.landmarks is None and first.time_s is None and AffWild2(root=root).audio("v") is None


def test_the_parts_are_splits(affwild2_root: Root) -> None:
    affwild2_root([0], video="b")
    affwild2_root([0], video="a")
    root = affwild2_root([1], video="c", part=VALIDATION)
    assert AffWild2(root=root).splits() == {"train": ("a", "b"), "validation": ("c",)}
    assert AffWild2(root=root).label_files() == [
        Path(f"{TRAIN}/a.txt"),
        Path(f"{TRAIN}/b.txt"),
        Path(f"{VALIDATION}/c.txt"),
    ]


@pytest.mark.parametrize("part", ["AU_Set/Train_Set", "6th ABAW Annotations/AU_Detection_Challenge/Train_Set"])
def test_older_and_nested_folders_of_labels_are_found(affwild2_root: Root, part: str) -> None:
    root = affwild2_root([0, 1], [1, 2], part=part)
    assert [record.labels[1] for record in read(root)] == [0, 1]


def test_the_edition_of_2020_is_refused_by_name(affwild2_root: Root) -> None:
    header = "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25"
    root = affwild2_root(["0,0,0,0,0,0,0,0"], header=header)
    (line,) = message(root)
    assert line == (
        f"affwild2: {root}/{TRAIN}/v.txt is of the 2020 edition, 8 AUs that were coded and scored otherwise; expected "
        f"the header {HEADER}, got {header}; take the labels of the AU track of ABAW 2022 or later"
    )


def test_the_file_of_the_multi_task_track_is_refused_by_name(affwild2_root: Root) -> None:
    header = f"image,valence,arousal,expression,{HEADER}"
    root = affwild2_root(["v/00001.jpg,-5,-5,-1," + ",".join(["0"] * 12)], header=header)
    (line,) = message(root)
    assert "is of the multi-task track, whose rows name images of several videos; expected the header AU1," in line
    assert f"got {header};" in line


@pytest.mark.parametrize(
    ("header", "got"), [("AU2,AU1,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26", None), ("0,1", None), ("", "empty")]
)
def test_any_other_header_is_a_problem(affwild2_root: Root, header: str, got: str | None) -> None:
    root = affwild2_root([0], header=header)
    assert message(root)[1:] == [f"  {TRAIN}/v.txt row 1: header is {got or header}, expected {HEADER}"]


def test_every_bad_row_is_listed_with_its_line(affwild2_root: Root) -> None:
    short = ",".join(["0"] * 11)
    affwild2_root([0, 2, short, "", 0], [1])
    root = affwild2_root([0, short + ",x"], [1], video="w")
    expected = "expected 12 labels 0, 1 or -1 (not coded)"
    assert message(root) == [
        f"affwild2: 4 problems in 2 files; correct the files below {root}, then repeat the command",
        f"  {TRAIN}/v.txt row 3: row is {','.join(['2'] * 12)}, {expected}",
        f"  {TRAIN}/v.txt row 4: row is {short}, {expected}",
        f"  {TRAIN}/v.txt row 5: row is empty, {expected}",
        f"  {TRAIN}/w.txt row 3: row is {short},x, {expected}",
    ]


def test_rows_without_a_code_are_left_out_and_counted_and_shift_nothing(affwild2_root: Root) -> None:
    root = affwild2_root([-1, 1, -1, -1, 0], range(1, 6))
    assert shown(root) == {2: "00002.jpg", 5: "00005.jpg"}
    assert remarks(root) == {"n_videos": 1, "n_not_coded": 3, "n_without_film": 1}


def test_not_coded_holds_au_by_au_and_is_counted(affwild2_root: Root) -> None:
    root = affwild2_root(["1,-1,0,0,0,0,0,0,0,0,0,0", 0], [1, 2])
    assert read(root)[0].labels == {1: 1, 2: -1, **dict.fromkeys(AUS[2:], 0)}
    assert remarks(root) == {"n_videos": 1, "n_partly_coded": 1, "n_without_film": 1}


def test_rows_and_images_are_matched_by_number_never_by_count(affwild2_root: Root) -> None:
    # five rows and five images, of which three belong to no row
    root = affwild2_root([1, 0, 1, 0, 1], [2, 4, 6, 7, 9])
    assert shown(root) == {1: "00002.jpg", 2: "00002.jpg", 3: "00002.jpg", 4: "00004.jpg", 5: "00004.jpg"}
    assert [record.labels[1] for record in read(root)] == [1, 0, 1, 0, 1]
    assert remarks(root) == {"n_videos": 1, "n_filled": 3, "n_extra_crops": 3, "n_without_film": 1}


@pytest.mark.parametrize(("rows", "images"), [(7, 4), (4, 7)], ids=["more rows", "more images"])
def test_what_is_beyond_the_end_of_the_others_moves_no_row(affwild2_root: Root, rows: int, images: int) -> None:
    root = affwild2_root([0] * (rows - 1) + [1], range(1, images + 1))
    assert shown(root) == {frame: f"{min(frame, images):05d}.jpg" for frame in range(1, rows + 1)}
    counts = {"n_filled": rows - images} if rows > images else {"n_extra_crops": images - rows}
    assert remarks(root) == {"n_videos": 1, "n_without_film": 1, **counts}


def test_of_two_images_that_are_as_near_the_earlier_is_shown() -> None:
    numbers, wanted = np.array([2, 4, 9]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 50])
    places = affwild2._nearest(numbers, wanted)
    assert numbers[places].tolist() == [2, 2, 2, 4, 4, 4, 9, 9, 9, 9]
    # against the definition
    assert all(
        abs(numbers[place] - want) == np.abs(numbers - want).min() for place, want in zip(places, wanted, strict=True)
    )


def test_images_of_the_second_folder_belong_to_the_first(affwild2_root: Root) -> None:
    affwild2_root([0, 0], [1, 2])
    affwild2_root([0], [1], video="w", folder="cropped_aligned_new_50_vids")
    root = affwild2_root([0, 0, 1], [2, 3], folder="cropped_aligned_new_50_vids")
    assert [record.media.path for record in read(root)] == [
        "cropped_aligned/v/00001.jpg",
        "cropped_aligned/v/00002.jpg",
        "cropped_aligned_new_50_vids/v/00003.jpg",
        "cropped_aligned_new_50_vids/w/00001.jpg",
    ]


def test_two_images_of_one_number_are_refused(affwild2_root: Root) -> None:
    root = affwild2_root([0], ["1.jpg", "00001.jpg"])
    assert message(root) == [
        f"{root}/cropped_aligned/v: image is 00001.jpg and 1.jpg, expected each number once; delete one"
    ]


def test_videos_without_any_image_stop_the_reading_or_are_counted(affwild2_root: Root) -> None:
    affwild2_root([0], [1])
    affwild2_root([-1], [], video="nothing is coded here")
    for number in range(7):
        root = affwild2_root([0], ["Thumbs.db"] if number else [], video=f"w{number}")
    (line,) = message(root)
    assert line.startswith(f"affwild2: 7 of 8 labelled videos have no crop in {root}: w0, w1, w2, w3, w4, ...; unpack ")
    assert line.endswith("--set data.affwild2.on_missing_crops=drop (without data.affwild2. in `auharness data`)")
    data = AffWild2(root=root, on_missing_crops="drop")
    assert [record.sequence for record in data.records()] == ["v"] and data.splits() == {"train": ("v",)}
    assert data.remarks()["train"]["n_without_crops"] == 7


def test_dropping_every_video_is_refused(affwild2_root: Root) -> None:
    root = affwild2_root([0], [])
    assert "1 of 1 labelled videos have no crop" in message(root, on_missing_crops="drop")[0]


def test_people_of_one_film_share_its_sound(affwild2_root: Root, film: Callable[..., Path]) -> None:
    for video in ("10-60_left", "10-60_right", "11_main", "12"):
        root = affwild2_root([0], video=video)
    film("videos/10-60.mp4", [0, 1000])
    film("videos/batch2/11.avi", [0, 1200])
    film("videos/11_mainly.mp4", [0, 1000])
    data = AffWild2(root=root)
    assert data.audio("10-60_left") == data.audio("10-60_right") == "videos/10-60.mp4"
    assert data.audio("11_main") == "videos/batch2/11.avi"
    assert data.audio("12") is None
    # a film of their own comes first
    film("videos/10-60_left.mp4", [0, 1000])
    assert data.audio("10-60_left") == "videos/10-60_left.mp4" and data.audio("10-60_right") == "videos/10-60.mp4"


@pytest.mark.parametrize(
    ("name", "rate", "gap"),
    [("v.mp4", Fraction(30000, 1001), 1001), ("v.avi", Fraction(25), 1200), ("v.mp4", Fraction(30), 1000)],
    ids=["29.97 mp4", "25 avi", "30 mp4"],
)
def test_times_are_those_of_the_film(
    affwild2_root: Root, film: Callable[..., Path], name: str, rate: Fraction, gap: int
) -> None:
    film(name, [gap * number for number in range(8)], rate=rate)
    root = affwild2_root([-1, *[0] * 7], range(1, 9))
    assert [record.time_s for record in read(root)] == [gap * number / 30000 for number in range(1, 8)]
    assert remarks(root) == {"n_videos": 1, "n_not_coded": 1}


def test_times_of_a_varying_rate_are_exact_and_go_on_behind_the_film(
    affwild2_root: Root, film: Callable[..., Path]
) -> None:
    # the first picture comes after the sound has begun
    ticks = [900, 1900, 2950, 6000, 7000, 8123]
    film("v.mp4", ticks)
    root = affwild2_root([0] * 8, [1, 2, 3])
    usual = np.median(np.diff(ticks))
    expected = np.array([*ticks, ticks[-1] + usual, ticks[-1] + 2 * usual]) / 30000
    found = np.array([record.time_s for record in read(root)], float)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert remarks(root) == {"n_videos": 1, "n_filled": 5, "n_length_differs": 1}


def test_whole_pictures_of_the_film_are_matched_by_number(
    affwild2_root: Root, film: Callable[..., Path], tmp_path: Path
) -> None:
    film("v.mp4", [0, 1000, 2000])
    affwild2_root([0, 1, -1, 0, 1], [1, 2])
    root = affwild2_root([0, 1], [1], video="w")
    (line,) = message(root, crop="film")
    assert line.startswith(
        f"affwild2: 1 of 2 labelled videos have no film in {root}: w; copy the films below the root, "
    )
    (root / "landmarks").mkdir()
    (root / "landmarks/v.npz").touch()
    data = AffWild2(root=root, crop="film", on_missing_crops="drop")
    found = list(data.records())
    assert [(record.frame, record.media) for record in found] == [
        (1, Media("v.mp4", 0)),
        (2, Media("v.mp4", 1)),
        (4, Media("v.mp4", 2)),
        (5, Media("v.mp4", 2)),
    ]
    assert all(record.landmarks is None for record in found)
    counts = data.remarks()["train"]
    assert (counts["n_filled"], counts["n_without_crops"], counts["n_length_differs"]) == (2, 1, 1)
    cache = CropCache(tmp_path / "cache")
    report = prepare(cache, root, by_sequence(found), CropSettings("none", 16, "mean-shape"))
    assert (report.n, report.n_bad) == (4, 0)
    shown = cache.sequence("v").images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shown, [0, 5, 10, 10], atol=3)


def test_a_film_that_cannot_be_read_is_named(affwild2_root: Root) -> None:
    root = affwild2_root([0])
    (root / "v.mp4").write_bytes(b"no film")
    (line,) = message(root)
    assert line.startswith(f"{root}/v.mp4: expected a video that FFmpeg reads")


def test_cached_landmarks_are_those_of_the_image_that_is_shown(affwild2_root: Root) -> None:
    root = affwild2_root([0, 0, 0], [1, 3])
    (root / "landmarks").mkdir()
    (root / "landmarks/v.npz").touch()
    marks = [record.landmarks for record in read(root)]
    assert [(mark.path, mark.kind, mark.frame) for mark in marks if mark] == [
        ("landmarks/v.npz", "npz68", 1),
        ("landmarks/v.npz", "npz68", 1),
        ("landmarks/v.npz", "npz68", 3),
    ]


def test_test_frames_are_those_of_the_list_and_are_not_coded(affwild2_root: Root) -> None:
    affwild2_root([0])
    root = affwild2_root([0], [1, 2], video="t")
    (root / TRAIN / "t.txt").unlink()
    filling = ",1" * 12
    (root / LIST).write_text(f"image_location,{HEADER}\nt/00003.jpg{filling}\nt/00001.jpg{filling}\n")
    data = AffWild2(root=root)
    assert data.splits() == {"train": ("v",), "test": ("t",)} and Path(LIST) in data.label_files()
    found = [record for record in data.records() if record.sequence == "t"]
    assert [(record.frame, record.media.path[-9:]) for record in found] == [(1, "00001.jpg"), (3, "00002.jpg")]
    assert all(set(record.labels.values()) == {-1} for record in found)
    assert (data.remarks()["test"]["n_filled"], data.remarks()["test"]["n_not_coded"]) == (1, 0)


def test_bad_rows_of_the_test_list_are_listed(affwild2_root: Root) -> None:
    root = affwild2_root([0])
    (root / LIST).write_text(f"image_location,{HEADER}\nt/1.jpg,0\nt/00001.jpg,0\nt,0\n")
    assert message(root)[1:] == [
        f"  {LIST} row 3: image_location is t/00001.jpg again, expected each image once",
        f"  {LIST} row 4: image_location is t, expected such as video/00001.jpg",
    ]
    (root / LIST).write_text("image,AU1\n")
    assert message(root)[1:] == [f"  {LIST} row 1: header is image,AU1, expected image_location,{HEADER}"]


def test_a_wrong_root_is_one_line_that_names_what_is_missing(affwild2_root: Root, tmp_path: Path) -> None:
    (line,) = message(tmp_path)
    assert line.startswith(f"affwild2: no AU_Detection_Challenge/Train_Set/*.txt in {tmp_path}; expected AU_Detection_")
    root = affwild2_root([0], folder="elsewhere")
    assert message(root)[0].startswith(f"affwild2: no cropped_aligned folder in {root}; expected AU_Detection_")
    root = affwild2_root([-1])
    assert message(root)[0].startswith(f"affwild2: no coded frame in {root}; expected AU_Detection_")


def test_published_counts_are_those_of_the_paper_and_its_class_weights(tmp_path: Path) -> None:
    counts = AffWild2(root=tmp_path).published_splits()
    assert {split: found["rows"] for split, found in counts.items()} == {"train": 1_359_523, "validation": 445_845}
    rates = np.array([counts["train"][f"AU{au}"] / 1_359_523 for au in AUS])
    # another team's weights of positives, relative to AU25
    weights = [5.28, 12.4, 3.92, 2.37, 1.57, 1.82, 2.59, 22.7, 20.1, 22.1, 1, 8.26]
    np.testing.assert_allclose(rates[AUS.index(25)] / rates, weights, rtol=0.1)
    # the predictor that always says present: F1 = 2 p / (1 + p)
    assert 100 * (2 * rates / (1 + rates)).mean() == pytest.approx(29.5, abs=0.05)
    (tmp_path / LIST).touch()
    assert AffWild2(root=tmp_path).published_splits()["test"] == {"rows": 729_736}


def test_verify_compares_rows_of_splits_and_rates_as_far_as_they_are_published(
    affwild2_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(affwild2, "ROWS", {"train": 1000, "validation": 2, "test": 3})
    monkeypatch.setattr(affwild2, "RATES", (20.0,) * 12)
    affwild2_root([1] * 201 + [0] * 799)
    root = affwild2_root([1, 1], video="w", part=VALIDATION)
    data = AffWild2(root=root)
    index = build_index(data, cache=tmp_path / "cache")
    assert verify(data, index).verified is True
    monkeypatch.setattr(affwild2, "RATES", (20.0,) * 11 + (19.9,))
    assert verify(data, index).differences == (Difference("train", "AU26", 199, 201),)
    assert index.source("affwild2").remarks["train"]["n_filled"] == 999


def test_equal_rows_share_their_labels(affwild2_root: Root) -> None:
    root = affwild2_root([0, 1, 0], [1])
    first, _, third = read(root)
    assert first.labels is third.labels and replace(first, frame=3) == third


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is AffWild2 and AffWild2.name == "affwild2" and AffWild2.kind == "frame-multilabel"
    assert AffWild2.aus == (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
