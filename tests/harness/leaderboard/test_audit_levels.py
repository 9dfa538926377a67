"""The audit of the micro-expression tables is computed: constants, chance, counts, and what the arithmetic says."""

from collections.abc import Mapping

import pytest

from auharness import registry
from auharness.leaderboard.audit import Finding, audit_table
from auharness.leaderboard.levels import Level, best_constant, equal_constants
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import Page, make_page
from auharness.leaderboard.published import published_levels
from auharness.leaderboard.reported import ReportedTable, read_reported
from auharness.leaderboard.text import page_text


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Page]:
    names = ("casme2-loso", "samm-loso", "casme2-to-samm", "samm-to-casme2")
    root = tmp_path_factory.mktemp("no-runs")
    return {name: make_page(root, name, memory=Memory()) for name in names}


def findings(pages: Mapping[str, Page], name: str, kind: str, number: int = 0) -> list[Finding]:
    page = pages[name]
    return [finding for finding in page.audit(page.reported[number]) if finding.kind == kind]


def texts(pages: Mapping[str, Page], name: str, kind: str, number: int = 0) -> list[str]:
    found = findings(pages, name, kind, number)
    return [finding.text for finding in found if finding.verdict in ("low", "contradicted")]


def test_the_cells_of_table_4_that_are_a_constant_are_marked() -> None:
    protocol = registry.load("protocol", "casme2-to-samm")
    (table,) = read_reported(protocol)
    assert equal_constants(table, published_levels(protocol)) == {
        ("ResNet-18", "AU2"): "constant-0",
        ("ResNet-18", "AU7"): "constant-0",
        ("ResNet-18", "AU12"): "constant-0",
        ("LED SSSNet", "AU2"): "constant-0",
        ("LED SSSNet", "AU4"): "constant-1",
        ("LED SSSNet", "AU7"): "constant-0",
        ("LED SSSNet", "AU12"): "constant-0",
        ("AU-LLM (Ours)", "AU2"): "constant-0",
        ("AU-LLM (Ours)", "AU7"): "constant-0",
    }


def test_two_cells_of_the_other_direction_are_a_constant_of_256_clips_and_not_of_247(pages: Mapping[str, Page]) -> None:
    page = pages["samm-to-casme2"]
    cells = equal_constants(page.reported[0], page.levels(page.reported[0]))
    assert cells == {("ResNet-18", "AU2"): "constant-0", ("ResNet-18", "AU12"): "constant-0"}
    assert texts(pages, "samm-to-casme2", "data") == [
        "ResNet-18: AU2 47.8, AU12 46.4 are what a constant scores on the 256 published clips of casme2, "
        "not on the 247 that the text states"
    ]
    # SAMM has 159 clips in print and in the sheet
    assert texts(pages, "casme2-to-samm", "data") == []


def test_no_cell_of_tables_1_and_2_is_a_constant(pages: Mapping[str, Page]) -> None:
    assert [texts(pages, name, "constant") for name in ("casme2-loso", "samm-loso")] == [[], []]


def test_both_baselines_of_table_4_lie_below_the_constant_predictor(pages: Mapping[str, Page]) -> None:
    assert texts(pages, "casme2-to-samm", "floor") == [
        "ResNet-18: 37.3 is below the never-present floor 44.95 (-7.65 points)",
        "LED SSSNet: 36.5 is below the never-present floor 44.95 (-8.45 points)",
    ]


def test_the_printed_13_points_are_5_over_the_constant_from_two_aus(pages: Mapping[str, Page]) -> None:
    (claim,) = [f for f in findings(pages, "casme2-to-samm", "claim") if "13.4" in f.text]
    assert claim.verdict == "holds"
    assert claim.text.endswith("LED SSSNet is below the never-present floor 44.95, from which it is +4.95")
    own = texts(pages, "casme2-to-samm", "constant")[2]
    assert own == (
        "AU-LLM (Ours): AU2 47.0, AU7 41.5 equal constant-0, to the printed digit; "
        "its mean is +4.95 over constant-0: AU4 +16.3, AU12 +3.6"
    )


def test_eight_rows_of_table_2_are_not_above_chance_and_one_not_above_chosen_thresholds(
    pages: Mapping[str, Page],
) -> None:
    found = texts(pages, "samm-loso", "chance")
    assert [text.split(":")[0] for text in found if "not above chance" in text] == [
        *("LBP-TOP", "ResNet18", "ResNet34", "Fit-18", "SP-18", "AT-18", "SCA", "DVASP-18"),
    ]
    (chosen,) = [text for text in found if "not above chance" not in text]
    assert chosen.startswith("SSSNet LED: 54.2 is above chance at a fixed threshold (53.")
    assert "but not above random scores with the best threshold of each label (54." in chosen
    assert texts(pages, "casme2-loso", "chance") == []


def test_bold_marks_that_are_not_the_best_of_their_column_are_found(pages: Mapping[str, Page]) -> None:
    assert texts(pages, "casme2-loso", "mark") == [
        "AU14: AU-Qwen2.5(1.5B) (77.9) bold as best; by the cells Resnet18 LED (78.5) is best"
    ]
    assert texts(pages, "samm-loso", "mark") == []
    assert texts(pages, "samm-to-casme2", "mark") == [
        "AU4: AU-LLM (Ours) (39.4) bold as best; by the cells ResNet-18 (47.4) is best"
    ]
    ties = texts(pages, "casme2-to-samm", "mark")
    assert [text.split(":")[0] for text in ties] == ["AU2", "AU7"]
    assert all("ResNet-18, LED SSSNet, AU-LLM (Ours)" in text and "tie as best" in text for text in ties)


def test_the_full_model_does_not_outperform_every_ablated_one(pages: Mapping[str, Page]) -> None:
    wrong = {
        (name, number): [text.split(" (section")[0] for text in texts(pages, name, "claim", number)]
        for name in ("casme2-loso", "samm-loso")
        for number in (1, 2, 3)
    }
    assert {key: found for key, found in wrong.items() if found} == {
        ("casme2-loso", 2): [
            "The full model outperforms every ablated one",
            "Without the mid-level features the score drops",
        ]
    }
    assert texts(pages, "casme2-loso", "mark", 2) == [
        "mean: all (78.8) bold as best; by the cells F_high (79.8) is best"
    ]


def test_means_are_recomputed_and_one_needs_rounding_another_cut_digits(pages: Mapping[str, Page]) -> None:
    verdicts = {
        (name, finding.text.split(":")[0]): finding.verdict
        for name in pages
        for finding in findings(pages, name, "mean")
        if finding.verdict != "holds"
    }
    # 46.1 is printed over cells that give 46.00: rounding alone stays below 46.05
    assert verdicts == {
        ("samm-loso", "AU-Qwen2.5(1.5B)"): "rounding",
        ("samm-to-casme2", "LED SSSNet"): "contradicted",
    }
    assert sum(len(findings(pages, name, "mean")) for name in pages) == 13 + 13 + 3 + 3


def test_the_page_shows_marks_floors_and_findings(pages: Mapping[str, Page]) -> None:
    text = page_text(pages["casme2-to-samm"])
    row = next(line for line in text.splitlines() if line.startswith("| LED SSSNet"))
    assert [cell.strip() for cell in row.split("|")[2:8]] == [
        *("47.0 (c0)", "12.6 (c1)", "41.5 (c0)", "45.1 (c0)", "36.5", "-8.45"),
    ]
    assert "constant-0 44.95, constant-1 15.05, random-prior " in text
    assert ", random-oracle-p95 54." in text
    assert "`above floor` is against constant-0" in text
    assert "auharness run --model au-llm --protocol casme2-to-samm" in text


def table(cells: Mapping[str, float]) -> ReportedTable:
    fixed = {"table": "Table I", "citation": "A", "link": "https://a.example/1", "marked": False}
    return ReportedTable.model_validate({**fixed, "rows": [{"method": "a", "cells": cells}]})


@pytest.mark.parametrize(("cell", "equal"), [(45.1, True), (45.2, True), (45.0, False), (45.3, False)])
def test_a_constant_may_be_printed_rounded_or_cut(cell: float, equal: bool) -> None:
    levels = {"constant-0": Level(45.17, {"AU12": 45.17})}
    assert bool(equal_constants(table({"AU12": cell}), levels)) is equal


def test_a_cell_of_zero_is_no_sign_of_a_constant() -> None:
    levels = {"constant-0": Level(0.0, {"AU12": 0.0})}
    assert equal_constants(table({"AU12": 0.0}), levels) == {}


def test_the_better_constant_is_the_floor_and_an_undefined_one_is_none() -> None:
    assert best_constant({"constant-0": float("nan"), "constant-1": 48.0}) == ("constant-1", 48.0)
    assert best_constant({"random-prior": 50.0}) is None


def test_a_table_of_unpublished_data_is_audited_by_its_cells_alone() -> None:
    found = audit_table(table({"AU1": 10.0, "AU2": 30.0, "mean": 20.0}))
    assert [(finding.kind, finding.verdict) for finding in found] == [("mean", "holds")]
