"""Whether the head is slower than the base: one rule for times of interleaved processes and of benchmark files.

A measurement is suspect where all of these hold, and a regression where a second one is suspect too:

    p < 0.002                               Mann-Whitney, two-sided, all times of the head against all of the base
    head / base - 1 > max(5 %, 3 x noise)   noise: what the base against itself shows in the same measurement

A slow machine moves both sides; the ratio and the noise are taken inside rounds, where the machine had no time to
change. A measurement whose noise hides slowdowns of 10 % decides nothing, so it is no pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from auharness.gate.policy import SpeedPolicy
from auharness.gate.verdict import Verdict

__all__ = ["Limits", "Measured", "interleaved", "judge_speed", "sessions"]

_MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)
"""Standard error of a median of normal values over that of their mean."""


@dataclass(frozen=True)
class Measured:
    """Base against head, measured once.

    Attributes:
        ratio: time of the head over time of the base.
        noise: the difference that base against base shows, as a share of the time (0.01 is 1 %).
        p_value: of the Mann-Whitney test.
        n_base: times of the base.
        n_head: times of the head.
    """

    ratio: float
    noise: float
    p_value: float
    n_base: int
    n_head: int


@dataclass(frozen=True)
class Limits:
    """What a benchmark must keep; slowdowns are shares of the time (0.05 is 5 %)."""

    slowdown: float = 0.05
    p_value: float = 0.002
    noise_factor: float = 3.0
    coarsest: float = 0.10

    @classmethod
    def of(cls, policy: SpeedPolicy, benchmark: str) -> "Limits":
        """Return the limits that a policy sets for a benchmark."""
        return cls(policy.allowed(benchmark) / 100, policy.p_value, policy.noise_factor, policy.coarsest / 100)

    def threshold(self, measured: Measured) -> float:
        """Return the smallest slowdown that counts in this measurement."""
        return max(self.slowdown, self.noise_factor * measured.noise)

    def suspect(self, measured: Measured) -> bool:
        """Whether the head is slower by both criteria."""
        return measured.p_value < self.p_value and measured.ratio - 1 > self.threshold(measured)

    def coarse(self, measured: Measured) -> bool:
        """Whether noise hides what a gate is for."""
        return self.threshold(measured) > max(self.slowdown, self.coarsest)


def interleaved(base: NDArray[np.float64], head: NDArray[np.float64]) -> Measured:
    """Return what rounds of base, head, head, base say.

    The ratio is the median over rounds of the head's times over the base's (each the geometric mean of its two): with
    this order a steady drift of the machine falls out of each round. The noise is the standard error that this median
    would have for base against base: s / sqrt(R) x sqrt(pi / 2), where s is the robust standard deviation over rounds
    of the difference of two means of two base times, from the two base times of each round.

    Args:
        base: `[R, 2]`, times of the first and last process of each round, positive.
        head: `[R, 2]`, those of the two between.
    """
    logs_base, logs_head = np.log(base), np.log(head)
    rounds = logs_head.mean(axis=1) - logs_base.mean(axis=1)
    # the difference of two single times has twice the variance of one of two means of two
    alike = (logs_base[:, 1] - logs_base[:, 0]) / math.sqrt(2)
    spread = _MAD_TO_SD * float(np.median(np.abs(alike - np.median(alike))))
    noise = math.expm1(_MEDIAN_TO_MEAN * spread / math.sqrt(len(base)))
    return Measured(math.exp(float(np.median(rounds))), noise, _p_value(base, head), base.size, head.size)


def sessions(base: NDArray[np.float64], head: NDArray[np.float64]) -> Measured:
    """Return what the times of two benchmark sessions, each in its own process, say.

    The ratio is that of the least times, which other work on a machine disturbs least; the noise is the difference of
    the least times of the base's first and second half.

    Args:
        base: `[N]`, times in the order in which they were taken, positive.
        head: `[M]`.
    """
    half = len(base) // 2
    noise = abs(math.log(float(base[:half].min() / base[half:].min()))) if half else 0.0
    return Measured(float(head.min() / base.min()), math.expm1(noise), _p_value(base, head), base.size, head.size)


def judge_speed(runs: Sequence[Measured], limits: Limits) -> tuple[Verdict, str]:
    """Return the verdict on one benchmark and, where it is no plain pass, why.

    Args:
        runs: the measurement and, if there was one, its repetition.
        limits: of this benchmark.
    """
    suspects = [limits.suspect(run) for run in runs]
    if any(not suspect and not limits.coarse(run) for run, suspect in zip(runs, suspects, strict=True)):
        once = suspects.index(True) if any(suspects) else None
        return Verdict.PASS, "" if once is None else f"{_slower(runs[once])} once, not when measured again"
    if all(suspects) and len(runs) > 1:
        slower = " and ".join(f"{100 * (run.ratio - 1):.1f} %" for run in runs)
        return Verdict.REGRESSION, f"slower by {slower}, measured twice"
    if all(suspects):
        return Verdict.INCONCLUSIVE, f"{_slower(runs[0])}, measured once; a second measurement must show it again"
    seen = 100 * min(limits.threshold(run) for run in runs)
    return Verdict.INCONCLUSIVE, f"noise hides slowdowns below {seen:.0f} %; measure on a quieter machine"


def _slower(run: Measured) -> str:
    return f"slower by {100 * (run.ratio - 1):.1f} %"


def _p_value(base: NDArray[np.float64], head: NDArray[np.float64]) -> float:
    if min(base.min(), head.min()) == max(base.max(), head.max()):
        return 1.0  # nothing but ties, for which the statistic has no spread
    return float(mannwhitneyu(head.ravel(), base.ravel(), alternative="two-sided").pvalue)
