from collections.abc import Callable
from pathlib import Path
from typing import Any

from auharness.results.looks import Looks, part_key, read_looks
from auharness.results.schema import DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder

Make = Callable[..., UnitRecord]


def write(root: Path, unit: UnitRecord, *, folder: str = "", finished: int = 1, attempt: int = 1) -> RunFolder:
    """Write a run of two units, of which some are finished."""
    run = RunFolder(root / unit.protocol / unit.model / (folder or unit.run_id))
    refs = tuple(UnitRef(unit_id=f"u{number}", fold=f"P{number}", seed=0) for number in (1, 2))
    fields: dict[str, Any] = {"model": unit.model, "protocol": unit.protocol, "protocol_version": 1, "preset": "tiny"}
    fields |= {"run_id": unit.run_id, "request_hash": "h", "data_origin": unit.data.origin, "folds_total": 2}
    run.write_record(RunRecord(attempt=attempt, units=refs, **fields))
    for ref in refs[:finished]:
        path = run.unit_folder(ref.unit_id) / "unit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit.model_copy(update={"unit_id": ref.unit_id, "fold": ref.fold}).model_dump_json())
    return run


def test_every_configuration_that_was_scored_is_a_look(unit_record: Make, tmp_path: Path) -> None:
    for model, run_id in (("net", "a"), ("net", "b"), ("other", "a"), ("net", "c")):
        write(tmp_path, unit_record(model=model, run_id=run_id))
    write(tmp_path, unit_record(protocol="q", run_id="d"))
    (looks,) = read_looks(tmp_path, "p").values()
    assert looks == Looks({"net": 3, "other": 1})
    assert str(looks) == "test part looked at 4 times (net 3, other 1)"
    assert str(Looks({"net": 1})) == "test part looked at 1 time (net 1)"


def test_more_units_and_attempts_of_a_configuration_are_no_further_look(unit_record: Make, tmp_path: Path) -> None:
    unit = unit_record(run_id="a")
    write(tmp_path, unit)
    once = read_looks(tmp_path, "p")
    write(tmp_path, unit, finished=2)
    write(tmp_path, unit, folder="a-2", attempt=2)
    assert read_looks(tmp_path, "p") == once == {part_key(unit): Looks({"m": 1})}


def test_a_look_counts_once_one_unit_is_scored_and_not_before(unit_record: Make, tmp_path: Path) -> None:
    unit = unit_record(run_id="a")
    write(tmp_path, unit, finished=0)
    assert read_looks(tmp_path, "p") == {}
    # the first attempt was stopped before it scored anything
    write(tmp_path, unit, folder="a-2", attempt=2)
    assert read_looks(tmp_path, "p") == {part_key(unit): Looks({"m": 1})}


def test_looks_at_other_data_are_counted_apart(unit_record: Make, tmp_path: Path) -> None:
    here = unit_record(run_id="a")
    there = unit_record(run_id="b", data=DataInfo(origin="licensed", verified=True, manifests={"bp4d": "1"}))
    for unit in (here, there):
        write(tmp_path, unit)
    assert read_looks(tmp_path, "p") == {part_key(unit): Looks({"m": 1}) for unit in (here, there)}


def test_every_version_of_the_data_is_the_same_test_part(unit_record: Make, tmp_path: Path) -> None:
    for number, size in enumerate(("", "", "tiny")):
        manifests = {"samm": f"version {number}", "casme2": "1"}
        data = DataInfo(origin="synthetic" if size else "licensed", verified=None, size=size, manifests=manifests)
        write(tmp_path, unit_record(run_id=f"r{number}", data=data))
    assert read_looks(tmp_path, "p") == {
        ("licensed", "", ("casme2", "samm")): Looks({"m": 2}),
        ("synthetic", "tiny", ("casme2", "samm")): Looks({"m": 1}),
    }


def test_an_unreadable_record_stops_no_count(unit_record: Make, tmp_path: Path) -> None:
    write(tmp_path, unit_record(run_id="a"))
    broken = write(tmp_path, unit_record(run_id="b"))
    (broken.path / "run.json").write_text("{")
    assert [looks.total for looks in read_looks(tmp_path, "p").values()] == [1]
