import pytest

from auharness.errors import IntegrityError
from auharness.scaling.point import append_points, read_points


def test_points_come_back_as_they_were_written(point, tmp_path):
    path = tmp_path / "deep" / "points.jsonl"
    points = [point(length=length, batch=2) for length in (197, 1024)]
    append_points(path, points[:1])
    append_points(path, points[1:])
    assert read_points([path]) == points


def test_a_point_measured_again_replaces_the_earlier_one(point, tmp_path):
    path = tmp_path / "points.jsonl"
    append_points(path, [point(best_ms=5.0), point(best_ms=4.0)])
    assert [found.best_ms for found in read_points([path])] == [4.0]


def test_a_line_cut_short_by_a_kill_is_left_out(point, tmp_path):
    path = tmp_path / "points.jsonl"
    append_points(path, [point(length=197), point()])
    path.write_bytes(path.read_bytes()[:-20])
    assert [found.length for found in read_points([path])] == [197]


def test_appending_after_a_line_cut_short_loses_no_point(point, tmp_path):
    path = tmp_path / "points.jsonl"
    append_points(path, [point(length=197), point()])
    path.write_bytes(path.read_bytes()[:-20])
    append_points(path, [point(length=2048)])
    assert [found.length for found in read_points([path])] == [197, 2048]


def test_a_damaged_line_is_named(point, tmp_path):
    path = tmp_path / "points.jsonl"
    append_points(path, [point()])
    path.write_text('{"level": "op"}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"points.jsonl line 1 is not a point of the scaling suite"):
        read_points([path])
