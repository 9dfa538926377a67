"""Score and cost in one row: the right network's cost, marks that tell rows apart, and data that stays fresh."""

import json
from pathlib import Path

import pytest

from auharness import registry
from auharness.bench.case import Case, accepting
from auharness.bench.counting import count_case
from auharness.bench.rows import Count, Time, read_rows
from auharness.errors import DataError
from auharness.leaderboard import add_bench, build_boards, check_boards
from auharness.leaderboard.cost import Line, cost_digest, draw_cost, drawn, efficiency_files, read_costs
from auharness.leaderboard.cost.home import home
from auharness.leaderboard.cost.section import cost_section
from auharness.leaderboard.figure import is_drawn
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import make_page
from auharness.results.lines import append_lines
from auharness.scaling.records import Machine

BOARDS = Path(__file__).parents[4] / "leaderboards"
GPU = Machine(kind="cuda", device="test | GPU", driver="1.2", threads=1, versions={"torch": "2.13"})
CPU = GPU.model_copy(update={"kind": "cpu", "device": "test processor", "driver": ""})
SMALL = Case("small-cnn", ("tiny",), "bp4d")


def time(count, *, machine=GPU, batch=1, p50_ms=2.5, **fields):
    named = {name: getattr(count, name) for name in ("model", "preset", "dataset", "network")}
    measured = {"best_ms": p50_ms, "p50_ms": p50_ms, "p95_ms": 2 * p50_ms, "samples": 9, "clock": "cuda events"}
    given = {"machine": machine, "dtype": "float32", "mode": "eager", "batch": batch, **measured, **fields}
    return Time(what="time", **named, **given)


@pytest.fixture
def counted(tmp_path):
    """A folder of runs with the cost of a small model, and a time on a GPU and on a CPU."""
    count = count_case(SMALL)
    rows = [count, time(count), time(count, machine=CPU), time(count, batch=8, p50_ms=5.0)]
    append_lines(tmp_path / "bench" / "rows.jsonl", rows)
    return count


def page(root, protocol="bp4d-3fold"):
    return make_page(root, protocol, memory=Memory(root / "memory.json"))


def run_settings(**settings):
    plugin = SMALL.subject().plugin
    return plugin.model_copy(update=settings).model_dump(mode="json")


def test_a_measured_row_stands_beside_the_cost_of_its_own_network(tmp_path, make_run, counted):
    make_run(tmp_path, model="small-cnn", preset="tiny", settings=run_settings())
    (line,) = [line for line in page(tmp_path).cost_lines() if line.origin != "reported"]
    assert (line.model, line.cost.count) == ("small-cnn", counted)
    assert line.cost.latency == "2.5 ms (test | GPU, eager, float32)"
    text = "\n".join(cost_section(page(tmp_path).protocol, [line]))
    assert "2.5 ms (test &#124; GPU, eager, float32)" in text
    assert "61,452" in text
    assert "test processor" not in text


def test_another_network_has_no_cost(tmp_path, make_run, counted):
    make_run(tmp_path, model="small-cnn", preset="tiny", settings=run_settings(widths=(8,)))
    assert [line for line in page(tmp_path).cost_lines() if line.origin != "reported"] == []


def test_other_labels_have_no_cost(tmp_path, make_run):
    append_lines(tmp_path / "bench" / "rows.jsonl", [count_case(SMALL).model_copy(update={"outputs": 5})])
    make_run(tmp_path, model="small-cnn", preset="tiny", settings=run_settings())
    assert [line for line in page(tmp_path).cost_lines() if line.origin != "reported"] == []


def test_the_exported_row_has_the_cost_too(tmp_path, make_run, counted):
    from auharness.leaderboard import write_page

    make_run(tmp_path, model="small-cnn", preset="tiny", settings=run_settings())
    write_page(tmp_path, "bp4d-3fold")
    rows = json.loads((tmp_path / "leaderboard" / "bp4d-3fold.json").read_text())["rows"]
    (row,) = [row for row in rows if row["origin"] == "measured"]
    assert (row["cost"]["macs"], row["cost"]["coverage"]) == (counted.macs, 1.0)
    assert "cost.macs" in (tmp_path / "leaderboard" / "bp4d-3fold.csv").read_text().splitlines()[0]


def test_a_reported_row_stands_beside_our_count_and_the_printed_one():
    lines = {(line.model, line.where): line for line in page(BOARDS / "data", "dfew-5fold").cost_lines()}
    line = lines["Mamba-Style SSM (Ours)", "Table 2"]
    assert (line.origin, line.score, line.printed, line.gigamacs) == ("reported", 54.28, 15.2, 15.2)
    assert line.cost.count.macs / 1e9 == pytest.approx(15.82, abs=0.01)


LINES = [
    Line("a", "tiny", "stand-in tiny", "", 40.0, "40", None, 0.1),
    Line("b <$x$>", "paper", "licensed", "", 60.0, "60", None, 1.0),
    Line("c", "", "reported", "Table 1", 65.0, "65.0", None, 7.8),
]


def test_the_picture_holds_the_digest_of_its_numbers(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "x.png").write_bytes(draw_cost(LINES, title="t", score="F1", floor=("constant-1", 48.04)))
    assert is_drawn(tmp_path / "x.png", cost_digest(LINES, ("constant-1", 48.04)))
    assert not is_drawn(tmp_path / "x.png", cost_digest(LINES, None))


def test_measured_synthetic_and_reported_rows_have_marks_of_their_own(monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes

    marks = {}
    scatter = Axes.scatter

    def note(self, x, y, **options):
        marks[y[0]] = (options["marker"], options["label"], options["facecolors"] != "white")
        return scatter(self, x, y, **options)

    monkeypatch.setattr(Axes, "scatter", note)
    ours = Line("d", "", "reported", "Table 1", 66.0, "66.0", page(BOARDS / "data").cost_lines()[-1].cost)
    draw_cost([*LINES, ours], title="t", score="F1", floor=None)
    assert len({mark for mark, _, _ in marks.values()}) == 4
    assert marks[40.0][1:] == ("measured on a stand-in", True)
    assert marks[60.0][1:] == ("measured on licensed data", True)
    assert marks[65.0][1:] == ("reported score, printed cost", False)
    assert marks[66.0][1:] == ("reported score, our count", False)


def test_too_few_rows_and_rows_without_products_are_not_drawn():
    still = Line("constant", "", "licensed", "", 48.0, "48", None)
    real = [*LINES[1:], Line("d", "", "reported", "Table 1", 66.0, "66.0", None, 9.0)]
    assert drawn([*real[:2], still]) == []
    assert drawn([*real, still, real[0]]) == real


def test_rendered_faces_never_share_an_axis_with_real_ones_or_another_size():
    real = [*LINES[1:], Line("d", "", "reported", "Table 1", 66.0, "66.0", None, 9.0)]
    small = [Line(name, "tiny", "stand-in small", "", 40.0, "40", None, 0.1) for name in "xyz"]
    assert drawn([LINES[0], *real, *small]) == real
    assert drawn([LINES[0], *real[:2], *small]) == small
    assert drawn([LINES[0], *real[:2], *small[:2]]) == []


def test_added_rows_make_a_fresh_board_without_times_of_a_cpu(tmp_path, counted):
    pytest.importorskip("matplotlib")
    target, left_out = add_bench(tmp_path / "bench" / "rows.jsonl", tmp_path / "boards")
    assert (target, left_out) == (tmp_path / "boards" / "data" / "bench" / "rows.jsonl", 1)
    add_bench(tmp_path / "bench" / "rows.jsonl", tmp_path / "boards")
    assert len(read_rows([target])) == 3 == len(target.read_text().splitlines())
    build_boards(tmp_path / "boards")
    check_boards(tmp_path / "boards")
    text = (tmp_path / "boards" / "efficiency.md").read_text()
    assert "test processor" not in text
    assert "## test &#124; GPU" in text
    assert "1600" in text  # samples/s of batch 8
    assert "(efficiency.md)" in (tmp_path / "boards" / "README.md").read_text()


def test_a_file_with_times_of_a_cpu_alone_is_refused(tmp_path):
    append_lines(tmp_path / "rows.jsonl", [time(count_case(SMALL), machine=CPU)])
    with pytest.raises(DataError, match="no count and no time of a GPU in it"):
        add_bench(tmp_path / "rows.jsonl", tmp_path / "boards")


def test_the_command_tells_rows_of_bench_from_points_of_scale(command, tmp_path, counted):
    answer = command("leaderboard", "add", tmp_path / "bench" / "rows.jsonl", "--dir", tmp_path / "boards")
    assert answer.code == 0
    assert "1 times of a CPU left out" in answer.err


def test_text_of_a_row_is_harmless(tmp_path):
    hostile = count_case(SMALL).model_copy(update={"model": "=x|<script>", "settings": "a|b", "note": "n"})
    append_lines(tmp_path / "bench" / "rows.jsonl", [hostile])
    files = efficiency_files(read_costs(tmp_path))
    assert "<script>" not in files["efficiency.md"]
    assert "=x&#124;&lt;script&gt;" in files["efficiency.md"]
    assert "\n'=x|<script>" in files["efficiency.csv"]


def test_labels_are_those_of_the_paper_that_reports_a_model():
    assert [home(name) for name in ("au-ttt", "au-llm", "hga-agssm", "mamba-dfer")] == [
        "bp4d", "casme2", "affwild2", "dfew",
    ]  # fmt: skip
    assert home("vit-s16", ("tiny",)) == "bp4d"


def committed():
    return [row for row in read_costs(BOARDS / "data").counts if row.side is None and not row.settings]


def check(row):
    again = count_case(Case(row.model, tuple(row.preset.split(",")), row.dataset))
    # what a first call keeps for the next ones is held at its peak, too
    assert again.peak_bytes == pytest.approx(row.peak_bytes, rel=0.01)
    assert again.model_copy(update={"peak_bytes": row.peak_bytes}) == row


def test_every_shipped_model_has_committed_counts_at_both_sizes():
    known = {(row.model, row.preset) for row in committed() if row.status == "ok"}
    # other packages may offer models too
    shipped = [name for name in registry.names("model") if registry.require("model", name).package == "auharness"]
    assert {(name, preset) for name in shipped for preset in ("paper", "tiny")} <= known


@pytest.mark.parametrize("name", ["au-ttt", "mamba-dfer", "hga-agssm", "small-cnn", "lbp-top", "constant"])
def test_committed_counts_are_what_the_code_gives(name):
    rows = [row for row in committed() if row.model == name and row.preset == "tiny"]
    for row in rows:
        check(row)


@pytest.mark.nightly
@pytest.mark.parametrize("name", registry.names("model"))
def test_every_committed_count_is_what_the_code_gives(name):
    rows = [row for row in committed() if row.model == name]
    for row in rows:
        check(row)
    known = {(row.dataset, row.preset) for row in rows if isinstance(row, Count)}
    assert {(dataset, "paper") for dataset in accepting(name, ("paper",))} <= known
