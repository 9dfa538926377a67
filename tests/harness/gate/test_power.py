"""What the gate promises, by simulation: false alarms on equal code, slowdowns and losses of F1 that it finds.

The measured shares are printed at the end of the run; those of `docs/gate.md` come from the nightly ones.
"""

import csv
from collections import Counter
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from auharness.gate.accuracy import compare_counts
from auharness.gate.policy import AccuracyPolicy, RowPolicy
from auharness.gate.speed import Limits, interleaved, judge_speed
from auharness.gate.verdict import Verdict
from auharness.metrics import METRICS, FoldCounts, aggregate

Times = Callable[..., tuple[np.ndarray, np.ndarray]]
Record = Callable[[str, object], None]
LIMITS = Limits()
F1 = METRICS["f1"]


def _speed_gate(rng: np.random.Generator, times: Times, **how: float) -> Verdict:
    """One gate: measured, and measured again unless that decides it."""
    runs = [interleaved(*times(rng, **how))]
    verdict, _ = judge_speed(runs, LIMITS)
    if verdict is Verdict.INCONCLUSIVE:
        runs.append(interleaved(*times(rng, **how)))
        verdict, _ = judge_speed(runs, LIMITS)
    return verdict


def _shares(verdicts: list[Verdict]) -> str:
    return ", ".join(f"{verdict.value} {count / len(verdicts):.1%}" for verdict, count in Counter(verdicts).items())


def test_200_gates_of_equal_code_raise_at_most_one_false_alarm(record_property: Record, process_times: Times) -> None:
    rng = np.random.default_rng(7)
    found = [_speed_gate(rng, process_times) for _ in range(200)]
    record_property("measured", f"equal code, 200 gates: {_shares(found)}")
    assert sum(verdict is not Verdict.PASS for verdict in found) <= 1


def test_a_slowdown_of_10_percent_is_found_in_95_of_100_gates(record_property: Record, process_times: Times) -> None:
    rng = np.random.default_rng(8)
    found = [_speed_gate(rng, process_times, slowdown=0.10) for _ in range(200)]
    record_property("measured", f"10 % slower, 200 gates: {_shares(found)}")
    assert np.mean([verdict is Verdict.REGRESSION for verdict in found]) >= 0.95


def test_on_a_machine_too_noisy_for_10_percent_the_gate_decides_nothing(
    record_property: Record, process_times: Times
) -> None:
    # medians differ by 43 % between processes on a shared machine, where least times differ by 1.8 %
    rng = np.random.default_rng(9)
    found = [_speed_gate(rng, process_times, spread=0.43) for _ in range(100)]
    record_property("measured", f"equal code, spread 43 %, 100 gates: {_shares(found)}")
    assert np.mean([verdict is Verdict.INCONCLUSIVE for verdict in found]) >= 0.95
    assert Verdict.REGRESSION not in found


@pytest.mark.nightly
@pytest.mark.parametrize("spread", [0.003, 0.018, 0.03, 0.05, 0.08])
def test_false_alarms_and_power_by_noise(record_property: Record, process_times: Times, spread: float) -> None:
    rng = np.random.default_rng(10)
    for slowdown in (0.0, 0.05, 0.10, 0.20):
        found = [_speed_gate(rng, process_times, slowdown=slowdown, spread=spread) for _ in range(1000)]
        record_property("measured", f"spread {spread:.1%}, {slowdown:.0%} slower, 1000 gates: {_shares(found)}")
        if slowdown == 0:
            assert sum(verdict is Verdict.REGRESSION for verdict in found) <= 1
        if slowdown == 0.10 and spread <= 0.03:
            assert np.mean([verdict is Verdict.REGRESSION for verdict in found]) >= 0.94


def _published() -> list[tuple[str, tuple[str, ...], np.ndarray, np.ndarray]]:
    """Part, subjects, positives and negatives `[S, A]` of the 41 subjects of BP4D, as published."""
    text = files("auharness").joinpath("data/synthetic/counts/bp4d_counts.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    aus = [column for column in rows[0] if column.startswith("AU")]
    parts = []
    for part in sorted({row["part"] for row in rows}):
        names = tuple(sorted({row["subject"] for row in rows if row["part"] == part}))
        own = [[row for row in rows if row["subject"] == name] for name in names]
        positives = np.array([[sum(int(row[au]) for row in mine) for au in aus] for mine in own])
        frames = np.array([sum(int(row["frames"]) for row in mine) for mine in own])
        parts.append((part, names, positives, frames[:, None] - positives))
    return parts


def _trained(rng: np.random.Generator) -> list[FoldCounts]:
    """Counts of a model whose rates differ by person: hits 75 % (sd 14), false alarms by the AU's rate."""
    folds = []
    for name, subjects, positives, negatives in _published():
        rates = positives.sum(axis=0) / (positives + negatives).sum(axis=0)
        alarms = np.minimum(0.3, 0.4 * rates / (1 - rates))
        tp = rng.binomial(positives, rng.beta(6.4, 2.1, positives.shape))
        fp = rng.binomial(negatives, rng.beta(20 * alarms, 20 * (1 - alarms), positives.shape))
        counts = np.stack([tp, fp, positives - tp, negatives - fp], axis=-1)
        folds.append(FoldCounts(name, subjects, counts))
    return folds


def _flipped(
    folds: list[FoldCounts], share: float, rng: np.random.Generator | None, spread: float = 0.0
) -> list[FoldCounts]:
    """Turn that share of all predictions over, at random; without a generator as many as are expected.

    With `spread` the share differs between people: it is multiplied by a factor of mean 1 and that standard deviation.
    """
    result = []
    for fold in folds:
        tp, fp, fn, tn = np.moveaxis(fold.counts, -1, 0)
        if rng is None:
            lost, found, ended, begun = (share * cell for cell in (tp, fn, fp, tn))
        else:
            factor = rng.gamma(1 / spread**2, spread**2, (len(tp), 1)) if spread else np.ones((len(tp), 1))
            own = np.minimum(share * factor, 0.5)
            lost, found, ended, begun = (
                rng.binomial(cell, np.broadcast_to(own, cell.shape)) for cell in (tp, fn, fp, tn)
            )
        cells = [tp - lost + found, fp - ended + begun, fn - found + lost, tn - begun + ended]
        result.append(FoldCounts(fold.name, fold.clusters, np.stack(cells, axis=-1)))
    return result


def _share_that_costs(folds: list[FoldCounts], points: float) -> float:
    """Return the share of flips that lowers the expected fold-mean F1 by so many points, by bisection."""
    whole, low, high = aggregate(folds, F1, "fold-mean").mean, 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        lost = whole - aggregate(_flipped(folds, middle, None), F1, "fold-mean").mean
        low, high = (middle, high) if 100 * lost < points else (low, middle)
    return high


def _accuracy_gates(count: int, points: float, *, draws: int, spread: float, seed: int) -> list[Verdict]:
    rng = np.random.default_rng(seed)
    policy = AccuracyPolicy(draws=draws, rows=(RowPolicy(protocol="bp4d-3fold", model="x"),))
    found = []
    for _ in range(count):
        base = _trained(rng)
        head = _flipped(base, _share_that_costs(base, points), rng, spread) if points else _flipped(base, 0.0, rng)
        check = compare_counts(
            base, head, score=F1, how="fold-mean", cluster="subject", policy=policy, delta=policy.delta
        )
        found.append(check.verdict)
    return found


def test_a_loss_of_2_points_over_41_subjects_is_found(record_property: Record) -> None:
    found = _accuracy_gates(25, 2.0, draws=1000, spread=0.5, seed=1)
    record_property("measured", f"2 points lost, 25 gates: {_shares(found)}")
    assert np.mean([verdict is not Verdict.PASS for verdict in found]) >= 0.95


def test_predictions_that_did_not_change_pass() -> None:
    assert set(_accuracy_gates(3, 0.0, draws=1000, spread=0.0, seed=2)) == {Verdict.PASS}


@pytest.mark.nightly
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("points", [0.5, 2.0])
def test_losses_found_by_how_much_people_differ(record_property: Record, points: float, spread: float) -> None:
    found = _accuracy_gates(200, points, draws=2_000, spread=spread, seed=3)
    record_property("measured", f"{points} points lost, spread between people {spread}, 200 gates: {_shares(found)}")
    if points == 2.0:
        assert np.mean([verdict is not Verdict.PASS for verdict in found]) >= 0.95
