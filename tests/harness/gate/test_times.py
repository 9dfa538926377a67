from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness.errors import DataError, UsageError
from auharness.gate.interleave import Sample
from auharness.gate.policy import SpeedPolicy
from auharness.gate.times import check_samples, check_sessions
from auharness.gate.verdict import Verdict

POLICY = SpeedPolicy()
File = Callable[..., Path]


def _samples(times, machine=None):
    return [Sample({"scan": float(value)}, machine or {}) for value in times]


def _measurement(base=1.0, head=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return {
        side: _samples(mean * np.exp(0.01 * rng.standard_normal(20))) for side, mean in (("base", base), ("head", head))
    }


@pytest.fixture
def file(write_session: Callable[..., Path], tmp_path: Path) -> File:
    """Write fifty times that differ by 1 %, as pytest-benchmark does."""

    def write(title: str, mean: float = 1.0, *, seed: int = 0, **more: object) -> Path:
        data = (mean * np.exp(0.01 * np.random.default_rng(seed).standard_normal(50))).tolist()
        return write_session(tmp_path / title, data, min=min(data), **more)

    return write


def test_equal_times_pass_and_slower_ones_must_be_measured_twice() -> None:
    assert check_samples(POLICY, [_measurement()])[0].verdict is Verdict.PASS
    slow = [_measurement(head=1.1, seed=seed) for seed in (1, 2)]
    assert check_samples(POLICY, slow[:1])[0].verdict is Verdict.INCONCLUSIVE
    assert check_samples(POLICY, slow)[0].verdict is Verdict.REGRESSION
    assert check_samples(POLICY, [slow[0], _measurement()])[0].verdict is Verdict.PASS


@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0, None])
def test_one_time_that_is_missing_or_no_number_fails(side: str, bad: float | None) -> None:
    found = _measurement()
    found[side][7] = Sample({} if bad is None else {"scan": bad}, {})
    (check,) = check_samples(POLICY, [found])
    assert check.verdict is Verdict.MISSING
    assert f"{side}: 1 of 20 times" in check.why


def test_a_benchmark_that_vanished_fails_and_a_new_one_passes() -> None:
    found = _measurement()
    gone = {"base": found["base"], "head": [Sample({"other": 1.0}, {})] * 20}
    old, new = check_samples(POLICY, [gone])
    assert (old.title, old.verdict) == ("scan", Verdict.MISSING)
    assert (new.title, new.verdict, new.why[:3]) == ("other", Verdict.PASS, "new")


def test_a_process_on_another_machine_makes_all_incomparable() -> None:
    fingerprint = dict.fromkeys(("node", "system", "machine", "processor", "cores", "python"), "x")
    found = {side: _samples([1.0] * 20, fingerprint) for side in ("base", "head")}
    assert check_samples(POLICY, [found])[0].verdict is Verdict.PASS
    found["head"][3] = Sample({"scan": 1.0}, {**fingerprint, "node": "y"})
    (check,) = check_samples(POLICY, [found])
    assert check.verdict is Verdict.INCOMPARABLE
    assert "node x and y" in check.why


def test_files_of_benchmarks_are_compared_pair_by_pair(file: File) -> None:
    base = [file(f"a{seed}.json", seed=seed) for seed in (1, 2)]
    slow = [file(f"b{seed}.json", 1.2, seed=seed) for seed in (3, 4)]
    same = file("c.json", seed=5)
    assert check_sessions(POLICY, base[:1], [same])[0].verdict is Verdict.PASS
    assert check_sessions(POLICY, base[:1], slow[:1])[0].verdict is Verdict.INCONCLUSIVE
    assert check_sessions(POLICY, base, slow)[0].verdict is Verdict.REGRESSION
    assert check_sessions(POLICY, base, [slow[0], same])[0].verdict is Verdict.PASS


def test_files_of_two_machines_cannot_be_compared(file: File) -> None:
    base, head = file("a.json"), file("b.json", machine={"node": "b"})
    (check,) = check_sessions(POLICY, [base], [head])
    assert (check.verdict, check.verdict.exit_code) == (Verdict.INCOMPARABLE, 6)
    assert "node a and b" in check.why


def test_a_benchmark_that_the_heads_file_lacks_fails(file: File) -> None:
    base, head = file("a.json"), file("b.json", name="other")
    assert [check.verdict for check in check_sessions(POLICY, [base], [head])] == [Verdict.MISSING, Verdict.PASS]


def test_nan_in_a_file_fails(file: File) -> None:
    base, head = file("a.json"), file("b.json", float("nan"))
    assert check_sessions(POLICY, [base], [head])[0].verdict is Verdict.MISSING


def test_files_come_in_pairs_and_must_be_readable(file: File, tmp_path: Path) -> None:
    base = file("a.json")
    with pytest.raises(UsageError, match="2 of the baseline, 1 of the head"):
        check_sessions(POLICY, [base, base], [base])
    with pytest.raises(DataError, match="cannot be read"):
        check_sessions(POLICY, [base], [tmp_path / "none.json"])
