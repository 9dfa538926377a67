from pathlib import Path
from typing import Any, ClassVar

from auharness.data.index import Index, build_index
from auharness.data.verify import Difference, verify


def test_equal_counts_verify(frames: Any, tmp_path: Path) -> None:
    # both subjects: two frames, one positive of each AU
    report = verify(frames, build_index(frames, cache=tmp_path))
    assert report.verified is True and report.differences == ()
    assert (report.n_subjects, report.n_rows) == (2, 4)


def test_every_difference_is_listed(frames: Any, tmp_path: Path) -> None:
    labels = frames.root / "labels.csv"
    labels.write_text(labels.read_text().replace("S1,a,9,1,1", "S1,a,9,0,1").replace("S2,b", "S3,b"))
    for name in ("S3.avi", "S3.npz"):
        (frames.root / "media" / name).touch()
    report = verify(frames, build_index(frames, cache=tmp_path))
    assert report.verified is False
    assert report.differences == (
        Difference("S1", "AU1", 1, 0),
        Difference("S2", "frames", 2, 0),
        Difference("S2", "AU1", 1, 0),
        Difference("S2", "AU12", 1, 0),
        Difference("S3", "frames", 0, 2),
        Difference("S3", "AU1", 0, 1),
        Difference("S3", "AU12", 0, 1),
    )
    assert str(report.differences[0]) == "S1 AU1: 0, published 1"


def test_nothing_published_is_neither_true_nor_false(clips: Any, tmp_path: Path) -> None:
    assert verify(clips, build_index(clips, cache=tmp_path)).verified is None


def test_rows_of_other_datasets_are_not_counted(frames: Any, tmp_path: Path) -> None:
    class Other(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        name = "another"

        def records(self) -> Any:
            for r in super().records():
                yield type(r)("another", r.subject, r.sequence, r.frame, r.media, r.labels)

    one, two = build_index(frames, cache=tmp_path), build_index(Other(root=frames.root), cache=tmp_path)
    report = verify(frames, Index.concat([one, two]))
    assert report.verified is True and report.n_rows == 4


def test_totals_are_compared_with_the_nearest_release(frames: Any, tmp_path: Path) -> None:
    releases = {"old": (2, 3, {1: 3, 12: 3}), "new": (2, 4, {1: 2, 12: 2})}

    class Totals(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        def published_counts(self) -> Any:
            return {}

        def published_totals(self) -> Any:
            return releases

    data = Totals(root=frames.root)
    index = build_index(data, cache=tmp_path)
    report = verify(data, index)
    assert (report.verified, report.release, report.differences) == (True, "new", ())
    assert (report.n_subjects, report.n_rows) == (2, 4)
    releases["new"] = (3, 4, {1: 2, 12: 1})
    report = verify(data, index)
    assert (report.verified, report.release) == (False, "new")
    assert report.differences == (Difference("new", "subjects", 3, 2), Difference("new", "AU12", 1, 2))


def test_totals_are_not_looked_at_beside_counts_per_subject(frames: Any, tmp_path: Path) -> None:
    class Both(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        def published_totals(self) -> Any:
            return {"wrong": (9, 9, {})}

    report = verify(Both(root=frames.root), build_index(frames, cache=tmp_path))
    assert report.verified is True and report.release == ""


def au_splits(frames: Any, counts: dict[str, dict[str, int]], within: float = 0.0, validation: str = "S2/b") -> Any:
    """The same reader, with splits of frames, whose AUs are no classes: S1 trains, S2 validates."""

    class Splits(type(frames)):  # type: ignore[misc]  # the class comes from a fixture
        published_within: ClassVar[float] = within

        def published_counts(self) -> Any:
            return {}

        def published_splits(self) -> Any:
            return counts

        def splits(self) -> Any:
            return {"train": ("S1/a",), "validation": (validation,)}

    return Splits(root=frames.root)


def test_splits_of_frames_are_compared_by_rows_and_published_outputs(frames: Any, tmp_path: Path) -> None:
    counts = {"train": {"rows": 2, "AU1": 1, "AU12": 1}, "validation": {"rows": 2}}
    data = au_splits(frames, counts)
    index = build_index(data, cache=tmp_path)
    report = verify(data, index)
    assert (report.verified, report.differences) == (True, ())
    counts = {"train": {"rows": 3, "AU1": 1, "AU12": 2}, "validation": {"rows": 2, "AU1": 1}}
    rows, positives = Difference("train", "rows", 3, 2), Difference("train", "AU12", 2, 1)
    assert verify(au_splits(frames, counts), index).differences == (rows, positives)
    # a third of three rows is what rounding may hide
    assert verify(au_splits(frames, counts, within=0.34), index).differences == (rows,)


def test_a_sequence_in_two_splits_or_none_is_found(frames: Any, tmp_path: Path) -> None:
    data = au_splits(frames, {"train": {"rows": 2}, "validation": {"rows": 2}}, validation="S1/a")
    assert verify(data, build_index(data, cache=tmp_path)).differences == (
        Difference("splits", "clips in train and validation", 0, 1),
        Difference("splits", "clips in no part", 0, 1),
    )
