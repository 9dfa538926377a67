import cv2
import numpy as np
import pytest

from auharness.data.cache import CropCache, CropSettings
from auharness.data.prepare import by_sequence, estimate, prepare
from auharness.errors import DataError, UsageError
from auharness.records import FrameRecord, Media

SETTINGS = CropSettings(size=16, landmarks="mean-shape")


def dataset(root, names=("F001/T1", "F001/T2", "M002/T1"), count=3):
    records = []
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for frame in range(count):
            image = np.random.default_rng(frame).integers(0, 256, (24, 24, 3), dtype=np.uint8)
            cv2.imwrite(str(root / name / f"{frame}.png"), image)
            records.append(FrameRecord("bp4d", name[:4], name, frame, Media(f"{name}/{frame}.png"), {1: 0}))
    return by_sequence(records)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_records_are_grouped_by_sequence_in_sorted_order(tmp_path):
    groups = by_sequence(reversed([r for g in dataset(tmp_path).values() for r in g]))
    assert list(groups) == ["F001/T1", "F001/T2", "M002/T1"]
    assert [record.frame for record in groups["F001/T2"]] == [2, 1, 0]


def test_the_number_of_jobs_does_not_change_the_cache(tmp_path):
    groups = dataset(tmp_path)
    seen = []
    alone = prepare(CropCache(tmp_path / "a"), tmp_path, groups, SETTINGS, progress=seen.append)
    pooled = prepare(CropCache(tmp_path / "b"), tmp_path, groups, SETTINGS, jobs=2)
    assert alone == pooled and (alone.n, alone.n_no_face, alone.n_bad) == (9, 9, 0)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert sorted(report.name for report in seen) == list(groups)


def test_more_subjects_only_add_what_is_missing(tmp_path):
    groups = dataset(tmp_path)
    cache = CropCache(tmp_path / "cache")
    prepare(cache, tmp_path, {"F001/T2": groups["F001/T2"]}, SETTINGS)
    inode = (cache.folder / "F001/T2.crops/images.npy").stat().st_ino
    report = prepare(cache, tmp_path, groups, SETTINGS)
    assert [(r.name, r.cached) for r in report.sequences] == [("F001/T1", False), ("F001/T2", True), ("M002/T1", False)]
    assert (cache.folder / "F001/T2.crops/images.npy").stat().st_ino == inode
    assert report.n == 9


def test_every_bad_file_is_listed_before_it_fails_and_good_sequences_stay(tmp_path):
    groups = dataset(tmp_path)
    (tmp_path / "F001/T1/1.png").write_bytes(b"")
    (tmp_path / "M002/T1/0.png").write_bytes(b"no picture")
    cache = CropCache(tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        prepare(cache, tmp_path, groups, SETTINGS)
    message = str(caught.value)
    assert message.startswith("frames that cannot be read: 2") and "--on-bad-frame drop" in message
    assert "F001/T1/1.png: expected a picture, got a file of zero bytes" in message and "M002/T1/0.png" in message
    assert len(cache.sequence("F001/T2").frames) == 3


def test_dropped_frames_are_counted(tmp_path):
    groups = dataset(tmp_path)
    (tmp_path / "F001/T1/1.png").unlink()
    settings = CropSettings(size=16, landmarks="mean-shape", on_bad_frame="drop")
    cache = CropCache(tmp_path / "cache")
    report = prepare(cache, tmp_path, groups, settings)
    assert (report.n, report.n_bad, report.bad[0].path) == (8, 1, "F001/T1/1.png")
    assert cache.sequence("F001/T1").frames.tolist() == [0, 2]
    # what was dropped is remembered, and is an error again where bad frames are
    assert prepare(cache, tmp_path, groups, settings).n_bad == 1
    with pytest.raises(DataError, match="frames that cannot be read: 1"):
        prepare(cache, tmp_path, groups, SETTINGS)


def test_a_missing_landmark_source_stops_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="expected one of vendor"):
        prepare(CropCache(tmp_path / "c"), tmp_path, dataset(tmp_path), CropSettings(landmarks="retina"))
    assert not (tmp_path / "c").exists()


def test_the_estimate_is_the_size_on_disk(tmp_path):
    groups = dataset(tmp_path, names=("F001/T1",), count=40)
    records = groups["F001/T1"]
    CropCache(tmp_path / "c").prepare_sequence(tmp_path, "F001/T1", records, SETTINGS)
    arrays = sum(path.stat().st_size for path in (tmp_path / "c").rglob("*.npy"))
    expected = estimate(records, SETTINGS)
    assert arrays - expected.bytes == 4 * 128
    assert 0 < expected.seconds < estimate(records, CropSettings(size=16, landmarks="haar")).seconds
