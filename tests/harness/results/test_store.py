import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from auharness.errors import IntegrityError, UsageError
from auharness.results.atomic import file_digest
from auharness.results.store import RunFolder, attempts, find_run, iter_runs

Write = Callable[..., RunFolder]


def test_a_finished_unit_lists_the_digests_of_its_siblings(write_run: Write) -> None:
    run = write_run()
    unit = run.unit("u1")
    folder = run.unit_folder("u1")
    assert set(unit.files) == {path.name for path in folder.iterdir()} - {"unit.json"}
    assert all(file_digest(folder / name) == expected for name, expected in unit.files.items())
    assert load_file(folder / "weights.safetensors")["w"].tolist() == [1.0, 1.0]
    assert json.loads((folder / "metrics.json").read_text()) == unit.metrics


def test_the_completion_mark_alone_decides_what_is_finished(write_run: Write) -> None:
    run = write_run(finished=2)
    assert [run.is_finished(name) for name in ("u1", "u2", "u3")] == [True, True, False]
    assert not run.is_complete and [unit.fold for unit in run.finished()] == ["P1", "P2"]
    run.scratch("u3").mkdir(parents=True)
    (run.unit_folder("u2") / "unit.json").unlink()
    assert [unit.fold for unit in run.finished()] == ["P1"]


def test_tidying_removes_scratch_and_half_written_files_only(write_run: Write) -> None:
    run = write_run()
    folder = run.unit_folder("u1")
    before = sorted(folder.iterdir())
    run.scratch("u1").mkdir()
    (run.scratch("u1") / "checkpoint.safetensors").touch()
    (folder / ".unit.json.x7.tmp").touch()
    run.tidy("u1")
    assert sorted(folder.iterdir()) == before


def test_an_unchanged_record_is_not_written_again(write_run: Write) -> None:
    run = write_run()
    before = (run.path / "run.json").stat().st_mtime_ns
    run.write_record(run.record)
    assert (run.path / "run.json").stat().st_mtime_ns == before
    run.write_record(run.record.model_copy(update={"headline": "F1 50.00"}))
    assert run.record.headline == "F1 50.00"


def test_the_tail_gives_each_event_once_and_waits_for_whole_lines(write_run: Write) -> None:
    run = write_run()
    run.event("old")
    read = run.tail()
    assert read() == []
    run.event("epoch", epoch=1)
    run.event("epoch", epoch=2)
    assert [event["epoch"] for event in read()] == [1, 2]
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write('{"event":"ha')
        stream.flush()
        assert read() == []
        stream.write('lf"}\n')
    assert [event["event"] for event in read()] == ["half"]


def test_a_line_that_a_full_disk_cut_short_is_skipped(write_run: Write) -> None:
    run = write_run()
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write('{"event":"cut')
    read = run.tail()
    run.event("epoch", epoch=1)
    run.event("epoch", epoch=2)
    assert [event["epoch"] for event in read()] == [1, 2]


def test_a_torn_line_costs_no_other_event(write_run: Write) -> None:
    run = write_run()
    read = run.tail()
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write('{"event":"to{"event":"torn"}\n7\n')
    run.event("epoch", epoch=1)
    assert [event["event"] for event in read()] == ["epoch"]


def test_runs_are_found_by_folder_name_or_beginning(write_run: Write, tmp_path: Path) -> None:
    run = write_run("abc123")
    write_run("abd456", protocol="q")
    runs = tmp_path / "runs"
    for name in ("abc", "abc123", str(run.path)):
        assert find_run(runs, name).path == run.path
    with pytest.raises(UsageError, match="run 'ab': 2 runs of that name"):
        find_run(runs, "ab")
    with pytest.raises(UsageError, match=r"run 'abc124': no run of that name .*; did you mean 'abc123'"):
        find_run(runs, "abc124")


def test_runs_and_attempts_have_a_fixed_order(write_run: Write, tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_run("abc" if number == 1 else f"abc-{number}", attempt=number)
    write_run("zzz", protocol="a")
    runs = tmp_path / "runs"
    assert [run.path.name for run in attempts(runs, "p", "m", "abc")] == ["abc", "abc-2", "abc-10"]
    assert [run.record.protocol for run in iter_runs(runs)] == ["a", "p", "p", "p"]
    assert [run.path.name for run in iter_runs(runs, protocol="a")] == ["zzz"]
    assert list(iter_runs(runs, model="other")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (b"{}", "schema version 1"),
        (b'{"schema_version": 2}', "schema version 1"),
    ],
)
def test_a_record_that_does_not_fit_names_its_file(write_run: Write, content: bytes, message: str) -> None:
    run = write_run()
    (run.unit_folder("u1") / "unit.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=message) as caught:
        run.unit("u1")
    assert str(caught.value).startswith(f"{run.unit_folder('u1') / 'unit.json'}: ")
    with pytest.raises(IntegrityError, match=r"expected a run\.json, found none"):
        _ = RunFolder(run.path / "nowhere").record


def test_a_field_that_the_schema_does_not_know_is_refused(write_run: Write) -> None:
    run = write_run()
    path = run.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "score": 99}))
    with pytest.raises(IntegrityError, match="score: Extra inputs are not permitted"):
        _ = run.record
