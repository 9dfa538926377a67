from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness.errors import UsageError
from auharness.gate.accuracy import AccuracyCheck, check_accuracy, judge_difference
from auharness.gate.policy import AccuracyPolicy, RowPolicy
from auharness.gate.verdict import Verdict
from auharness.metrics import METRICS, aggregate
from auharness.results.store import RunFolder
from auharness.scoring import fold_counts

Write = Callable[..., RunFolder]
POLICY = AccuracyPolicy(
    draws=1000, rows=(RowPolicy(protocol="bp4d-3fold", model="my-net", preset="tiny", data_size="tiny"),)
)


def _counts(
    lost: int = 0, *, subjects: int = 6, seed: int = 0, shift: int = 0
) -> dict[str, dict[str, list[list[int]]]]:
    """Return three folds in which every subject loses some hits per AU; `seed` differs between subjects."""
    rng = np.random.default_rng(seed)
    folds: dict[str, dict[str, list[list[int]]]] = {}
    for fold in ("P1", "P2", "P3"):
        folds[fold] = {}
        for number in range(subjects):
            tp, fp, fn = rng.integers((40, 5, 5), (60, 15, 15), size=(12, 3)).T
            rows = np.stack([tp - lost, fp, fn + lost, 100 + shift - tp - fp - fn], axis=1)
            folds[fold][f"{fold}-{number}"] = rows.tolist()
    return folds


def _check(tmp_path: Path, policy: AccuracyPolicy = POLICY) -> AccuracyCheck:
    (check,) = check_accuracy(policy, tmp_path / "base", tmp_path / "head")
    return check


def test_equal_scores_pass_with_an_interval_of_no_width(write_record: Write, tmp_path: Path) -> None:
    for side in ("base", "head"):
        write_record(tmp_path / side, _counts(), cpu_s={"base": 1.0, "head": 2.0}[side])
    check = _check(tmp_path)
    assert (check.verdict, check.why) == (Verdict.PASS, "")
    assert (check.difference, check.low, check.high, check.n_clusters) == (0, 0, 0, 18)


def test_a_loss_everywhere_is_a_regression_and_its_size_is_that_of_the_scores(
    write_record: Write, tmp_path: Path
) -> None:
    one = write_record(tmp_path / "base", _counts())
    two = write_record(tmp_path / "head", _counts(lost=5))
    scores = [100 * aggregate(fold_counts(run.finished()), METRICS["f1"], "fold-mean").mean for run in (one, two)]
    check = _check(tmp_path)
    assert check.verdict is Verdict.REGRESSION
    assert [check.base, check.head] == pytest.approx(scores)
    assert check.difference == pytest.approx(scores[1] - scores[0])
    assert check.low < check.difference < check.high < 0


def test_a_loss_within_the_margin_passes(write_record: Write, tmp_path: Path) -> None:
    write_record(tmp_path / "base", _counts())
    write_record(tmp_path / "head", _counts(lost=5))
    row = POLICY.rows[0].model_copy(update={"delta": 20.0})
    assert _check(tmp_path, POLICY.model_copy(update={"rows": (row,)})).verdict is Verdict.PASS


def test_people_who_differ_too_much_decide_nothing(write_record: Write, tmp_path: Path) -> None:
    write_record(tmp_path / "base", _counts())
    better, worse = _counts(lost=-4), _counts(lost=5)
    mixed = {
        fold: {name: (better if number % 2 else worse)[fold][name] for number, name in enumerate(worse[fold])}
        for fold in worse
    }
    write_record(tmp_path / "head", mixed)
    check = _check(tmp_path)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.low <= -1 < 0 <= check.high


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.99, 5, "pass"), (-1.0, 0.1, "inconclusive"), (-1.0, 0.0, "inconclusive"), (-1.0, -0.1, "regression")],
)
def test_the_rule_at_its_edges(low: float, high: float, verdict: str) -> None:
    assert judge_difference(low, high, 1.0).value == verdict


@pytest.mark.parametrize(
    ("head", "named"),
    [
        ({"manifest": "bb" * 32}, "data manifest"),
        ({"protocol_version": 2}, "protocol version"),
        ({"folds": {k: v for k, v in _counts().items() if k != "P3"}}, "2 of 3 folds"),
        ({"folds": _counts(subjects=5)}, "subjects"),
        ({"folds": _counts(shift=1)}, "do not score the same frames"),
    ],
    ids=["manifest", "version", "folds", "subjects", "frames"],
)
def test_other_ground_cannot_be_compared(
    write_record: Write, tmp_path: Path, head: dict[str, object], named: str
) -> None:
    write_record(tmp_path / "base", _counts())
    write_record(tmp_path / "head", **{"folds": _counts(), **head})
    check = _check(tmp_path)
    assert check.verdict is (Verdict.MISSING if "folds" in named else Verdict.INCOMPARABLE)
    assert named in check.why
    assert check.verdict.exit_code in (3, 6)


def test_other_folds_cannot_be_compared(write_record: Write, tmp_path: Path) -> None:
    write_record(tmp_path / "base", _counts())
    other = {fold.replace("P3", "P4"): subjects for fold, subjects in _counts().items()}
    write_record(tmp_path / "head", other)
    check = _check(tmp_path)
    assert (check.verdict, check.why) == (Verdict.INCOMPARABLE, "not the same folds: base P1, P2, P3, head P1, P2, P4")


@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize(
    ("record", "named"),
    [
        (None, "no folder"),
        ({"model": "other-net"}, "no record of this row"),
        ({"planned": 4}, "1 of 4 units failed or are missing"),
        ({"metrics": {"f1": {"AU1": float("nan"), "mean": 0.5}}}, "is no number"),
        ({"metrics": {"f1": {"mean": None}}}, "is no number"),
        ({"n_dropped": {"without prediction": 3}}, "left out"),
        ({"smoke": True}, "smoke run"),
        ({"folds": {f: {s: [[0, 0, 0, 9]] * 12 for s in v} for f, v in _counts().items()}}, "no defined score"),
    ],
    ids=["folder", "row", "unit", "nan", "null", "dropped", "smoke", "undefined"],
)
def test_what_is_missing_or_no_number_fails(
    write_record: Write, tmp_path: Path, side: str, record: dict[str, object] | None, named: str
) -> None:
    for name in ("base", "head"):
        if name != side:
            write_record(tmp_path / name, _counts())
        elif record is not None:
            write_record(tmp_path / name, **{"folds": _counts(), **record})
    check = _check(tmp_path)
    assert (check.verdict, check.verdict.exit_code) == (Verdict.MISSING, 3)
    assert side in check.why and named in check.why


def test_a_damaged_record_fails(write_record: Write, tmp_path: Path) -> None:
    for side in ("base", "head"):
        run = write_record(tmp_path / side, _counts())
    next(run.path.glob("units/*/unit.json")).write_text("{")
    assert "unreadable record" in _check(tmp_path).why


def test_the_newest_record_counts_and_never_the_best(write_record: Write, tmp_path: Path) -> None:
    import os

    write_record(tmp_path / "base", _counts())
    for age, (run_id, lost) in enumerate((("a-new", 5), ("b-old", 0))):
        run = write_record(tmp_path / "head", _counts(lost=lost), run_id=run_id)
        for path in run.path.glob("units/*/unit.json"):
            os.utime(path, (1e9 - 1000 * age, 1e9 - 1000 * age))
    assert _check(tmp_path).verdict is Verdict.REGRESSION


def test_one_record_on_both_sides_says_that_nothing_was_run(write_record: Write, tmp_path: Path) -> None:
    for side in ("base", "head"):
        write_record(tmp_path / side, _counts())
    assert _check(tmp_path).why == "one and the same record on both sides: nothing was run for the head"


@pytest.mark.parametrize("side", ["base", "head"])
def test_records_of_older_data_stand_beside_the_ones_that_are_compared(
    write_record: Write, tmp_path: Path, side: str
) -> None:
    write_record(tmp_path / "base", _counts())
    write_record(tmp_path / "head", _counts(lost=5))
    write_record(tmp_path / side, _counts(seed=1), run_id="older", manifest="bb" * 32)
    assert _check(tmp_path).verdict is Verdict.REGRESSION


def test_a_later_attempt_that_did_not_finish_hides_no_failure(write_record: Write, tmp_path: Path) -> None:
    for side in ("base", "head"):
        first = write_record(tmp_path / side, _counts())
    again = RunFolder(first.path.with_name("one.2"))
    again.path.mkdir()
    (again.path / "run.json").write_text(first.record.model_copy(update={"attempt": 2}).model_dump_json())
    check = _check(tmp_path)
    assert (check.verdict, check.why) == (Verdict.MISSING, "head: attempt 2 of one.2 did not finish")


def test_records_of_other_settings_must_be_told_apart(write_record: Write, tmp_path: Path) -> None:
    write_record(tmp_path / "base", _counts(), settings={"mixer": "ttt"})
    for mixer, lost in (("ttt", 0), ("mamba", 5)):
        write_record(tmp_path / "head", _counts(lost=lost), run_id=mixer, settings={"mixer": mixer})
    with pytest.raises(UsageError, match="head has 2 records"):
        _check(tmp_path)
    row = POLICY.rows[0].model_copy(update={"settings": {"mixer": "ttt"}})
    assert _check(tmp_path, POLICY.model_copy(update={"rows": (row,)})).verdict is Verdict.PASS


def test_a_metric_that_does_not_exist_is_a_mistake_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="f2"):
        check_accuracy(POLICY.model_copy(update={"metrics": {"f2": 1.0}}), tmp_path, tmp_path)
