import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auharness.api import DatasetPlugin
from auharness.data import index as module
from auharness.data.index import Index, build_index
from auharness.errors import DataError, PluginError, UsageError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the datasets that were read from their files."""
    names: list[str] = []
    original = module._read

    def read(dataset: DatasetPlugin) -> Any:
        names.append(dataset.name)
        return original(dataset)

    monkeypatch.setattr(module, "_read", read)
    return names


def test_rows_are_sorted_by_subject_sequence_and_frame(frames: DatasetPlugin, cache: Path) -> None:
    index = build_index(frames, cache=cache)
    expected = ["frames/S1/a/9", "frames/S1/a/10", "frames/S2/b/1", "frames/S2/b/2"]
    assert index.table["sample_id"].tolist() == expected
    assert index.labels().tolist() == [[1, 1], [0, 0], [1, -1], [0, 1]]
    assert index.labels().dtype == np.int8
    assert index.labels(["AU12"], rows=index.rows({("frames", "S2")})).tolist() == [[-1], [1]]


def test_records_come_back_as_the_reader_gave_them(frames: DatasetPlugin, cache: Path) -> None:
    given = sorted(frames.records(), key=lambda record: (record.subject, record.frame))  # type: ignore[union-attr]  # frames only
    build_index(frames, cache=cache)
    assert list(build_index(frames, cache=cache).records()) == given


def test_clips_keep_frames_media_landmarks_and_class(clips: DatasetPlugin, cache: Path) -> None:
    build_index(clips, cache=cache)
    index = build_index(clips, cache=cache)
    assert list(index.records()) == sorted(clips.records(), key=lambda record: record.sequence)
    assert index.table["label"].tolist()[:2] == ["Sad", "Happy"]
    assert index.labels().tolist() == [[0, 1], [1, 0], [-1, -1]]
    assert index.classes().tolist() == [1, 0, -1]
    assert index.rows({("clips", "c3"), ("clips", "c1")}, key="clip").tolist() == [0, 2]
    assert index.clips("clips") == ("c1", "c2", "c3")
    assert [record.sequence for record in index.records(np.array([2]))] == ["c3"]


def test_split_keys_find_the_rows_of_their_dataset_only(frames: DatasetPlugin, cache: Path) -> None:
    index = build_index(frames, cache=cache)
    assert index.rows({("frames", "S2")}).tolist() == [2, 3]
    assert index.rows({("frames", "S1/a")}, key="clip").tolist() == [0, 1]
    assert index.rows({("other", "S2"), ("frames", "S9")}).tolist() == []
    assert index.subjects("frames") == ("S1", "S2")
    assert index.subjects("other") == ()


def split_clips(clips: Any, **parts: tuple[str, ...]) -> Any:
    return type(clips)(root=clips.root, parts={f"fold1/{name}": members for name, members in parts.items()})


def test_splits_of_the_vendor_are_kept_and_come_back_sorted(clips: Any, cache: Path, reads: list[str]) -> None:
    for _ in range(2):
        index = build_index(split_clips(clips, train=("c3", "c1"), test=("c2",)), cache=cache)
        assert index.split("clips", "fold1/train") == ("c1", "c3")
        assert index.split("clips", "fold1/test") == ("c2",)
    assert reads == ["clips"]


def test_an_unknown_split_is_named_with_the_nearest_one(clips: Any, cache: Path) -> None:
    index = build_index(split_clips(clips, train=("c1",), test=("c2",)), cache=cache)
    with pytest.raises(DataError, match=r"no split 'fold1/tset'; did you mean 'fold1/test'\? .*splits: fold1/train"):
        index.split("clips", "fold1/tset")
    with pytest.raises(DataError, match=r"no split 'fold1/test' \(splits: none\)"):
        build_index(clips, cache=cache).split("clips", "fold1/test")


def test_another_split_is_another_manifest_and_none_leaves_it_as_it_was(clips: Any, cache: Path) -> None:
    def manifest(**parts: tuple[str, ...]) -> str:
        return build_index(split_clips(clips, **parts), cache=cache).manifest

    whole = manifest(train=("c1", "c3"), test=("c2",))
    assert whole == manifest(test=("c2",), train=("c3", "c1"))
    others = {manifest(), manifest(train=("c1",), test=("c2",)), manifest(train=("c1",), test=("c2", "c3")), whole}
    assert len(others) == 4
    plain = [f"{clip}/{frame}.jpg" for clip in ("c1", "c2", "c3") for frame in (1, 2)]
    assert manifest() == module.manifest(clips.root, [], [*plain, "c2/1.mat"])


def test_a_split_with_an_unknown_or_a_repeated_sequence_is_refused(clips: Any, cache: Path) -> None:
    with pytest.raises(DataError, match=r"split 'fold1/train' lists c8, which has no record \(2 such of 3\)"):
        build_index(split_clips(clips, train=("c1", "c9", "c8")), cache=cache)
    with pytest.raises(DataError, match="split 'fold1/train' lists c1 twice"):
        build_index(split_clips(clips, train=("c1", "c1")), cache=cache)


def test_splits_of_joined_datasets_stay_apart(clips: Any, cache: Path) -> None:
    class Other(type(clips)):  # type: ignore[misc]  # the class comes from a fixture
        name = "another"

    one = split_clips(clips, train=("c1",), test=("c2",))
    two = Other(root=clips.root, parts={"fold1/train": ("c3",)})
    joined = Index.concat([build_index(one, cache=cache), build_index(two, cache=cache)])
    assert (joined.split("clips", "fold1/train"), joined.split("another", "fold1/train")) == (("c1",), ("c3",))


def test_counts_leave_out_what_is_not_coded(frames: DatasetPlugin, cache: Path) -> None:
    index = build_index(frames, cache=cache)
    assert index.counts(index.rows({("frames", "S2")})) == ((1, 1), (2, 1))


def test_a_second_load_reads_no_vendor_file(frames: DatasetPlugin, cache: Path, reads: list[str]) -> None:
    first = build_index(frames, cache=cache)
    second = build_index(frames, cache=cache)
    assert reads == ["frames"]
    assert second.table.equals(first.table) and second.manifests == first.manifests
    assert second.outputs == first.outputs == ("AU1", "AU12")


@pytest.mark.parametrize("change", ["labels", "video", "new file", "setting"])
def test_a_change_below_the_root_is_seen(frames: Any, cache: Path, reads: list[str], change: str) -> None:
    build_index(frames, cache=cache)
    labels, video = frames.root / "labels.csv", frames.root / "media" / "S1.avi"
    if change == "labels":
        labels.write_text(labels.read_text().replace("S1,a,9,1,1", "S1,a,9,0,1"))
    elif change == "video":
        video.write_bytes(b"longer than before")
    elif change == "new file":
        (frames.root / "media" / "S3.jpg").write_bytes(b"")
    else:
        frames = type(frames)(root=frames.root, camera="right")
    index = build_index(frames, cache=cache)
    assert reads == ["frames", "frames"]
    assert index.labels()[0, 0] == (0 if change == "labels" else 1)


def test_a_label_file_of_equal_size_and_new_time_is_read_again(frames: Any, cache: Path, reads: list[str]) -> None:
    build_index(frames, cache=cache)
    labels = frames.root / "labels.csv"
    labels.write_text(labels.read_text().replace("S1,a,9,1,1", "S1,a,9,1,0"))
    os.utime(labels, ns=(1, 1))
    assert build_index(frames, cache=cache).labels()[0].tolist() == [1, 0]


def test_a_damaged_cache_file_is_replaced(frames: DatasetPlugin, cache: Path, reads: list[str]) -> None:
    expected = build_index(frames, cache=cache).table
    (path,) = (cache / "index" / "frames").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert build_index(frames, cache=cache).table.equals(expected)
    assert build_index(frames, cache=cache).table.equals(expected)
    assert reads == ["frames", "frames"]


def test_concatenation_is_independent_of_order_and_marks_missing_outputs(
    frames: Any, cache: Path, tmp_path: Path
) -> None:
    class Other(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        name = "another"
        aus = (12, 25)

        def records(self) -> Any:
            for record in super().records():
                labels = {12: record.labels[12], 25: 1}
                yield type(record)("another", record.subject, record.sequence, record.frame, record.media, labels)

    one, two = build_index(frames, cache=cache), build_index(Other(root=frames.root), cache=cache)
    joined = Index.concat([one, two])
    assert joined.table.equals(Index.concat([two, one]).table)
    assert joined.outputs == ("AU12", "AU25", "AU1")
    assert joined.table["dataset"].tolist() == ["another"] * 4 + ["frames"] * 4
    assert joined.labels(["AU1"]).ravel().tolist() == [-1] * 4 + [1, 0, 1, 0]
    assert joined.labels(["AU25"]).ravel().tolist() == [1] * 4 + [-1] * 4
    assert joined.rows({("frames", "S1")}).tolist() == [4, 5]
    assert set(joined.manifests) == {"frames", "another"} and joined.manifest not in joined.manifests.values()
    assert joined.source("another").root == frames.root
    with pytest.raises(UsageError, match="a dataset occurs twice in frames, frames"):
        Index.concat([one, one])


def timed(frames: Any, times: dict[int, float] | None = None) -> Any:
    """The same reader, with times by frame number and one sound file for all."""
    given = {} if times is None else times

    class Timed(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        name = "timed"
        times: dict[int, float] = given

        def records(self) -> Any:
            for record in super().records():
                yield replace(record, dataset="timed", time_s=self.times.get(record.frame))

        def audio(self, sequence: str) -> str | None:
            return "media/S1.avi" if self.times else None

        def remarks(self) -> Any:
            return {"train": {"n_filled": 2}} if self.times else {}

    return Timed(root=frames.root)


def test_times_are_kept_and_take_no_column_where_there_are_none(frames: Any, cache: Path) -> None:
    times = {9: 0.3, 10: 1 / 3, 1: 0.0}
    for _ in range(2):
        index = build_index(timed(frames, times), cache=cache)
        assert index.table["time_s"].tolist()[:3] == [0.3, 1 / 3, 0.0]
        assert [record.time_s for record in index.records()] == [0.3, 1 / 3, 0.0, None]  # type: ignore[union-attr]  # frames
    assert "time_s" not in build_index(timed(frames), cache=cache).table
    assert [record.time_s for record in build_index(frames, cache=cache).records()] == [None] * 4  # type: ignore[union-attr]  # frames


def test_a_joined_dataset_without_times_has_none(frames: Any, cache: Path) -> None:
    one, two = build_index(frames, cache=cache), build_index(timed(frames, {9: 0.3}), cache=cache)
    joined = Index.concat([one, two])
    assert joined.table["time_s"].isna().tolist() == [True] * 4 + [False, True, True, True]
    assert joined.arrow["time_s"].to_pylist()[4] == 0.3


def test_sound_enters_the_manifest_and_none_leaves_it_as_it_was(frames: Any, cache: Path) -> None:
    (frames.root / "media/S1.avi").rename(frames.root / "media/S9.avi")
    labels = frames.root / "labels.csv"
    labels.write_text("S2,b,2,0,1\n")
    plain = ["media/S2.avi", "media/S2.npz"]
    assert build_index(timed(frames), cache=cache).manifest == module.manifest(frames.root, [Path("labels.csv")], plain)
    with pytest.raises(DataError, match=r"file media/S1\.avi is missing"):
        build_index(timed(frames, {2: 0.1}), cache=cache)
    (frames.root / "media/S1.avi").touch()
    expected = module.manifest(frames.root, [Path("labels.csv")], [*plain, "media/S1.avi"])
    assert build_index(timed(frames, {2: 0.1}), cache=cache).manifest == expected


def test_remarks_of_the_reader_are_kept(frames: Any, cache: Path, reads: list[str]) -> None:
    for _ in range(2):
        assert build_index(timed(frames, {9: 0.3}), cache=cache).source("timed").remarks == {"train": {"n_filled": 2}}
    assert reads == ["timed"]
    assert build_index(frames, cache=cache).source("frames").remarks == {}


def test_frames_and_clips_are_never_joined(frames: DatasetPlugin, clips: DatasetPlugin, cache: Path) -> None:
    with pytest.raises(UsageError, match="different kinds cannot be joined: clip-multiclass, frame-multilabel"):
        Index.concat([build_index(frames, cache=cache), build_index(clips, cache=cache)])


def test_a_sample_that_occurs_twice_is_refused(frames: Any, cache: Path) -> None:
    with (frames.root / "labels.csv").open("a") as file:
        file.write("S1,a,9,0,0\n")
    with pytest.raises(DataError, match="sample frames/S1/a/9 occurs twice"):
        build_index(frames, cache=cache)


def test_an_unknown_class_is_refused(clips: Any, cache: Path) -> None:
    with pytest.raises(DataError, match="clip clips/c1: class is 'Glad', expected one of Happy, Sad"):
        build_index(type(clips)(root=clips.root, labels={"c1": "Glad"}), cache=cache)


def test_an_output_named_like_a_column_is_refused(clips: Any, cache: Path) -> None:
    class Clash(type(clips)):  # type: ignore[misc]  # the class comes from a fixture
        classes = ("label", "Happy", "Sad")

    with pytest.raises(PluginError, match="output name 'label' is a column of the index"):
        build_index(Clash(root=clips.root), cache=cache)


def test_records_of_the_wrong_kind_or_none_are_refused(clips: Any, cache: Path) -> None:
    class Wrong(type(clips)):  # type: ignore[misc]  # the class comes from a fixture
        kind = "frame-multilabel"

    with pytest.raises(DataError, match=r"expected records of kind frame-multilabel .* got 0 frames and 3 clips"):
        build_index(Wrong(root=clips.root), cache=cache)
    with pytest.raises(DataError, match="got 0 frames and 0 clips"):
        build_index(type(clips)(root=clips.root, labels={}), cache=cache)


def test_an_unknown_output_is_named_with_the_nearest(frames: DatasetPlugin, cache: Path) -> None:
    with pytest.raises(UsageError, match="no output 'AU13' in the index; did you mean 'AU1'"):
        build_index(frames, cache=cache).labels(["AU13"])


def test_a_missing_media_file_is_named(frames: DatasetPlugin, cache: Path) -> None:
    (frames.root / "media" / "S2.avi").unlink()
    with pytest.raises(DataError, match=r"file media/S2\.avi is missing"):
        build_index(frames, cache=cache)


def test_the_cheap_key_needs_no_heavy_library() -> None:
    code = (
        "import sys, auharness.data.manifest, auharness.data.roots, auharness.data.problems, auharness.data.published;"
        "print([m for m in ('torch', 'numpy', 'pandas', 'pyarrow', 'cv2') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
