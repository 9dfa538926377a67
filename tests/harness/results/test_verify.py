import json
from collections.abc import Callable
from pathlib import Path

from auharness.results.store import RunFolder
from auharness.results.verify import verify_run, verify_runs

Write = Callable[..., RunFolder]


def test_an_untouched_run_has_no_problem_and_unfinished_units_are_none(write_run: Write, tmp_path: Path) -> None:
    write_run(finished=1)
    write_run("abd", protocol="q")
    assert verify_runs(tmp_path / "runs") == (2, [])


def test_every_changed_or_missing_file_is_named(write_run: Write) -> None:
    run = write_run()
    (run.unit_folder("u1") / "log.txt").write_text("other")
    (run.unit_folder("u3") / "weights.safetensors").unlink()
    changed, missing = verify_run(run)
    assert changed.startswith(f"{run.unit_folder('u1') / 'log.txt'}: changed since the unit was finished")
    assert missing.startswith(f"{run.unit_folder('u3') / 'weights.safetensors'}: missing")


def test_a_unit_in_the_folder_of_another_is_noticed(write_run: Write) -> None:
    run = write_run()
    mark = run.unit_folder("u2") / "unit.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "unit_id": "u1", "fold": "P1"}))
    (problem,) = verify_run(run)
    assert problem == f"{run.unit_folder('u2')}: holds unit u1 (P1, 0)"


def test_an_unreadable_record_is_a_problem_of_its_run_alone(write_run: Write, tmp_path: Path) -> None:
    run = write_run()
    write_run("abd", protocol="q")
    (run.path / "run.json").write_text("{")
    count, (problem,) = verify_runs(tmp_path / "runs")
    assert count == 2 and problem.startswith(f"{run.path / 'run.json'}: ")
