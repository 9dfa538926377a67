import csv
import fcntl
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from auharness import registry
from auharness.errors import InconclusiveError, IntegrityError
from auharness.leaderboard import add_run, build_boards, check_boards, write_page
from auharness.leaderboard import memory as memory_module
from auharness.leaderboard.entries import newest, read_entries
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import make_page
from auharness.leaderboard.rows import make_tables
from auharness.leaderboard.usual import data_settings, usual_settings
from auharness.results.schema import DataInfo
from auharness.results.store import RunFolder
from auharness.statistics import Interval, headline_interval, swap_test

MakeRun = Callable[..., RunFolder]
SYNTHETIC = DataInfo(origin="synthetic", verified=None, size="tiny", manifests={"bp4d": "bb" * 32})


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards with 300 draws: what is tested here does not depend on their number."""
    interval, test = headline_interval, swap_test
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=300))
    monkeypatch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=1000))


def rows_of(runs: Path, protocol: str = "bp4d-3fold") -> list[dict[str, object]]:
    write_page(runs, protocol)
    content = json.loads((runs / "leaderboard" / f"{protocol}.json").read_text())
    return [row for row in content["rows"] if row["origin"] == "measured"]


def test_a_row_is_the_newest_attempt_and_never_the_best(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, hit=0.9, alarm=0.05)
    make_run(tmp_path, hit=0.5, alarm=0.3, attempt=2)
    (row,) = rows_of(tmp_path)
    assert row["attempt"] == 2
    assert row["score"] < 0.6  # type: ignore[operator]  # a number


def test_an_unfinished_attempt_leaves_the_finished_one_on_the_board(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    second = make_run(tmp_path, attempt=2)
    next(second.path.glob("units/*/unit.json")).unlink()
    (row,) = rows_of(tmp_path)
    assert row["attempt"] == 1


def test_of_two_runs_of_one_configuration_the_newer_stands(tmp_path: Path, make_run: MakeRun) -> None:
    old, new = make_run(tmp_path, run_id="zzz", hit=0.9), make_run(tmp_path, run_id="aaa", hit=0.5)
    for run, time in ((old, 1000), (new, 2000)):
        for path in run.path.glob("units/*/unit.json"):
            os.utime(path, (time, time))
    assert [row["run"] for row in rows_of(tmp_path)] == ["aaa"]


def test_other_settings_are_another_row_that_names_them(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, run_id="aaa", settings={"recipe": {"epochs": 6, "lr": 1}})
    make_run(tmp_path, run_id="bbb", settings={"recipe": {"epochs": 8, "lr": 1}})
    assert {row["run"]: row["difference"] for row in rows_of(tmp_path)} == {
        "aaa": "recipe.epochs=6",
        "bbb": "recipe.epochs=8",
    }


def test_close_rows_share_a_rank_and_distant_ones_do_not(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, model="good", hit=0.90, noise=1)
    make_run(tmp_path, model="also-good", hit=0.90, noise=2)
    make_run(tmp_path, model="poor", hit=0.50, noise=3)
    assert {row["model"]: row["rank"] for row in rows_of(tmp_path)} == {"good": 1, "also-good": 1, "poor": 3}


def test_more_seeds_do_not_weigh_more_in_the_paired_test(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, model="one", noise=1)
    make_run(tmp_path, model="three", noise=1, seeds=(0, 1, 2))
    entries, _ = read_entries(tmp_path)
    seen = []

    class Recording(Memory):
        def p_value(self, first, second, **options):  # type: ignore[no-untyped-def]  # as in the parent
            seen.append([sum(fold.total.sum() for fold in folds) for folds in (first, second)])
            return super().p_value(first, second, **options)

    make_tables(registry.load("protocol", "bp4d-3fold")(), newest(entries), memory=Recording())
    assert seen[0][0] == seen[0][1]


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        ({"smoke": True}, "smoke run"),
        ({"folds": ("P1",)}, "1 of 3 folds"),
        ({"selection": "test-oracle"}, "test-oracle"),
        ({"threshold": "test-oracle"}, "test-oracle"),
    ],
)
def test_incomplete_and_oracle_rows_have_no_rank(
    tmp_path: Path, make_run: MakeRun, unit: dict[str, object], reason: str
) -> None:
    make_run(tmp_path, **unit)
    (row,) = rows_of(tmp_path)
    assert (row["rank"], row["not_ranked"]) == (None, reason)
    text = (tmp_path / "leaderboard" / "bp4d-3fold.md").read_text()
    assert "Incomplete, not ranked" in text
    assert reason in text


def test_synthetic_and_licensed_rows_stand_in_tables_of_their_own(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, model="real")
    make_run(tmp_path, model="rendered", data=SYNTHETIC, hit=0.99, alarm=0)
    rows = rows_of(tmp_path)
    assert [(row["section"], row["rank"]) for row in rows] == [("licensed", 1), ("synthetic tiny", 1)]
    text = (tmp_path / "leaderboard" / "bp4d-3fold.md").read_text()
    licensed, _, rest = text.partition("### Synthetic stand-in, tiny")
    synthetic, _, reported = rest.partition("## Reported")
    assert "Not comparable with reported numbers" in synthetic
    assert ("rendered" in licensed, "real " in synthetic, "AUFormer" in licensed + synthetic) == (False, False, False)
    assert "AUFormer" in reported


def test_unverified_data_is_marked(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, data=DataInfo(origin="licensed", verified=False, manifests={"bp4d": "cc" * 32}))
    assert "**no**" in write_page(tmp_path, "bp4d-3fold").read_text()


@pytest.mark.parametrize("verified", [True, None, False])
def test_data_with_other_counts_never_stand_beside_a_printed_number(
    tmp_path: Path, make_run: MakeRun, verified: bool | None
) -> None:
    data = DataInfo(origin="licensed", verified=verified, manifests={"bp4d": "cc" * 32})
    settings = dict(usual_settings("au-ttt", ["paper"], "bp4d", {}))
    make_run(tmp_path, model="au-ttt", preset="paper", settings=settings, data=data)
    page = make_page(tmp_path, "bp4d-3fold", memory=Memory(tmp_path / "memory.json"))
    found = [name for table in page.reported for name in page.measured(table)]
    assert bool(found) == (verified is not False)


def test_floors_stand_in_the_table_and_equal_the_published_ones(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    text = write_page(tmp_path, "bp4d-3fold").read_text()
    line = next(line for line in text.splitlines() if "*constant-1*" in line)
    assert [cell.strip() for cell in line.split("|")[1:5]] == ["floor", "*constant-1*", "", "48.04"]


def test_the_page_says_how_often_the_test_part_was_looked_at(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, hit=0.5)
    make_run(tmp_path, run_id="other", hit=0.9, settings={"depth": 6})
    make_run(tmp_path, model="their-net")
    # a newer run of the first row hides it, and does not undo that it was looked at
    make_run(tmp_path, run_id="newer", hit=0.6)
    page = write_page(tmp_path, "bp4d-3fold")
    first = page.read_bytes()
    assert b"Test part looked at 4 times (my-net 3, their-net 1)." in first
    (looks,) = json.loads(page.with_suffix(".json").read_text())["looks"]
    assert (looks["section"], looks["models"]) == ("licensed", {"my-net": 3, "their-net": 1})
    # once more is nothing new
    make_run(tmp_path, run_id="newer", hit=0.6)
    make_run(tmp_path, run_id="newer", hit=0.6, attempt=2)
    assert b"looked at 4 times" in write_page(tmp_path, "bp4d-3fold").read_bytes()


def test_another_version_of_the_data_is_another_table_and_the_same_test_part(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, hit=0.5)
    make_run(tmp_path, run_id="b", data=DataInfo(origin="licensed", verified=None, manifests={"bp4d": "cc" * 32}))
    page = write_page(tmp_path, "bp4d-3fold")
    assert page.read_text().count("### Licensed data, version ") == 2
    assert page.read_text().count("Test part looked at 2 times (my-net 2).") == 2
    assert len(json.loads(page.with_suffix(".json").read_text())["looks"]) == 1


def test_the_page_says_how_the_data_were_read_where_that_is_not_the_default(tmp_path: Path, make_run: MakeRun) -> None:
    def data(**settings: object) -> DataInfo:
        return SYNTHETIC.model_copy(update={"settings": {"samm": {"images": "cropped", **settings}}})

    make_run(tmp_path / "old", data=SYNTHETIC)
    make_run(tmp_path / "default", data=data(drop_empty=False))
    for name in ("old", "default"):
        assert "Settings of the data" not in write_page(tmp_path / name, "bp4d-3fold").read_text()
    make_run(tmp_path, data=data(images="raw", or_policy="first"))
    page = write_page(tmp_path, "bp4d-3fold")
    assert "\n\nSettings of the data: samm.images=raw, samm.or_policy=first.\n\n" in page.read_text()
    (row,) = rows_of(tmp_path)
    assert row["data_settings"] == {"samm": {"images": "raw", "or_policy": "first"}}
    make_run(tmp_path, model="their-net", data=data())
    (line,) = [text for text in write_page(tmp_path, "bp4d-3fold").read_text().splitlines() if "Settings of" in text]
    assert line.startswith("Settings of the data: default for their-net their-net-paper; samm.images=raw, ")
    assert line.endswith(" for my-net my-net-paper.")


def test_the_settings_of_an_unknown_reader_are_all_shown() -> None:
    assert data_settings({"gone": {"b": 1, "a": "x"}, "bp4d": {}}) == "gone.b=1, gone.a=x"


def test_an_undefined_score_is_not_available_and_counted(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    (row,) = rows_of(tmp_path)
    assert row["metrics"]["average-precision"] is None  # type: ignore[index]  # a mapping
    assert "n/a" in (tmp_path / "leaderboard" / "bp4d-3fold.md").read_text()


def test_the_page_is_the_same_bytes_with_and_without_remembered_intervals(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    make_run(tmp_path, model="other", hit=0.6)
    first = {p.name: p.read_bytes() for p in write_page(tmp_path, "bp4d-3fold").parent.glob("bp4d*")}
    again = {p.name: p.read_bytes() for p in write_page(tmp_path, "bp4d-3fold").parent.glob("bp4d*")}
    memory = tmp_path / "leaderboard" / ".memory" / "bp4d-3fold.json"
    memory.write_text("{damaged")
    healed = {p.name: p.read_bytes() for p in write_page(tmp_path, "bp4d-3fold").parent.glob("bp4d*")}
    assert first == again == healed


def test_changed_counts_are_not_answered_from_memory(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, hit=0.6)
    before = rows_of(tmp_path)[0]["low"]
    make_run(tmp_path, hit=0.8)
    assert rows_of(tmp_path)[0]["low"] > before  # type: ignore[operator]  # numbers


def test_a_change_of_the_statistics_is_not_answered_from_memory(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path)
    before = rows_of(tmp_path)[0]["low"]
    edited = Interval(0.0, 1.0, 0.95, "edited", n_clusters=41, draws=100, standard_error=0.1)
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: edited)
    assert rows_of(tmp_path)[0]["low"] == before
    monkeypatch.setattr(memory_module, "_code", lambda: "of edited files")
    assert rows_of(tmp_path)[0]["low"] == 0.0


def test_exported_numbers_end_where_the_order_of_summation_begins(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    row, others = rows_of(tmp_path)[0], (tmp_path / "leaderboard/bp4d-3fold.csv").read_text().splitlines()[1].split(",")
    assert all(row[name] == round(row[name], 12) and str(row[name]) in others for name in ("score", "low", "high"))


def test_a_page_waits_for_another_writer(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    folder = tmp_path / "leaderboard"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    writer = threading.Thread(target=write_page, args=(tmp_path, "bp4d-3fold"))
    writer.start()
    writer.join(0.3)
    waited = not (folder / "bp4d-3fold.md").exists()
    os.close(handle)
    writer.join()
    assert (waited, (folder / "bp4d-3fold.md").exists()) == (True, True)


def test_an_unreadable_record_is_named_and_stops_no_page(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path)
    broken = make_run(tmp_path, model="broken")
    next(broken.path.glob("units/*/unit.json")).write_text("{")
    text = write_page(tmp_path, "bp4d-3fold").read_text()
    assert "Not readable and left out: bp4d-3fold/broken/broken-paper" in text


def test_csv_and_json_hold_the_same_rows(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, extra_data="=cmd|'/C calc'!A0")
    write_page(tmp_path, "bp4d-3fold")
    folder = tmp_path / "leaderboard"
    rows = json.loads((folder / "bp4d-3fold.json").read_text())["rows"]
    with (folder / "bp4d-3fold.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["origin"], line["model"]) for line in lines] == [(row["origin"], row["model"]) for row in rows]
    assert [line["score"] for line in lines] == [str(row["score"]) for row in rows]
    assert {line["origin"] for line in lines} == {"measured", "floor", "reported"}
    assert lines[0]["extra_data"].startswith("'=cmd")


def test_a_hostile_record_cannot_break_the_page(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path, preset="a|b<script>", run_id="x", extra_data="[x](javascript:alert(1))\n# heading")
    text = write_page(tmp_path, "bp4d-3fold").read_text()
    assert "<script>" not in text
    assert "](javascript:" not in text
    assert "\n# heading" not in text
    table = [line for line in text.splitlines() if line.startswith("| ") and "my-net" in line]
    assert len({line.count("|") for line in table if "javascript" in line}) == 1


def test_added_counts_make_a_fresh_board_and_hold_no_predictions(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "runs")
    (run.path / "units" / "my-net-paper-P1-0" / "predictions.parquet").write_bytes(b"licensed labels")
    boards = tmp_path / "boards"
    target, replaced = add_run(run, boards)
    assert replaced == []
    names = {path.name for path in (boards / "data").rglob("*") if path.is_file()}
    assert names == {"run.json", "unit.json"}
    with pytest.raises(IntegrityError, match=r"stale: README.md, .*bp4d-3fold.csv.*leaderboard build"):
        check_boards(boards)
    paths = build_boards(boards)
    assert check_boards(boards) == len(paths)
    text = (boards / "bp4d-3fold.md").read_text()
    assert text.startswith("<!-- generated by `auharness leaderboard build`")
    assert target.name in text
    before = {path: path.read_bytes() for path in paths}
    assert build_boards(boards) == paths
    assert before == {path: path.read_bytes() for path in paths}


def test_a_board_edited_by_hand_is_stale(tmp_path: Path) -> None:
    build_boards(tmp_path)
    page = tmp_path / "disfa-3fold.md"
    page.write_text(page.read_text().replace("66.4", "67.4"))
    (tmp_path / "old.md").write_text("left over")
    with pytest.raises(IntegrityError, match=r"stale: disfa-3fold.md, old.md"):
        check_boards(tmp_path)


def test_a_newer_run_of_a_row_replaces_the_added_one(tmp_path: Path, make_run: MakeRun) -> None:
    first, _ = add_run(make_run(tmp_path / "runs", run_id="one"), tmp_path / "boards")
    other, _ = add_run(make_run(tmp_path / "runs", run_id="two", preset="tiny"), tmp_path / "boards")
    second, replaced = add_run(make_run(tmp_path / "runs", run_id="three"), tmp_path / "boards")
    assert replaced == [first]
    assert (first.exists(), other.exists(), second.exists()) == (False, True, True)


def test_unfinished_smoke_and_changed_runs_are_not_added(tmp_path: Path, make_run: MakeRun) -> None:
    boards = tmp_path / "boards"
    with pytest.raises(InconclusiveError, match="smoke run"):
        add_run(make_run(tmp_path, run_id="a", smoke=True), boards)
    half = make_run(tmp_path, run_id="b")
    next(half.path.glob("units/*/unit.json")).unlink()
    with pytest.raises(InconclusiveError, match="units are missing"):
        add_run(half, boards)
    with pytest.raises(IntegrityError, match="missing"):
        add_run(make_run(tmp_path, run_id="c", files={"predictions.parquet": "00"}), boards)


def test_two_added_runs_of_one_row_are_refused(tmp_path: Path, make_run: MakeRun) -> None:
    for run_id in ("one", "two"):
        make_run(tmp_path / "data", run_id=run_id)
    with pytest.raises(IntegrityError, match=r"(one and two|two and one) are the same row"):
        build_boards(tmp_path)
