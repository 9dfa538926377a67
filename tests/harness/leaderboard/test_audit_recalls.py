"""The recalls of the reported rows on DFEW against their UAR and WAR, and rows made to agree or not."""

from typing import Any

import pytest

from auharness import registry
from auharness.leaderboard.audit import audit_table
from auharness.leaderboard.audit_recalls import audit_recalls
from auharness.leaderboard.finding import Finding
from auharness.leaderboard.published import published_floors, published_levels, published_tests
from auharness.leaderboard.reported import ReportedTable, read_reported

CLASSES = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
FIVE, ONE = (registry.load("protocol", name) for name in ("dfew-5fold", "dfew-fold1"))
TESTS = {"fold1": {"a": 100, "b": 300}, "fold2": {"a": 100, "b": 301}}


def findings(protocol: Any, number: int) -> list[Finding]:
    table = read_reported(protocol)[number]
    return audit_table(table, published_levels(protocol), tests=published_tests(protocol))


def texts(found: list[Finding], verdict: str) -> list[str]:
    return [finding.text for finding in found if finding.verdict == verdict]


def test_table_2_is_flagged_where_its_recalls_disagree_and_nowhere_else() -> None:
    found = findings(FIVE, 0)
    flagged = [text.split(" printed")[0] for text in texts(found, "contradicted")]
    assert flagged == [
        "ResNet18+LSTM: WAR",
        "ResNet18+GRU: UAR",
        "ResNet18+GRU: WAR",
        "R(2+1)D ResNet18 Hybrid: UAR",
        "R(2+1)D ResNet18 Hybrid: WAR",
        "Mamba-Style SSM (Ours): UAR",
        "Mamba-Style SSM (Ours): WAR",
    ]
    assert {finding.kind for finding in found} == {"recall"} and len(found) == 14
    assert [text.split(" printed")[0] for text in texts(found, "rounding")] == ["R(2+1)D18: WAR"]


def test_each_flag_says_what_the_recalls_give() -> None:
    lstm, gru, _, hybrid, hybrid_war, own, own_war = texts(findings(FIVE, 0), "contradicted")
    assert lstm.endswith("WAR printed 43.08, its recalls weighted by 11,697 clips give 53.08: one digit differs")
    assert "is 51.90 (no number of clips gives Happy 82.87 or Disgust 0.86)" in gru
    assert "is 47.68:" in hybrid and "give 58.89:" in hybrid_war
    assert "in whole clips 415/489, 249/379, 336/534, 307/435, 159/294, 0/29, 44/181: UAR 51.78, WAR 64.50" in own
    assert "weighted by 2,341 clips give 64.51: +2.30 points" in own_war


def test_rows_of_other_papers_agree_with_their_recalls() -> None:
    for protocol, number in ((FIVE, 1), (ONE, 1)):
        found = findings(protocol, number)
        assert found and texts(found, "contradicted") == []
    assert findings(FIVE, 2) == []  # rows without recalls


def test_the_published_test_parts_are_those_of_the_split_files() -> None:
    assert list(published_tests(FIVE)) == [f"fold{number}" for number in range(1, 6)]
    assert list(published_tests(ONE)) == ["fold1"]
    assert tuple(published_tests(ONE)["fold1"].values()) == (489, 379, 534, 435, 294, 29, 181)
    total = [sum(sizes[name] for sizes in published_tests(FIVE).values()) for name in CLASSES]
    assert total == [2445, 1894, 2669, 2173, 1469, 145, 902]
    assert published_tests(registry.load("protocol", "bp4d-3fold")) == {}


def test_floors_on_the_published_counts_are_those_of_the_field() -> None:
    assert published_floors(FIVE) == pytest.approx({"majority": 1 / 7, "random-prior": 1 / 7})
    assert round(100 * published_floors(FIVE, "war")["majority"], 2) == 22.82
    shares = [count / 2341 for count in published_tests(ONE)["fold1"].values()]
    assert published_floors(ONE, "war")["random-prior"] == pytest.approx(sum(x * x for x in shares), abs=1e-3)


def table(cells: dict[str, float], war: float, **row: Any) -> ReportedTable:
    line = {"method": "net", "cells": cells, "metrics": {"war": war}, **row}
    return ReportedTable.model_validate({"table": "T", "citation": "c", "metric": "uar", "decimals": 2, "rows": [line]})


def verdicts(printed: ReportedTable) -> list[str]:
    return [finding.verdict for finding in audit_recalls(printed, TESTS)]


@pytest.mark.parametrize(
    ("uar", "expected"), [(50.0, "holds"), (50.01, "rounding"), (50.02, "contradicted"), (49.98, "contradicted")]
)
def test_the_tolerance_is_that_of_rounded_cells(uar: float, expected: str) -> None:
    # WAR by hand: (200 * 40.01 + 601 * 59.99) / 801
    assert verdicts(table({"a": 40.01, "b": 59.99, "mean": uar}, 55.00)) == [expected, "holds"]


def test_recalls_rounded_to_one_digit_have_a_wider_tolerance() -> None:
    assert verdicts(table({"a": 40.1, "b": 60.0, "mean": 50.09}, 55.03)) == ["rounding", "holds"]
    assert verdicts(table({"a": 40.11, "b": 60.0, "mean": 50.09}, 55.03)) == ["contradicted", "holds"]


def test_a_single_fold_is_weighted_by_its_own_clips() -> None:
    own = table({"a": 40.0, "b": 60.0, "mean": 50.0}, 55.0, n_folds=1, folds=["fold1"])
    assert verdicts(own) == ["holds", "holds"]
    first, _ = audit_recalls(own, TESTS)
    assert "in whole clips 40/100, 180/300: UAR 50.00, WAR 55.00" in first.text


def test_a_row_without_all_recalls_or_of_an_unknown_fold_is_not_judged() -> None:
    assert verdicts(table({"a": 40.0, "mean": 50.0}, 55.0)) == []
    assert verdicts(table({"a": 40.0, "b": 60.0, "mean": 5.0}, 5.0, n_folds=1, folds=["fold9"])) == []
