"""From the counts of finished units to one row: the headline, its interval, and the floors beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

import numpy as np

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import AuharnessError, InconclusiveError
from auharness.metrics import (
    AGGREGATIONS,
    Aggregate,
    Aggregation,
    FoldCounts,
    Metric,
    aggregate,
    are_disjoint,
    mean_defined,
    metric,
)
from auharness.results.schema import UnitRecord
from auharness.scoring.degenerate import degenerate_labels
from auharness.statistics.bootstrap import Interval
from auharness.statistics.chance import chance_levels
from auharness.statistics.clips import resamples_clips
from auharness.statistics.floors import floors
from auharness.statistics.interval import headline_interval

__all__ = ["Score", "dropped_rows", "fold_counts", "sample_word", "score_units"]

Seeds: TypeAlias = Sequence[Sequence[FoldCounts]]
"""The folds of each seed."""
Confusion: TypeAlias = tuple[tuple[int, ...], ...]
RECALL = "recall"
ORACLE = "random-oracle"
"""Beginning of the names of floors that know the test labels."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row: a model under a protocol, with all that must stand beside its number.

    Scores are in [0, 1]; with several seeds each is the mean over the seeds.
    """

    headline: float
    """The protocol's headline metric under its aggregation."""
    seed_sd: float | None
    """Standard deviation over seeds; None for one seed."""
    interval: Interval | None
    """Of the counts summed over seeds: subjects are resampled, training noise is not."""
    columns: tuple[str, ...]
    by_label: tuple[float, ...]
    n_defined: tuple[int, ...]
    """Number of folds (or subjects) behind each label's score."""
    by_fold: dict[str, float]
    others: dict[str, float | None]
    """The other aggregations; `pooled` is None where test parts overlap."""
    floors: dict[str, float]
    """Trivial predictors by name; for a pooled headline of counts the levels of chance are among them."""
    floors_by_label: dict[str, tuple[float, ...]]
    metrics: dict[str, float]
    """Every other metric of the protocol that follows from counts, under the headline's aggregation."""
    metrics_by_label: dict[str, tuple[float, ...]]
    """The same by label; `recall` by class stands here only."""
    counts: dict[str, tuple[int, int, int, int]]
    """Label -> TP, FP, FN, TN over all folds and seeds; empty for classes."""
    degenerate: dict[str, str]
    """Label -> `never` or `always` where the row says the same of every test sample, whatever its score is."""
    metric: str
    aggregation: str
    cluster: str
    """The protocol's sampling unit."""
    classes: tuple[str, ...]
    """Class names in the order of the confusion matrices; empty for AUs."""
    confusion: dict[str, Confusion]
    """Fold -> confusion matrix, rows are true classes, summed over the seeds; empty for AUs."""
    metrics_pooled: dict[str, float]
    """Every metric of classes on the counts summed over folds; empty for AUs and where test parts overlap."""
    floors_of_metrics: dict[str, dict[str, float]]
    """Trivial predictor -> every other metric of classes; empty for AUs."""
    protocol_marks: tuple[str, ...]
    samples: str
    """What is scored: `frames` or `clips`."""
    n_frames: int
    """How many of them."""
    n_scored: int
    """Those with at least one coded label."""
    n_published: int | None
    """How many the protocol publishes; None where it does not say."""
    n_clusters: int
    """Sampling units."""
    n_subjects: int
    n_dropped: int
    n_no_face: int
    seeds: tuple[int, ...]
    folds: tuple[str, ...]
    licensed: bool
    """Whether the data are those of the papers and no stand-in."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What must stand beside every headline.

        The protocol's marks; how many rows are scored where that is not the published number; and `1 seed` where no
        spread is known.
        """
        found = list(self.protocol_marks)
        if self.licensed and self.n_published not in (None, self.n_scored):
            found.append(f"n_scored {self.n_scored:,} of {self.n_published:,}")
        return (*found, "1 seed") if len(self.seeds) == 1 else tuple(found)

    @property
    def label_scores(self) -> dict[str, float]:
        """Score of each label; for classes their recall, whatever the headline is."""
        if self.classes and len(self.metrics_by_label.get(RECALL, ())) == len(self.classes):
            return dict(zip(self.classes, self.metrics_by_label[RECALL], strict=True))
        return dict(zip(self.columns, self.by_label, strict=True))

    @property
    def tested(self) -> str:
        """How much was tested: `41 subjects, 1200 frames`, or `2341 clips` where nothing is known of who they show."""
        if self.cluster == "video":
            return f"{_counted(self.n_clusters, 'videos')}, n_scored {self.n_scored:,}"
        samples = _counted(self.n_frames, self.samples)
        anyone = self.classes and self.cluster in ("clip", "unknown")
        return samples if anyone else f"{_counted(self.n_subjects, 'subjects')}, {samples}"

    @property
    def n_folds(self) -> str:
        """`1 fold` or `26 folds`."""
        return _counted(len(self.folds), "folds")

    @property
    def highest_floor(self) -> tuple[str, float]:
        """Name and score of the best predictor that sees no test label: a score below it shows nothing."""
        found = {name: value for name, value in self.floors.items() if not name.startswith(ORACLE) and value == value}
        name = max(found or self.floors, key=lambda key: self.floors[key])
        return name, self.floors[name]


def sample_word(protocol: ProtocolPlugin) -> str:
    """Return what a protocol scores: `frames` or `clips`."""
    return _sample_word(protocol.test_on[0])


@lru_cache
def _sample_word(dataset: str) -> str:
    try:
        return "frames" if registry.load("dataset", dataset).kind == "frame-multilabel" else "clips"
    except AuharnessError:
        # a record outlives the plugin that read its data
        return "frames"


def _counted(count: int, what: str) -> str:
    return f"{count} {what.removesuffix('s') if count == 1 else what}"


def fold_counts(units: Sequence[UnitRecord]) -> list[FoldCounts]:
    """Return the counts of each fold, summed over the seeds among the units.

    Raises:
        InconclusiveError: if the seeds of one fold tested other clusters.
    """
    return _over_seeds([_unit_counts(unit) for unit in units])


def _unit_counts(unit: UnitRecord) -> FoldCounts:
    names = tuple(item.name for item in unit.clusters)
    shape = (len(names), *np.shape(unit.clusters[0].counts))
    numbers = chain.from_iterable(row for item in unit.clusters for row in item.counts)
    return FoldCounts(unit.fold, names, np.fromiter(numbers, np.int64).reshape(shape))


def _over_seeds(units: Sequence[FoldCounts]) -> list[FoldCounts]:
    """Return each fold once, its seeds summed."""
    folds = []
    for name in dict.fromkeys(unit.name for unit in units):
        members = [unit for unit in units if unit.name == name]
        if len({unit.clusters for unit in members}) != 1:
            raise InconclusiveError(f"fold {name}: its seeds tested different clusters")
        folds.append(FoldCounts(name, members[0].clusters, np.sum([unit.counts for unit in members], axis=0)))
    return folds


def score_units(protocol: ProtocolPlugin, units: Sequence[UnitRecord], *, interval: bool = True) -> Score:
    """Return the row of a run from its finished units; a seed that lacks folds which another seed has is left out.

    Raises:
        InconclusiveError: if there are no units, their protocol versions differ, or they score other labels than the
            protocol of their version does.
    """
    _check(protocol, units)
    units = _whole_seeds(units)
    entry, how = metric(protocol.headline), protocol.aggregation
    counts = [_unit_counts(unit) for unit in units]
    folds = _over_seeds(counts)
    seeds = tuple(sorted({unit.seed for unit in units}))
    by_seed = [[own for unit, own in zip(units, counts, strict=True) if unit.seed == seed] for seed in seeds]
    wholes = [aggregate(own, entry, _how(how)) for own in by_seed]
    values = [whole.mean for whole in wholes]
    trivial = _floors(by_seed[0], entry, how, _training_rates(units))
    more = _more_metrics(protocol, by_seed, how)
    return Score(
        headline=float(np.mean(values)),
        seed_sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        interval=headline_interval(folds, entry, how=_how(how), cluster=protocol.cluster) if interval else None,
        columns=units[0].columns if entry.needs == "counts" or entry.per_class else ("all",),
        by_label=_label_means(wholes),
        n_defined=tuple(map(int, np.max([whole.n_defined for whole in wholes], axis=0))),
        by_fold=_by_fold(by_seed, entry),
        others=_other_aggregations(by_seed, entry, how, protocol.cluster),
        floors={name: value.mean for name, value in trivial.items()},
        floors_by_label={name: tuple(map(float, value.by_label)) for name, value in trivial.items()},
        metrics={name: value for name, value in _means(more).items() if not metric(name).per_class},
        metrics_by_label={name: _label_means(found) for name, found in more.items()},
        counts=_label_counts(units[0].columns, folds) if entry.needs == "counts" else {},
        degenerate=degenerate_labels(units[0].columns, by_seed) if entry.needs == "counts" else {},
        metric=entry.name,
        aggregation=how,
        cluster=protocol.cluster,
        classes=units[0].columns if units[0].kind == "classes" else (),
        confusion={fold.name: _rows(fold.total) for fold in folds} if units[0].kind == "classes" else {},
        metrics_pooled=_pooled_classes(protocol, by_seed) if units[0].kind == "classes" else {},
        floors_of_metrics=_class_floors(more, by_seed[0], how, units) if units[0].kind == "classes" else {},
        protocol_marks=protocol.marks,
        samples="clips" if units[0].kind == "classes" else sample_word(protocol),
        n_frames=_distinct(units, folds, "n_frames"),
        n_scored=_distinct(units, folds, "n_scored"),
        n_published=protocol.n_published,
        n_clusters=len({name for fold in folds for name in fold.clusters}),
        n_subjects=_distinct(units, folds, "n_subjects"),
        n_dropped=sum(dropped_rows(units).values()),
        n_no_face=_distinct(units, folds, "n_no_face"),
        seeds=seeds,
        folds=tuple(fold.name for fold in folds),
        licensed=units[0].data.origin == "licensed",
    )


def _check(protocol: ProtocolPlugin, units: Sequence[UnitRecord]) -> None:
    """Units of one row answer the same question; labels are part of a protocol, not of a run."""
    versions = {unit.protocol_version for unit in units}
    if len(versions) != 1:
        raise InconclusiveError(
            f"{protocol.name}: expected finished units of one protocol version, got {len(units)} units"
        )
    for unit in units:
        if versions == {protocol.version} and unit.columns != protocol.columns:
            raise InconclusiveError(
                f"{protocol.name} version {protocol.version} scores {', '.join(protocol.columns)}; fold {unit.fold} of "
                f"{unit.model} has {', '.join(unit.columns)}: run it again, or raise the version of a changed protocol"
            )


def _floors(
    folds: Sequence[FoldCounts], entry: Metric, how: str, rates: Mapping[str, np.ndarray]
) -> dict[str, Aggregate]:
    """Return the trivial predictors on one seed's test parts, and what chance reaches where scores are pooled."""
    found = floors(folds, entry, how=_how(how), rates=rates)
    return found | chance_levels(folds, entry, rates=rates) if how == "pooled" and entry.needs == "counts" else found


def _label_means(wholes: Sequence[Aggregate]) -> tuple[float, ...]:
    """Mean over the seeds of each label's score."""
    return tuple(map(float, mean_defined(np.stack([whole.by_label for whole in wholes]), axis=0)[0]))


def _label_counts(columns: Sequence[str], folds: Sequence[FoldCounts]) -> dict[str, tuple[int, int, int, int]]:
    total = np.sum([fold.total for fold in folds], axis=0)
    rows = [tuple(map(int, row)) for row in total]
    return {name: (tp, fp, fn, tn) for name, (tp, fp, fn, tn) in zip(columns, rows, strict=True)}


def _whole_seeds(units: Sequence[UnitRecord]) -> list[UnitRecord]:
    """Units of the seeds that have every fold; of the lowest seed where none has."""
    names = {unit.fold for unit in units}
    folds = {seed: {unit.fold for unit in units if unit.seed == seed} for seed in sorted({u.seed for u in units})}
    seeds = [seed for seed, own in folds.items() if own == names] or list(folds)[:1]
    return [unit for unit in units if unit.seed in seeds]


def dropped_rows(units: Sequence[UnitRecord]) -> dict[str, int]:
    """Return reason -> rows left out: undecodable ones once (every fold counts them all), others summed over folds."""
    own = [unit.n_dropped for unit in units if unit.seed == units[0].seed]
    reasons = sorted({reason for counts in own for reason in counts})
    counts = {reason: [one.get(reason, 0) for one in own] for reason in reasons}
    return {reason: max(found) if reason == "undecodable" else sum(found) for reason, found in counts.items()}


def _distinct(units: Sequence[UnitRecord], folds: Sequence[FoldCounts], field: str) -> int:
    """Sum a count over disjoint test parts of one seed; folds that test the same rows count them once."""
    seed = units[0].seed
    own = [unit for unit in units if unit.seed == seed]
    # records from before it was counted: every row that they count is a labelled one
    values = [int(unit.n_frames if getattr(unit, field) is None else getattr(unit, field)) for unit in own]
    return sum(values) if are_disjoint(folds) else max(values)


def _training_rates(units: Sequence[UnitRecord]) -> dict[str, np.ndarray]:
    """Prior of each fold: the rates of its coded training rows."""
    rates = {}
    for unit in units:
        positives, coded = np.array(unit.train_positives, float), np.array(unit.train_coded, float)
        rates[unit.fold] = np.divide(positives, coded, out=np.zeros_like(positives), where=coded > 0)
    return rates


def _by_fold(by_seed: Seeds, entry: Metric) -> dict[str, float]:
    """Return the mean over the seeds of each fold's own score, all seeds in one call."""
    totals = {fold.name: [f.total for folds in by_seed for f in folds if f.name == fold.name] for fold in by_seed[0]}
    values = {name: mean_defined(entry.by_label(np.stack(own)))[0] for name, own in totals.items()}
    return {name: float(np.mean(own)) for name, own in values.items()}


def _other_aggregations(by_seed: Seeds, entry: Metric, how: str, cluster: str) -> dict[str, float | None]:
    disjoint = are_disjoint(by_seed[0])
    names = [name for name in AGGREGATIONS if name != how]
    if resamples_clips(entry, cluster):
        names.remove("subject-mean")  # the recall of a single clip is 0 or 1
    return {name: _seed_mean(by_seed, entry, name) if name != "pooled" or disjoint else None for name in names}


def _more_metrics(protocol: ProtocolPlugin, by_seed: Seeds, how: str) -> dict[str, list[Aggregate]]:
    """Metric -> its aggregate for each seed."""
    entries = [metric(name) for name in protocol.metrics if name != protocol.headline]
    return {
        entry.name: [aggregate(folds, entry, _how(how)) for folds in by_seed]
        for entry in entries
        if entry.needs != "scores"
    }


def _pooled_classes(protocol: ProtocolPlugin, by_seed: Seeds) -> dict[str, float]:
    """Return the headline and every other metric of classes, pooled."""
    if not are_disjoint(by_seed[0]):
        return {}
    entries = [entry for entry in map(metric, protocol.metrics) if entry.needs == "confusion" and not entry.per_class]
    return {entry.name: _seed_mean(by_seed, entry, "pooled") for entry in entries}


def _class_floors(
    more: Mapping[str, object], folds: Sequence[FoldCounts], how: str, units: Sequence[UnitRecord]
) -> dict[str, dict[str, float]]:
    """Return floor -> metric -> score for the metrics beside the headline."""
    rates, found = _training_rates(units), dict[str, dict[str, float]]()
    for entry in (metric(name) for name in more):
        if not entry.per_class:
            for name, value in floors(folds, entry, how=_how(how), rates=rates).items():
                found.setdefault(name, {})[entry.name] = value.mean
    return found


def _means(more: Mapping[str, Sequence[Aggregate]]) -> dict[str, float]:
    return {name: float(np.mean([one.mean for one in found])) for name, found in more.items()}


def _rows(total: np.ndarray) -> Confusion:
    return tuple(tuple(map(int, row)) for row in total)


def _seed_mean(by_seed: Seeds, entry: Metric, how: str) -> float:
    return float(np.mean([aggregate(folds, entry, _how(how)).mean for folds in by_seed]))


def _how(name: str) -> Aggregation:
    """The protocol's text as the type that the metrics take; `aggregate` refuses an unknown one."""
    return name  # type: ignore[return-value]  # checked where it is used
