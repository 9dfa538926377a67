import math
from pathlib import Path
from typing import Any

from auharness.data.index import build_index
from auharness.data.stats import OutputStats, stats


def test_counts_and_rates_of_all_rows_and_of_parts(frames: Any, tmp_path: Path) -> None:
    index = build_index(frames, cache=tmp_path)
    everything, part = stats(index, parts={"P1": {("frames", "S2")}})
    assert (everything.part, everything.n_subjects, everything.n_rows) == ("all", 2, 4)
    assert everything.outputs == (OutputStats("AU1", 4, 2), OutputStats("AU12", 3, 2))
    assert (part.part, part.n_subjects, part.n_rows) == ("P1", 1, 2)
    assert part.outputs == (OutputStats("AU1", 2, 1), OutputStats("AU12", 1, 1))
    assert [output.rate for output in part.outputs] == [0.5, 1.0]


def test_a_rate_without_coded_rows_is_undefined() -> None:
    assert math.isnan(OutputStats("AU1", 0, 0).rate)


def test_classes_are_counted_per_clip(clips: Any, tmp_path: Path) -> None:
    index = build_index(clips, cache=tmp_path)
    (everything, part) = stats(index, parts={"first": {("clips", "c1")}}, key="clip")
    assert everything.outputs == (OutputStats("Happy", 2, 1), OutputStats("Sad", 2, 1))
    assert part.outputs == (OutputStats("Happy", 1, 0), OutputStats("Sad", 1, 1))
