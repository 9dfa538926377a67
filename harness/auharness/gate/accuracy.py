"""Whether the head's scores are as good as the base's: non-inferiority, paired by subject.

With the 95 % interval of head minus base, in points of the protocol's headline:

    pass          its lower end is above -delta
    regression    its lower end is not, and its upper end is below 0
    inconclusive  neither: the subjects do not decide

A difference of two numbers is no evidence: with 41 subjects it moves by points from one crowd to the next.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auharness import registry
from auharness.errors import InconclusiveError, UsageError
from auharness.gate.policy import AccuracyPolicy, RowPolicy
from auharness.gate.verdict import Verdict
from auharness.leaderboard.entries import Entry, newest, read_entries
from auharness.leaderboard.rows import CLIPS_SUMMED, paired_counts
from auharness.metrics import FoldCounts, Metric, aggregate, metric
from auharness.results.schema import RunRecord
from auharness.results.store import iter_runs
from auharness.scoring import fold_counts
from auharness.settings import flat_settings
from auharness.statistics import compare

__all__ = ["AccuracyCheck", "check_accuracy", "compare_counts", "judge_difference"]

DATA = "data manifest"


@dataclass(frozen=True)
class AccuracyCheck:
    """One row of a board, head against base; scores and ends in points, None where they are not known.

    Attributes:
        title: the row.
        verdict: of it.
        delta: points that it may lose.
        why: what a reader must know; empty for a plain pass.
        metric: the headline.
        base: score of the base.
        head: score of the head.
        difference: head minus base; above 0 is better, whatever the metric.
        low: lower end of its interval.
        high: upper end.
        n_clusters: subjects (videos, clips) that are paired.
    """

    title: str
    verdict: Verdict
    delta: float
    why: str = ""
    metric: str = ""
    base: float | None = None
    head: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n_clusters: int | None = None


class _NotJudged(Exception):
    """A check ends here, with this verdict and reason."""

    def __init__(self, verdict: Verdict, why: str) -> None:
        super().__init__(why)
        self.verdict = verdict


def check_accuracy(policy: AccuracyPolicy, base: Path | None, head: Path | None) -> list[AccuracyCheck]:
    """Return a check for every row of the policy.

    Args:
        policy: rows and what they may lose.
        base: folder of the baseline's records; None if it has none.
        head: folder of the head's records.

    Raises:
        UsageError: the policy names an unknown protocol or metric, or a row leaves several records to choose from.
    """
    for name in policy.metrics:
        metric(name)
    return [_check(policy, row, base, head) for row in policy.rows]


def judge_difference(low: float, high: float, delta: float) -> Verdict:
    """Return the verdict of an interval of head minus base; all three in one unit.

    >>> judge_difference(-0.4, 0.6, 1.0).value, judge_difference(-2.0, -0.1, 1.0).value
    ('pass', 'regression')
    >>> judge_difference(-2.0, 0.5, 1.0).value, judge_difference(float("nan"), 0.5, 1.0).value
    ('inconclusive', 'missing')
    """
    if math.isnan(low) or math.isnan(high):
        return Verdict.MISSING
    if low > -delta:
        return Verdict.PASS
    return Verdict.REGRESSION if high < 0 else Verdict.INCONCLUSIVE


def compare_counts(
    base: Sequence[FoldCounts],
    head: Sequence[FoldCounts],
    *,
    score: Metric,
    how: str,
    cluster: str,
    policy: AccuracyPolicy,
    delta: float,
) -> AccuracyCheck:
    """Return the check of two sets of counts over the same subjects; it has no title.

    Args:
        base: counts of the baseline.
        head: counts of the head.
        score: the headline's metric.
        how: its aggregation.
        cluster: the protocol's sampling unit.
        policy: level and draws of the interval.
        delta: points that may be lost.

    Raises:
        InconclusiveError: folds, subjects or labels differ.
    """
    kind: Any = how  # `aggregate` refuses an unknown one
    numbers = [100 * aggregate(folds, score, kind).mean for folds in (base, head)]
    known = AccuracyCheck("", Verdict.MISSING, delta, metric=score.name)
    for name, number in zip(("base", "head"), numbers, strict=True):
        if math.isnan(number):
            return replace(known, why=f"the {name} has no defined score")
    known = replace(known, base=numbers[0], head=numbers[1])
    found = compare(head, base, metric=score, how=kind, cluster=cluster, level=policy.level, draws=policy.draws)
    if not found.same_frames:
        return replace(
            known, verdict=Verdict.INCOMPARABLE, why="base and head do not score the same frames of each subject"
        )
    sign = 1 if score.higher_is_better else -1
    known = replace(known, difference=100 * sign * found.difference, n_clusters=found.n_clusters)
    if found.interval is None:
        why = "no interval: a fold has a single subject"
        return replace(known, verdict=Verdict.INCONCLUSIVE, why=why)
    low, high = sorted((100 * sign * found.interval.low, 100 * sign * found.interval.high))
    verdict = judge_difference(low, high, delta)
    return replace(known, verdict=verdict, low=low, high=high, why=_why(verdict, delta))


def _check(policy: AccuracyPolicy, row: RowPolicy, base: Path | None, head: Path | None) -> AccuracyCheck:
    protocol = registry.load("protocol", row.protocol)()
    delta = policy.allowed(row, protocol.headline)
    try:
        old, new = _pair(row, _entries(row, base, "base"), _entries(row, head, "head"))
        _refuse_other_ground(old, new)
        first, second = paired_counts(fold_counts(old.units), len(old.seeds), fold_counts(new.units), len(new.seeds))
        check = compare_counts(
            first,
            second,
            score=metric(protocol.headline),
            how=protocol.aggregation,
            cluster=protocol.cluster,
            policy=policy,
            delta=delta,
        )
        if check.verdict is Verdict.PASS and old.units == new.units:
            check = replace(check, why="one and the same record on both sides: nothing was run for the head")
    except _NotJudged as end:
        return AccuracyCheck(row.title, end.verdict, delta, str(end), protocol.headline)
    except InconclusiveError as error:
        return AccuracyCheck(row.title, Verdict.INCOMPARABLE, delta, str(error), protocol.headline)
    return replace(check, title=row.title)


def _why(verdict: Verdict, delta: float) -> str:
    if verdict is Verdict.REGRESSION:
        return f"worse for other subjects too, and a loss of {delta:g} points cannot be excluded"
    if verdict is Verdict.INCONCLUSIVE:
        return f"a loss of {delta:g} points cannot be excluded; more subjects or seeds decide"
    return ""


def _entries(row: RowPolicy, root: Path | None, role: str) -> list[Entry]:
    """Return the newest complete record of a row on each of its data."""
    if root is None or not root.is_dir():
        where = "no folder of records" if root is None else f"no folder {root}"
        raise _NotJudged(Verdict.MISSING, f"{role}: {where}")
    entries, broken = read_entries(root, protocol=row.protocol)
    damaged = [path for path in broken if path.split("/")[1:2] == [row.model]]
    if damaged:
        raise _NotJudged(Verdict.MISSING, f"{role}: unreadable record {damaged[0]}")
    found = [entry for entry in newest(entries) if _is_row(entry, row)]
    if not found:
        raise _NotJudged(Verdict.MISSING, f"{role}: no record of this row whose units all finished")
    for run in iter_runs(root, protocol=row.protocol, model=row.model):
        later = [entry for entry in found if _is_later(run.record, entry.run)]
        if later:
            # an older success must not hide that the newest code fails
            raise _NotJudged(Verdict.MISSING, f"{role}: attempt {run.record.attempt} of {run.path.name} did not finish")
    return found


def _is_later(one: RunRecord, other: RunRecord) -> bool:
    same = one.run_id == other.run_id and {ref.unit_id for ref in one.units} >= {ref.unit_id for ref in other.units}
    return same and one.attempt > other.attempt


def _pair(row: RowPolicy, base: list[Entry], head: list[Entry]) -> tuple[Entry, Entry]:
    """Return the two records that are compared: those on the same data and protocol version if there are such."""
    shared = {_ground(entry) for entry in base} & {_ground(entry) for entry in head}
    pair = []
    for role, entries in (("base", base), ("head", head)):
        found = [entry for entry in entries if _ground(entry) in shared] or entries
        if len(found) > 1:
            listed = ", ".join(entry.folder for entry in found)
            raise UsageError(
                f"accuracy.rows: {role} has {len(found)} records of {row.title} ({listed}); tell them apart with "
                "'settings' or 'data_size', or name a folder that holds one"
            )
        _refuse_unfit(found[0], role, metric_name=registry.load("protocol", row.protocol)().headline)
        pair.append(found[0])
    return pair[0], pair[1]


def _ground(entry: Entry) -> tuple[object, ...]:
    return entry.data_key, entry.first.protocol_version


def _is_row(entry: Entry, row: RowPolicy) -> bool:
    settings = dict(flat_settings(entry.first.settings))
    return (
        entry.run.model == row.model
        and entry.run.preset == row.preset
        and (entry.data_key[1] == row.data_size)
        and all(settings.get(key) == value for key, value in row.settings.items())
    )


def _refuse_unfit(entry: Entry, role: str, *, metric_name: str) -> None:
    if len(entry.units) < len(entry.run.units):
        missing = len(entry.run.units) - len(entry.units)
        raise _NotJudged(Verdict.MISSING, f"{role}: {missing} of {len(entry.run.units)} units failed or are missing")
    if entry.not_ranked:
        raise _NotJudged(Verdict.MISSING, f"{role}: the record has no rank: {entry.not_ranked}")
    for unit in entry.units:
        values = unit.metrics.get(metric_name, {})
        if any(value is not None and math.isnan(value) for value in values.values()) or values.get("mean", 0.0) is None:
            raise _NotJudged(
                Verdict.MISSING, f"{role}: {metric_name} of fold {unit.fold}, seed {unit.seed} is no number"
            )
    if entry.clips_summed:
        raise _NotJudged(Verdict.INCOMPARABLE, f"{role}: {CLIPS_SUMMED}; name a folder of runs as baseline and as head")


def _refuse_other_ground(base: Entry, head: Entry) -> None:
    """A difference means something on the same protocol, data, labels and folds."""
    one, two = base.first, head.first
    pairs: Mapping[str, tuple[object, object]] = {
        "protocol version": (one.protocol_version, two.protocol_version),
        "origin of the data": (one.data.origin, two.data.origin),
        DATA: (base.data_key[2], head.data_key[2]),
        "labels": (", ".join(one.columns), ", ".join(two.columns)),
        "folds": (", ".join(sorted(base.folds)), ", ".join(sorted(head.folds))),
    }
    # a stand-in is drawn by the machine that needs it
    hint = "; run both on one machine" if one.data.origin == two.data.origin == "synthetic" else ""
    for what, (a, b) in pairs.items():
        if a != b:
            raise _NotJudged(
                Verdict.INCOMPARABLE, f"not the same {what}: base {a}, head {b}{hint if what == DATA else ''}"
            )
