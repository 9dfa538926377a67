import inspect
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from auharness.data.index import build_index
from auharness.data.verify import verify
from auharness.errors import DataError
from auharness.records import ClipRecord
from auharness_plugins.datasets.dfew import DFEW, auharness_dataset

Root = Callable[..., Path]
CLASSES = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
# one clip per class, in the order of the classes; 1 and 16372 are the vendor's first and last
IDS = (1, 7, 42, 310, 2522, 2578, 16372)
LISTS = {
    "fold1/train": [(1, 1), (7, 2), (310, 4), (2578, 6), (16372, 7)],
    "fold1/test": [(42, 3), (2522, 5)],
    "fold2/train": [(42, 3), (7, 2), (2522, 5), (2578, 6), (16372, 7)],
    "fold2/test": [(1, 1), (310, 4)],
}
TEXT = {"row": "/data/of others/DFEW_Frame_Face/{clip:05d} 3 {label}", "header": ""}


def zero_based(lists: dict[str, list[tuple[int, int]]]) -> dict[str, list[tuple[int, int]]]:
    return {split: [(clip, label - 1) for clip, label in rows] for split, rows in lists.items()}


def read(root: Path, **settings: object) -> list[ClipRecord]:
    return list(DFEW(root=root, **settings).records())


def message(root: Path, **settings: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **settings)
    return str(caught.value).splitlines()


def test_a_row_is_a_clip_with_one_of_seven_classes(dfew_root: Root) -> None:
    records = read(dfew_root(LISTS))
    assert [record.sequence for record in records] == [f"{clip:05d}" for clip in IDS]
    assert [record.label for record in records] == list(CLASSES)
    first = records[0]
    assert (first.id, first.subject, first.frames) == ("dfew/00001", "00001", (1, 2, 3))
    assert [media.path for media in first.media] == [f"Clip/clip_224x224/00001/0000{n}.jpg" for n in (1, 2, 3)]
    assert {media.frame for media in first.media} == {None}


def test_the_lists_are_the_folds(dfew_root: Root, tmp_path: Path) -> None:
    data = DFEW(root=dfew_root(LISTS))
    assert list(data.splits()) == ["fold1/train", "fold1/test", "fold2/train", "fold2/test"]
    assert data.splits()["fold1/test"] == ("00042", "02522")
    index = build_index(data, cache=tmp_path / "cache")
    assert index.split("dfew", "fold2/test") == ("00001", "00310")
    assert index.classes().tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_one_fold_alone_gives_one_fold(dfew_root: Root) -> None:
    data = DFEW(root=dfew_root({split: rows for split, rows in LISTS.items() if split.startswith("fold1/")}))
    assert list(data.splits()) == ["fold1/train", "fold1/test"] and len(read(data.root)) == 7


@pytest.mark.parametrize(
    "form",
    [
        {"form": "EmoLabel_DataSplit/{part}(single-labeled)/{part}_set_{fold}.csv", "row": "{clip:05d},{label}"},
        {"form": "emolabel_datasplit/{part}(Single-Labeled)/set_{fold}.csv"},
        {"form": "EmoLabel_DataSplit/{part}_set_{fold}.csv"},
        {"form": "{part}_set_{fold}.csv", "row": "{label},x,{clip}.mp4", "header": "\ufefflabel,more,video_name\n"},
        {"form": "label/single_{part}set_{fold}.csv", "row": ' "{clip}" , {label} '},
        {"form": "data_affine/single_label/label/single_{part}set_{fold}.csv"},
        {"form": "annotation/DFEW_set_{fold}_{part}.txt", **TEXT},
        {"form": "annotation/set_{fold}_{part}.txt", **TEXT, "row": "data/{clip:05d}/ 999 {label}"},
        {"form": "DFEW_set_{fold}_{part}.txt", **TEXT},
        {"form": "set_{fold}_{part}.txt", **TEXT},
    ],
    ids=lambda form: form["form"],
)
def test_every_form_of_the_lists_gives_the_same_records_and_splits(
    dfew_root: Root, tmp_path: Path, form: dict[str, str]
) -> None:
    vendor = DFEW(root=dfew_root(LISTS, root=tmp_path / "vendor"))
    lists = zero_based(LISTS) if form["form"].endswith(".txt") else LISTS
    other = DFEW(root=dfew_root(lists, root=tmp_path / "other", **form))
    assert list(other.records()) == list(vendor.records())
    assert other.splits() == vendor.splits()
    assert len(other.label_files()) == 4 and all((other.root / file).is_file() for file in other.label_files())


@pytest.mark.parametrize(
    "variant",
    [
        {"folder": "Clip/clip_224x224"},
        {"folder": "clip/CLIP_224x224"},
        {"folder": "Clip/jpg_256", "images": ("1.png", "2.png", "3.png")},
        {"folder": "Clip/jpg_224", "clip": "{}"},
        {"folder": "DFEW_Frame_Face", "images": ("1.jpg", "2.JPEG", "10.jpg")},
        {"folder": "data_affine/single_label/data", "images": ("{:05d}_00001.jpg", "{:05d}_00002.jpg")},
        {"folder": "data", "images": ("{:05d}_00001.jpg", "{:05d}_00002.jpg")},
    ],
    ids=lambda variant: variant["folder"],
)
def test_every_folder_of_frames_is_found(dfew_root: Root, variant: dict[str, str]) -> None:
    root = dfew_root(LISTS, **variant)
    images = variant.get("images", ("00001.jpg", "00002.jpg", "00003.jpg"))
    place = f"{variant['folder']}/{variant.get('clip', '{:05d}').format(42)}"
    record = next(record for record in read(root) if record.sequence == "00042")
    assert [media.path for media in record.media] == [f"{place}/{image.format(42)}" for image in images]
    assert record.frames == ((1, 2, 10) if "10.jpg" in images else tuple(range(1, len(images) + 1)))


@pytest.mark.parametrize(("name", "codec"), [("{:05d}.mp4", "mp4v"), ("{}.avi", "MJPG")])
def test_videos_are_read_as_frames_from_0(dfew_root: Root, tmp_path: Path, name: str, codec: str) -> None:
    root = dfew_root({"fold1/train": [(1, 1)], "fold1/test": [(42, 3)]}, folder="elsewhere")
    folder = root / "Clip" / "clip_224x224_avi"
    folder.mkdir(parents=True)
    for clip, count in ((1, 5), (42, 12)):
        writer = cv2.VideoWriter(str(folder / name.format(clip)), cv2.VideoWriter.fourcc(*codec), 25, (32, 32))
        for value in range(count):
            writer.write(np.full((32, 32, 3), 20 * value, np.uint8))
        writer.release()
    first, second = read(root)
    assert (first.frames, second.frames) == (tuple(range(5)), tuple(range(12)))
    assert [media.frame for media in first.media] == [0, 1, 2, 3, 4]
    assert {media.path for media in first.media} == {f"Clip/clip_224x224_avi/{name.format(1)}"}
    (folder / name.format(42)).write_bytes(b"no video")
    summary, line = message(root)
    assert summary.startswith("dfew: 1 problem in 1 file; correct")
    assert line.startswith(f"  Clip/clip_224x224_avi/{name.format(42)}: video is Invalid data")


def test_of_several_folders_the_vendors_is_taken_unless_another_is_named(dfew_root: Root) -> None:
    dfew_root(LISTS, folder="DFEW_Frame_Face")
    root = dfew_root(LISTS, folder="Clip/jpg_256")
    assert read(root)[0].media[0].path.startswith("Clip/jpg_256/00001/")
    dfew_root(LISTS)
    assert read(root)[0].media[0].path.startswith("Clip/clip_224x224/00001/")
    assert read(root, frames="DFEW_Frame_Face")[0].media[0].path.startswith("DFEW_Frame_Face/00001/")
    dfew_root(LISTS, folder="my/own")
    assert read(root, frames="my/own")[0].media[0].path.startswith("my/own/00001/")
    (line,) = message(root, frames="clip_224")
    assert line.startswith(f"dfew: no folder clip_224 (setting frames) in {root}; expected EmoLabel_DataSplit/train(")


def test_interpolated_clips_are_another_input_that_must_be_named(dfew_root: Root, tmp_path: Path) -> None:
    root = dfew_root(LISTS, folder="Clip/clip_224x224_16f", images=[f"{n}.jpg" for n in range(1, 17)])
    (line,) = message(root)
    assert "holds Clip/clip_224x224_16f alone, another input than all frames of the clips; expected Clip/clip_" in line
    assert "or name it by --set data.dfew.frames=clip_224x224_16f" in line
    taken = DFEW(root=root, frames="clip_224x224_16f")
    assert [len(record.frames) for record in taken.records()] == [16] * 7
    dfew_root(LISTS)
    assert [len(record.frames) for record in read(root)] == [3] * 7
    one, other = (build_index(data, cache=tmp_path / "cache") for data in (taken, DFEW(root=root)))
    assert one.manifest != other.manifest


def test_interpolated_clips_under_another_name_are_refused_unless_named(dfew_root: Root) -> None:
    rows = [(clip, clip % 7 + 1) for clip in range(1, 61)]
    lists = {"fold1/train": rows[:40], "fold1/test": rows[40:]}
    root = dfew_root(lists, folder="Clip/jpg_256", images=[f"{n}.jpg" for n in range(1, 17)])
    (line,) = message(root)
    assert line.startswith(
        f"dfew: all 60 clips in {root / 'Clip/jpg_256'} have 16 frames, as those of Clip/clip_224x224_"
    )
    assert line.endswith(
        "name the folder by --set data.dfew.frames=Clip/jpg_256 (without data.dfew. in `auharness data`)"
    )
    assert len(read(root, frames="Clip/jpg_256")) == 60
    (root / "Clip/jpg_256/00009/17.jpg").touch()
    assert len(read(root)) == 60


def test_clips_without_frames_are_counted_with_examples(dfew_root: Root) -> None:
    root = dfew_root(LISTS)
    for clip in (7, 42, 310, 2522, 2578, 16372):
        for image in (root / f"Clip/clip_224x224/{clip:05d}").iterdir():
            image.unlink()
    (root / "Clip/clip_224x224/00007").rmdir()
    (line,) = message(root)
    assert line == (
        f"dfew: 6 of 7 listed clips have no frames in {root / 'Clip/clip_224x224'}: 00007, 00042, 00310, 02522, 02578 "
        "and 1 more; expected 00007 or 7 or 00007.mp4 or 7.mp4 or 00007.avi or 7.avi for the first; "
        "unpack the vendor's archives again"
    )


def test_a_clip_of_one_frame_and_clips_in_no_list_are_no_fault(dfew_root: Root) -> None:
    root = dfew_root(LISTS)
    folder = root / "Clip/clip_224x224"
    for number in (2, 3):
        (folder / f"00042/0000{number}.jpg").unlink()
    (folder / "00099").mkdir()
    assert [len(record.frames) for record in read(root)] == [3, 3, 1, 3, 3, 3, 3]


def test_every_bad_row_is_listed(dfew_root: Root) -> None:
    lists = {
        "fold1/train": [(1, 1), (7, 8), ("x", 2), (310, 0), (310, ""), (2578, 6), (2578, 6)],
        "fold1/test": [(1, 2), (42, "1.0")],
    }
    root = dfew_root(lists)
    (root / "EmoLabel_DataSplit/train(single-labeled)/set_2.csv").write_text("video_name,class\n1,1\n")
    (root / "EmoLabel_DataSplit/test(single-labeled)/set_2.csv").write_text("video_name,label\n")
    (root / "Clip/clip_224x224/00001/1.jpg").touch()
    summary, *lines = message(root)
    assert summary == f"dfew: 9 problems in 4 files; correct the files below {root}, then repeat the command"
    test, train = ("EmoLabel_DataSplit/{}(single-labeled)/set_{}.csv".format(part, "{}") for part in ("test", "train"))
    one = "expected one of 1 Happy, 2 Sad, 3 Neutral, 4 Angry, 5 Surprise, 6 Disgust, 7 Fear"
    assert lines == [
        f"  {test.format(1)} row 2: label is Sad (1), expected Happy as in {train.format(1)} row 2",
        f"  {test.format(1)} row 3: label is 1.0, {one}",
        f"  {test.format(2)}: file is without a row, expected a clip and its class per line",
        f"  {train.format(1)} row 3: label is 8, {one}",
        f"  {train.format(1)} row 4: video_name is x, expected the number of a clip",
        f"  {train.format(1)} row 5: label is 0, {one}",
        f"  {train.format(1)} row 6: label is empty, {one}",
        f"  {train.format(1)} row 8: video_name is 2578, as in row 7, expected each clip once",
        f"  {train.format(2)} row 1: header is video_name,class, expected video_name,label",
    ]
    with pytest.raises(DataError, match="8 problems in 4 files"):
        DFEW(root=root).splits()


def test_a_text_list_counts_classes_from_0_and_reports_other_lines(dfew_root: Root) -> None:
    root = dfew_root({"fold1/train": [(1, 0), (7, 7)]}, form="annotation/DFEW_set_{fold}_{part}.txt", **TEXT)
    with (root / "annotation/DFEW_set_1_train.txt").open("a") as file:
        file.write("\ndata/00009 3\n")
    assert message(root)[1:] == [
        "  annotation/DFEW_set_1_train.txt row 2: label is 7, expected one of 0 Happy, 1 Sad, 2 Neutral, 3 Angry, "
        "4 Surprise, 5 Disgust, 6 Fear",
        "  annotation/DFEW_set_1_train.txt row 4: line is data/00009 3, expected path, number of frames and class",
    ]


def test_two_images_of_one_number_are_listed(dfew_root: Root) -> None:
    root = dfew_root(LISTS)
    (root / "Clip/clip_224x224/00042/2.jpg").touch()
    assert message(root)[1:] == ["  Clip/clip_224x224/00042: image is 00002.jpg and 2.jpg, expected each frame once"]


def test_a_wrong_root_is_one_line_that_names_what_is_missing_and_where(dfew_root: Root, tmp_path: Path) -> None:
    (line,) = message(tmp_path)
    assert line.startswith(f"dfew: no list of clips in {tmp_path}; expected EmoLabel_DataSplit/train(single-labeled)/")
    root = dfew_root(LISTS, folder="elsewhere")
    (line,) = message(root)
    assert line.startswith(f"dfew: no Clip/clip_224x224 folder in {root}; expected EmoLabel_DataSplit/train(")
    assert DFEW(root=tmp_path / "none").label_files() == []


def test_published_counts_sum_to_11697_and_fold_by_fold(tmp_path: Path) -> None:
    counts = DFEW(root=tmp_path).published_splits()
    assert list(counts) == [f"fold{fold}/{part}" for fold in range(1, 6) for part in ("train", "test")]
    totals = {"Happy": 2445, "Sad": 1894, "Neutral": 2669, "Angry": 2173, "Surprise": 1469, "Disgust": 145, "Fear": 902}
    assert sum(totals.values()) == 11697
    for fold in range(1, 6):
        train, test = counts[f"fold{fold}/train"], counts[f"fold{fold}/test"]
        assert {name: train[name] + test[name] for name in CLASSES} == totals
    assert {name: sum(counts[f"fold{fold}/test"][name] for fold in range(1, 6)) for name in CLASSES} == totals
    sizes = [
        (sum(counts[f"fold{fold}/train"].values()), sum(counts[f"fold{fold}/test"].values())) for fold in range(1, 6)
    ]
    assert sizes == [(9356, 2341), (9356, 2341), (9357, 2340), (9358, 2339), (9361, 2336)]
    rows = Path(inspect.getfile(DFEW)).with_suffix(".csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[1]) for row in rows] == [size for pair in sizes for size in pair]


class Small(DFEW):
    """What would be published if the vendor had handed out `LISTS` alone."""

    def published_splits(self) -> dict[str, dict[str, int]]:
        named = {split: [CLASSES[label - 1] for _, label in rows] for split, rows in LISTS.items()}
        return {split: {name: labels.count(name) for name in CLASSES} for split, labels in named.items()}


# three of the seven clips are tested in neither fold
NEVER = ["all folds clips never tested: 3, published 0"]


def differences(root: Path, cache: Path, published: type[DFEW] = Small) -> list[str]:
    data = published(root=root)
    return [str(difference) for difference in verify(data, build_index(data, cache=cache)).differences]


def test_verify_compares_splits_and_says_which_frames_were_read(dfew_root: Root, tmp_path: Path) -> None:
    root = dfew_root({split: rows for split, rows in LISTS.items() if split.startswith("fold1/")})
    data = Small(root=root)
    report = verify(data, build_index(data, cache=tmp_path / "cache"))
    assert (report.verified, report.differences, report.release) == (True, (), "fold1")
    assert (report.media, report.n_rows) == ("Clip/clip_224x224", 7)
    dfew_root(LISTS)
    assert differences(root, tmp_path / "cache") == NEVER


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"fold1/test": [(42, 3)], "fold2/train": LISTS["fold2/train"]},
            [
                "fold1/test rows: 1, published 2",
                "fold1/test Surprise: 0, published 1",
                "fold1 clips in no part: 1, published 0",
            ],
        ),
        (
            {"fold1/test": [(42, 3), (2522, 5), (1, 1)]},
            [
                "fold1/test rows: 3, published 2",
                "fold1/test Happy: 1, published 0",
                "fold1 clips in train and test: 1, published 0",
                "all folds clips tested twice: 1, published 0",
            ],
        ),
        ({"fold2/test": []}, ["fold2/test rows: 0, published 2", "fold2/test Happy: 0, published 1"]),
    ],
    ids=["a clip is missing", "a clip is in both parts", "a list is missing"],
)
def test_verify_finds_broken_splits(
    dfew_root: Root, tmp_path: Path, changes: dict[str, list[tuple[int, int]]], expected: list[str]
) -> None:
    root = dfew_root({split: rows for split, rows in (LISTS | changes).items() if rows})
    found = differences(root, tmp_path / "cache")
    assert set(expected) <= set(found), found


def test_verify_finds_other_counts_than_the_published_ones(dfew_root: Root, tmp_path: Path) -> None:
    found = differences(dfew_root(LISTS), tmp_path / "cache", DFEW)
    assert "fold1/train rows: 5, published 9356" in found and "fold2/test Disgust: 0, published 29" in found
    assert not any(line.startswith("fold3") for line in found)


def test_the_hook_returns_the_reader() -> None:
    assert auharness_dataset() is DFEW and DFEW.name == "dfew" and DFEW.kind == "clip-multiclass"
    assert DFEW.classes == CLASSES
