"""Language models, controls and starting weights on the ablation page of AU-LLM, and its picture."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from auharness import registry
from auharness.errors import DataError, IntegrityError
from auharness.leaderboard import ablation_page, board, build_boards, check_boards, memory, write_ablation
from auharness.leaderboard.ablation import Ablation, model_ablations
from auharness.leaderboard.ablation_figure import ablation_digest, ablation_panels, draw_ablation
from auharness.leaderboard.entries import newest, read_entries
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import make_page
from auharness.leaderboard.reported import read_reported

Write = Callable[..., None]
DEEPSEEK = {"backbone": "deepseek-r1-distill-qwen-1.5b", "init": "hf:backbone"}
QWEN = {"backbone": "qwen2-1.5b", "init": "hf:backbone"}
TINY = {"backbone": "tiny-random", "init": "none"}
needs_drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs `viz`")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    interval, test = memory.headline_interval, memory.swap_test
    monkeypatch.setattr(memory, "headline_interval", lambda *a, **k: interval(*a, **k, draws=300))
    monkeypatch.setattr(memory, "swap_test", lambda *a, **k: test(*a, **k, draws=300))


@pytest.fixture
def licensed(write: Write) -> None:
    """Two language models, the controls, and a run of another recipe that belongs to none of them."""
    for number, name in enumerate(("f-high", "f-mid", "efp-minus", "prompt-learning", "all")):
        share = 0.2 - 0.03 * number
        write(model="au-llm", preset=f"paper,{name}", share=share, settings=DEEPSEEK, origin="licensed")
        write(model="au-llm", preset=f"paper,qwen2,{name}", share=share + 0.02, settings=QWEN, origin="licensed")
    random = {**QWEN, "init": "none"}
    write(model="au-llm", preset="paper,qwen2,random-llm", share=0.12, settings=random, origin="licensed")
    frozen = {**random, "llm": "frozen"}
    write(model="au-llm", preset="paper,qwen2,random-llm,frozen-llm", share=0.15, settings=frozen, origin="licensed")
    write(model="au-llm", preset="paper,no-llm", share=0.1, settings={**DEEPSEEK, "init": "none"}, origin="licensed")
    write(model="cnn3d", preset="paper", share=0.3, origin="licensed")
    other = {**DEEPSEEK, "lora_rank": 4}
    write(model="au-llm", preset="paper,deepseek-r1,all", share=0.25, settings=other, origin="licensed")


def ablations(root: Path) -> list[Ablation]:
    plugin = registry.load("protocol", "samm-loso")
    tables = [table for table in read_reported(plugin) if table.kind == "ablation"]
    return model_ablations(plugin(), "au-llm", newest(read_entries(root)[0]), tables, memory=Memory())


def sections(text: str) -> dict[str, str]:
    return {part.splitlines()[0]: part for part in text.split("\n## ")[1:]}


def rows(section: str) -> dict[str, Sequence[str]]:
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


@pytest.mark.usefixtures("licensed")
def test_each_language_model_stands_beside_its_own_printed_table_with_its_controls(tmp_path: Path) -> None:
    deepseek, other, qwen, qwen25 = ablations(tmp_path)
    assert [found.table.setting["backbone"] for found in (deepseek, qwen, qwen25) if found.table] == [
        *("deepseek-r1-distill-qwen-1.5b", "qwen2-1.5b", "qwen2.5-1.5b")
    ]
    variants = ("f-high", "f-mid", "efp-minus", "prompt-learning", "all")
    # random-llm is of one language model, no-llm and cnn3d of all
    assert tuple(deepseek.rows) == (*variants, "no-llm", "cnn3d")
    assert tuple(qwen.rows) == (*variants, "random-llm", "random-llm,frozen-llm", "no-llm", "cnn3d")
    assert (qwen25.rows, qwen25.origin) == ({}, "")
    assert deepseek.rows["no-llm"] == qwen.rows["no-llm"]
    assert deepseek.rows["all"].score.headline > qwen.rows["all"].score.headline
    # another recipe is no row of the first, though it is newer; a model without that setting stands beside both
    assert (other.base, tuple(other.rows)) == ("paper, lora_rank=4", ("all", "cnn3d"))
    assert deepseek.base == qwen.base == "paper"


@pytest.mark.usefixtures("licensed")
def test_a_control_has_a_step_from_the_full_model_and_no_reported_number(tmp_path: Path) -> None:
    text = write_ablation(tmp_path, "samm-loso", "au-llm")[0].read_text()
    found = rows(next(part for title, part in sections(text).items() if "Qwen2-1.5B, measured on licensed" in title))
    method, reported, reported_step, measured, _, step, p = found["no-llm"]
    assert (method, reported, reported_step) == ("*control that the paper lacks*", "n/a", "")
    assert float(step) == pytest.approx(float(measured) - float(found["all"][3]), abs=0.011)
    assert 0 <= float(p) <= 1
    assert "not comparable" not in text and "starting weights" not in text


def test_a_random_language_model_never_stands_beside_a_printed_number(tmp_path: Path, write: Write) -> None:
    write(model="au-llm", preset="tiny,all", settings=TINY)
    # as large as the paper's, on the paper's data, and still nothing but random
    write(model="au-llm", preset="paper,qwen2,all", settings={**QWEN, "init": "none"}, origin="licensed")
    text = write_ablation(tmp_path, "samm-loso", "au-llm")[0].read_text()
    measured = {title: part for title, part in sections(text).items() if "measured on" in title}
    assert list(measured) == [
        "Ablation of au-llm, measured on licensed data (paper,qwen2, init=none)",
        "Ablation of au-llm, measured on the synthetic stand-in (tiny; tiny)",
    ]
    for part in measured.values():
        marked = [line for line in part.splitlines() if line.startswith("**Not the paper's starting weights**")]
        assert len(marked) == 1
        assert "`init` is none (random weights) here and hf:backbone there" in marked[0]
        assert "reported" not in part.splitlines()[part.splitlines().index("") + 4]
    assert "| all             | all             |       61.9 |                 |        n/a |" in text


def test_the_full_model_needs_no_preset_of_its_own(tmp_path: Path, write: Write) -> None:
    write(model="au-llm", preset="paper", settings=DEEPSEEK, origin="licensed")
    assert list(ablations(tmp_path)[0].rows) == ["all"]


def test_runs_that_were_cut_short_are_counted(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    make_run(tmp_path, model="au-ttt", preset="tiny,msp", smoke=True)
    text = write_ablation(tmp_path, "bp4d-3fold", "au-ttt")[0].read_text()
    assert "Left out: 1 run(s) cut short" in text


@pytest.mark.usefixtures("licensed")
def test_the_picture_shows_reported_and_measured_bars_for_each_language_model(tmp_path: Path) -> None:
    deepseek, other, qwen, qwen25 = ablation_panels(ablations(tmp_path))
    assert deepseek.reported["all"] == 61.9 and qwen25.reported["all"] == 59.7
    controls = ("random-llm", "random-llm,frozen-llm", "no-llm", "cnn3d")
    assert (qwen.names[5:], qwen.n_variants) == (controls, 5)
    value, low, high = qwen.measured["all"]
    assert 50 < low < value < high <= 100
    assert qwen.floor is not None and qwen.floor[0] == "random-prior-p95" and 45 < qwen.floor[1] < 60
    assert (qwen25.measured, qwen25.subtitle) == ({}, "reported only")
    assert set(other.measured) == {"all", "cnn3d"}


def test_rendered_faces_get_a_panel_of_their_own(tmp_path: Path, write: Write) -> None:
    write(model="au-llm", preset="paper,all", settings=DEEPSEEK)
    first, second, *rest = ablation_panels(ablations(tmp_path))
    assert (len(first.reported), first.measured, first.synthetic) == (5, {}, False)
    assert (second.reported, list(second.measured), second.synthetic) == ({}, ["all"], True)
    assert [panel.subtitle for panel in rest] == ["reported only"] * 2
    assert "not comparable with print" in second.subtitle


@needs_drawing
@pytest.mark.usefixtures("licensed")
def test_the_picture_is_the_same_bytes_each_time_and_holds_the_digest_of_its_numbers(tmp_path: Path) -> None:
    found = ablations(tmp_path)
    drawn = draw_ablation(found)
    assert drawn == draw_ablation(ablations(tmp_path))
    assert ablation_digest(found).encode() in drawn
    assert ablation_digest(found[:1]) != ablation_digest(found)
    page, why = write_ablation(tmp_path, "samm-loso", "au-llm")
    assert (page.parent / "samm-loso.au-llm.ablation.png").read_bytes() == drawn
    assert "](samm-loso.au-llm.ablation.png)" in page.read_text() and why == ""


def test_without_matplotlib_the_page_stands_without_a_picture(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: object) -> bytes:
        raise DataError("the picture needs matplotlib")

    monkeypatch.setattr(ablation_page, "draw_ablation", missing)
    write(model="au-llm", preset="tiny,all", settings=TINY)
    page, why = write_ablation(tmp_path, "samm-loso", "au-llm")
    assert why == "the picture needs matplotlib"
    assert ".png" not in page.read_text()


@needs_drawing
def test_committed_counts_have_their_picture_on_the_board(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no boards but that of the run
    monkeypatch.setattr(board, "registry", SimpleNamespace(offers=lambda kind: {}))
    write(model="au-llm", preset="paper,all", settings=DEEPSEEK, origin="licensed")
    boards = tmp_path / "boards"
    (boards / "data").mkdir(parents=True)
    (tmp_path / "samm-loso").rename(boards / "data" / "samm-loso")
    built = {path.name for path in build_boards(boards)}
    assert "samm-loso.au-llm.ablation.png" in built
    assert "](samm-loso.au-llm.ablation.png)" in (boards / "samm-loso.md").read_text()
    assert check_boards(boards) == len(built)
    (boards / "samm-loso.au-llm.ablation.png").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"stale: samm-loso\.au-llm\.ablation\.png"):
        check_boards(boards)


@pytest.mark.usefixtures("licensed")
def test_a_reported_row_names_its_plugin_and_what_it_scores_at_the_papers_settings(tmp_path: Path) -> None:
    page = make_page(tmp_path, "samm-loso", memory=Memory())
    table = next(table for table in page.reported if table.table == "Table 2")
    measured = page.measured(table)
    assert {method: row.entry.run.preset for method, row in measured.items()} == {
        "AU-DeepSeek R1(1.5B)": "paper,all",
        "AU-Qwen2(1.5B)": "paper,qwen2,all",
    }
