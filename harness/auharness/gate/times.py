"""Where times come from: commands that are run on both sides in turn, or files that were written before."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from auharness.errors import DataError, UsageError
from auharness.gate.interleave import Sample, Tree, run_rounds
from auharness.gate.policy import Command, Policy, SpeedPolicy
from auharness.gate.pytest_benchmark import Session, other_machine, read_session
from auharness.gate.sides import Side
from auharness.gate.speed import Limits, Measured, interleaved, judge_speed, sessions
from auharness.gate.verdict import Verdict

__all__ = ["SpeedCheck", "check_commands", "check_samples", "check_sessions"]

Samples: TypeAlias = Mapping[str, Sequence[Sample]]
"""`base` and `head` -> two samples a round."""
NEW = "new: the baseline has no such benchmark"


@dataclass(frozen=True)
class SpeedCheck:
    """One benchmark, head against base.

    Attributes:
        title: the benchmark, or the command where it failed as a whole.
        verdict: of it.
        limit: slowdown that the policy allows, per cent.
        why: what a reader must know; empty for a plain pass.
        runs: the measurement and its repetition; empty where nothing could be measured.
        threshold: smallest slowdown that counted in the first measurement, per cent; None without one.
    """

    title: str
    verdict: Verdict
    limit: float
    why: str = ""
    runs: tuple[Measured, ...] = ()
    threshold: float | None = None


def check_commands(
    policy: SpeedPolicy,
    command: Command,
    base: Side,
    head: Side,
    whole: Policy,
    say: Callable[[str], None] = lambda message: None,
) -> list[SpeedCheck]:
    """Return a check for every benchmark of a command; benchmarks that look slower are measured twice.

    Args:
        policy: rounds and limits.
        command: what is started.
        base: side with a source tree.
        head: side with a source tree.
        whole: names the folders on the import path.
        say: takes remarks on the progress.
    """
    missing = [name for name, side in (("baseline", base), ("head", head)) if side.source is None]
    if base.source is None or head.source is None:
        why = f"no source tree to measure: {' and '.join(missing)}; name a commit or a checkout"
        return [SpeedCheck(command.title, Verdict.MISSING, policy.slowdown, why)]
    trees = {side: Tree(path, whole.trees.imports) for side, path in (("base", base.source), ("head", head.source))}

    def measure() -> Samples:
        return run_rounds(command, trees, rounds=policy.rounds, time_limit_s=policy.time_limit_s, say=say)

    try:
        first = measure()
        checks = check_samples(policy, [first])
        if all(check.verdict is not Verdict.INCONCLUSIVE for check in checks):
            return checks
        say(f"{command.title}: measured once more, {_open(checks)} of {len(checks)} benchmarks are not decided")
        return check_samples(policy, [first, measure()])
    except DataError as error:
        return [SpeedCheck(command.title, Verdict.MISSING, policy.slowdown, str(error))]


def check_samples(policy: SpeedPolicy, measurements: Sequence[Samples]) -> list[SpeedCheck]:
    """Return a check for every benchmark in one or two measurements of interleaved samples.

    A benchmark that the base lacks is new: it passes, and says so.

    Args:
        policy: limits.
        measurements: the first, and its repetition if there was one.
    """
    names = _names(found[side] for side in ("base", "head") for found in measurements)
    unlike = _other_machines([sample for found in measurements for side in found.values() for sample in side])
    return [_samples_of(policy, name, measurements, unlike) for name in names]


def check_sessions(policy: SpeedPolicy, base: Sequence[Path], head: Sequence[Path]) -> list[SpeedCheck]:
    """Return a check for every benchmark in pairs of files; the second pair repeats the first.

    Raises:
        UsageError: one side has more files than the other.
        DataError: a file cannot be read.
    """
    if len(base) != len(head):
        raise UsageError(
            f"pytest-benchmark files: {len(base)} of the baseline, {len(head)} of the head; expected pairs"
        )
    pairs = [(read_session(a), read_session(b)) for a, b in zip(base, head, strict=True)]
    unlike = next((text for a, b in pairs if (text := other_machine(a.machine, b.machine))), "")
    names = dict.fromkeys(name for side in (0, 1) for pair in pairs for name in pair[side].best)
    return [_sessions_of(policy, name, pairs, unlike) for name in names]


def _samples_of(policy: SpeedPolicy, name: str, measurements: Sequence[Samples], unlike: str) -> SpeedCheck:
    if not any(name in sample.times for found in measurements for sample in found["base"]):
        return SpeedCheck(name, Verdict.PASS, policy.allowed(name), NEW)
    limits, runs = Limits.of(policy, name), []
    for found in measurements:
        times = {side: np.array([s.times.get(name, math.nan) for s in found[side]]) for side in ("base", "head")}
        problem = _problem(times)
        if problem:
            return SpeedCheck(name, Verdict.MISSING, policy.allowed(name), problem)
        # two processes of each side make a round
        runs.append(interleaved(times["base"].reshape(-1, 2), times["head"].reshape(-1, 2)))
    return _judged(policy, name, runs, limits, unlike)


def _sessions_of(policy: SpeedPolicy, name: str, pairs: Sequence[tuple[Session, Session]], unlike: str) -> SpeedCheck:
    if not any(name in base.best for base, _ in pairs):
        return SpeedCheck(name, Verdict.PASS, policy.allowed(name), NEW)
    limits, runs = Limits.of(policy, name), []
    for pair in pairs:
        found = dict(zip(("base", "head"), pair, strict=True))
        least = {side: np.array([session.best.get(name, math.nan)]) for side, session in found.items()}
        problem = _problem(least)
        if problem:
            return SpeedCheck(name, Verdict.MISSING, policy.allowed(name), problem)
        times = {side: np.array(session.times[name]) for side, session in found.items()}
        if min(map(len, times.values())) < 2:
            why = "the files hold no times of single rounds; write them with --benchmark-json"
            return SpeedCheck(name, Verdict.INCOMPARABLE, policy.allowed(name), why)
        runs.append(sessions(times["base"], times["head"]))
    return _judged(policy, name, runs, limits, unlike)


def _judged(policy: SpeedPolicy, name: str, runs: Sequence[Measured], limits: Limits, unlike: str) -> SpeedCheck:
    verdict, why = judge_speed(runs, limits)
    if unlike:
        verdict, why = Verdict.INCOMPARABLE, f"another machine: {unlike}; measure both in one job"
    return SpeedCheck(name, verdict, policy.allowed(name), why, tuple(runs), 100 * limits.threshold(runs[0]))


def _problem(times: Mapping[str, NDArray[np.float64]]) -> str:
    for side, values in times.items():
        bad = int((~(np.isfinite(values) & (values > 0))).sum())
        if bad:
            return f"{side}: {bad} of {len(values)} times are missing or no number above 0"
    return ""


def _other_machines(samples: Sequence[Sample]) -> str:
    """Return how some sample's machine differs from the first one's; empty where processes tell none."""
    if not any(sample.machine for sample in samples):
        return ""
    return next((text for s in samples if (text := other_machine(samples[0].machine, s.machine))), "")


def _names(sides: Iterable[Sequence[Sample]]) -> list[str]:
    """Benchmarks in the order in which they first stand, each once."""
    return list(dict.fromkeys(name for samples in sides for sample in samples for name in sample.times))


def _open(checks: Sequence[SpeedCheck]) -> int:
    return sum(check.verdict is Verdict.INCONCLUSIVE for check in checks)
