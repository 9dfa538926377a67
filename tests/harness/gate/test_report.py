import json

from auharness.gate.accuracy import AccuracyCheck
from auharness.gate.report import report_dict, report_text
from auharness.gate.run import GateResult
from auharness.gate.speed import Measured
from auharness.gate.times import SpeedCheck
from auharness.gate.verdict import Verdict

SLOW = Measured(ratio=1.1234, noise=0.0061, p_value=3.2e-7, n_base=20, n_head=20)
GOOD = AccuracyCheck("net (tiny) on bp4d-3fold", Verdict.PASS, 1.0, "", "f1", 50.0, 50.5, 0.5, -0.25, 1.25, 41)
BAD = SpeedCheck("scan", Verdict.REGRESSION, 5.0, "slower by 12.3 % and 12.3 %, measured twice", (SLOW, SLOW), 5.0)


def _result(*checks: AccuracyCheck | SpeedCheck, **fields: object) -> GateResult:
    return GateResult(
        **{
            "base": "main",
            "head": "the working tree",
            "accuracy": tuple(check for check in checks if isinstance(check, AccuracyCheck)),
            "speed": tuple(check for check in checks if isinstance(check, SpeedCheck)),
            **fields,
        }
    )


def _row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_number_of_a_check_stands_in_its_row() -> None:
    text = report_text(_result(GOOD, BAD))
    assert _row(text, "net")[1:] == ["pass", "F1", "50.00", "50.50", "+0.50", "-0.25 to +1.25", "-1", "41"]
    assert _row(text, "scan")[1:] == [
        "**REGRESSION**", "1.123 / 1.123", "1.050", "0.6 % / 0.6 %", "3e-07 / 3e-07", "20, 20 / 20, 20",
    ]  # fmt: skip


def test_the_first_and_the_last_line_say_the_verdict() -> None:
    lines = report_text(_result(GOOD, BAD)).splitlines()
    assert lines[0] == "# Gate: regression"
    assert lines[-1].startswith("Exit code 5 (")
    assert "1 regression of 2 checks" in lines[2]
    assert report_text(_result(GOOD)).splitlines()[0] == "# Gate: pass"


def test_reasons_and_notes_are_listed() -> None:
    text = report_text(_result(BAD, notes=("the policy differs from the baseline's",)))
    assert "- scan: slower by 12.3 %" in text
    assert "- the policy differs from the baseline's" in text


def test_names_from_outside_are_shown_and_never_come_to_life() -> None:
    name = "a|b\n<script>alert(1)</script> [x](javascript:alert(1)) `c` \u202e"
    check = SpeedCheck(name, Verdict.MISSING, 5.0, name)
    text = report_text(_result(check, base=name, head=name, notes=(name,)))
    assert "<script" not in text and "](javascript:" not in text and "\u202e" not in text
    assert len(_row(text, "a")) == 7


def test_json_holds_what_the_report_says_and_no_nan() -> None:
    missing = AccuracyCheck("gone", Verdict.MISSING, 1.0, "no record")
    found = json.loads(json.dumps(report_dict(_result(GOOD, missing, BAD)), allow_nan=False))
    assert (found["verdict"], found["exit_code"]) == ("regression", 5)
    assert [check["verdict"] for check in found["accuracy"]] == ["pass", "missing"]
    assert found["accuracy"][1]["difference"] is None
    assert found["speed"][0]["runs"][0]["ratio"] == 1.1234
