from collections.abc import Mapping

import pytest

from auharness import registry
from auharness.leaderboard.audit import Finding, audit_table
from auharness.leaderboard.published import published_levels
from auharness.leaderboard.reported import ReportedTable, read_reported


def table(rows: Mapping[str, Mapping[str, object]], **more: object) -> ReportedTable:
    listed = [{"method": name, **row} for name, row in rows.items()]
    fixed = {"table": "Table I", "citation": "A", "link": "https://a.example/1"}
    return ReportedTable.model_validate({**fixed, "rows": listed, **more})


def audit_of(protocol: str, number: int = 0) -> list[Finding]:
    plugin = registry.load("protocol", protocol)
    return audit_table(read_reported(plugin)[number], published_levels(plugin))


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.verdict == "contradicted"]


def test_the_tie_on_disfa_leaves_no_second_best() -> None:
    texts = wrong(audit_of("disfa-3fold"))
    assert len(texts) == 2
    assert "AUFormer, AU-TTT (66.4) tie as best" in texts[0]
    assert "so none of them is second" in texts[1]


def test_the_swapped_marks_of_au4_are_found() -> None:
    texts = wrong(audit_of("disfa-to-bp4d"))
    assert len(texts) == 2
    assert all(text.startswith("AU4") for text in texts)
    assert "AU-TTT (46.0) is best" in texts[0]


def test_the_gain_of_two_directions_is_not_what_table_3_shows() -> None:
    (text,) = wrong(audit_of("bp4d-3fold", 1))
    assert "61.2 to 61.7 is +0.5 points" in text
    assert "0.8 is the step from Original TTT + MSP to Forward TTT + MSP" in text


def test_claims_that_hold_are_printed_as_holding() -> None:
    claims = [finding for name in ("disfa-to-bp4d", "bp4d-to-disfa") for finding in audit_of(name)]
    holding = [finding.text for finding in claims if finding.kind == "claim" and finding.verdict == "holds"]
    assert len(holding) == 2
    assert "57.2 is place 1 of 6" in holding[0]
    assert "48.7 is place 2 of 9 behind FG-Net 54.4" in holding[1]


def test_means_that_only_rounding_explains_are_told_apart() -> None:
    found = [f for name in ("bp4d-to-disfa", "disfa-to-bp4d") for f in audit_of(name) if f.verdict == "rounding"]
    assert [f.text.split(":")[0] for f in found] == ["AU-TTT", "DRML"]


@pytest.mark.parametrize(
    ("protocol", "low"),
    [
        ("bp4d-3fold", ["DRML: 48.3 is at the always-present floor 48.04 (+0.26 points)"]),
        ("disfa-3fold", []),
        ("bp4d-to-disfa", ["DRML: 14.1 is below the always-present floor 16.33 (-2.23 points)"]),
    ],
)
def test_rows_at_or_below_the_floor_are_named(protocol: str, low: list[str]) -> None:
    assert [finding.text for finding in audit_of(protocol) if finding.kind == "floor"] == low


def test_three_replicated_methods_lie_below_the_floor_on_bp4d() -> None:
    low = [finding.text.split(":")[0] for finding in audit_of("disfa-to-bp4d") if finding.verdict == "low"]
    assert low == ["DRML", "JAA-Net", "ME-GraphAU"]


@pytest.mark.parametrize(
    ("last", "mean", "verdict"),
    [
        (30.0, 20.0, "holds"),
        (30.0, 20.05, "holds"),
        (30.1, 20.1, "rounding"),  # the cells give 20.03
        (30.0, 20.1, "contradicted"),  # every cell would have to lie at the end of what is rounded to it
        (30.0, 20.2, "contradicted"),
    ],
)
def test_a_mean_may_differ_by_what_rounding_can_do(last: float, mean: float, verdict: str) -> None:
    made = table({"a": {"cells": {"AU1": 10.0, "AU2": 20.0, "AU4": last, "mean": mean}}}, marked=False)
    assert [finding.verdict for finding in audit_table(made)] == [verdict]


def test_a_correct_table_has_no_finding_but_holds() -> None:
    made = table(
        {
            "a": {"cells": {"AU1": 10.0, "AU2": 20.0, "mean": 15.0}, "bold": ["AU2", "mean"], "underlined": ["AU1"]},
            "b": {"cells": {"AU1": 12.0, "AU2": 14.0, "mean": 13.0}, "bold": ["AU1"], "underlined": ["AU2", "mean"]},
        }
    )
    assert {finding.verdict for finding in audit_table(made)} == {"holds"}


def test_a_missing_mark_is_a_contradiction() -> None:
    made = table({"a": {"cells": {"mean": 15.0}, "bold": ["mean"]}, "b": {"cells": {"mean": 13.0}}})
    assert "nothing underlined as second" in wrong(audit_table(made))[0]


@pytest.mark.parametrize(("points", "verdict"), [(0.5, "holds"), (0.6, "rounding"), (0.7, "contradicted")])
def test_a_step_may_differ_by_one_unit_of_the_last_digit(points: float, verdict: str) -> None:
    claim = {"rule": "step", "text": "t", "section": "1", "method": "b", "over": "a", "points": points}
    made = table({"a": {"cells": {"mean": 61.2}}, "b": {"cells": {"mean": 61.7}}}, marked=False, claims=[claim])
    assert [finding.verdict for finding in audit_table(made)] == [verdict]


def test_a_shared_first_place_is_not_the_first_place() -> None:
    claim = {"rule": "place", "text": "t", "section": "1", "method": "a", "place": 1}
    made = table({"a": {"cells": {"mean": 61.2}}, "b": {"cells": {"mean": 61.2}}}, marked=False, claims=[claim])
    assert "shared with b" in wrong(audit_table(made))[0]


def test_a_claim_to_exceed_is_false_where_a_row_is_equal() -> None:
    claim = {"rule": "exceeds", "text": "t", "section": "1", "method": "a", "all_but": ["c"]}
    rows = {"a": {"cells": {"mean": 61.2}}, "b": {"cells": {"mean": 61.2}}, "c": {"cells": {"mean": 70.0}}}
    made = table(rows, marked=False, claims=[claim])
    assert "equal to b 61.2, the highest of 1 rows" in wrong(audit_table(made))[0]
