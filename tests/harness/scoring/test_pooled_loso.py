"""Leave one subject out with the published totals of CASME II and SAMM: what a pooled headline must withstand."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness import registry
from auharness.errors import InconclusiveError
from auharness.metrics import binary_counts
from auharness.results.schema import ClusterCounts, DataInfo, UnitRecord
from auharness.runner.finish import one_line
from auharness.scoring import score_units

Labels = Mapping[str, np.ndarray]
Make = Callable[..., Labels]

CASME2 = registry.load("protocol", "casme2-loso")()
SAMM = registry.load("protocol", "samm-loso")()
CROSS = registry.load("protocol", "casme2-to-samm")()


def units_of(
    protocol: Any, labels: Labels, said: Labels, *, seed: int = 0, fold: str = "", **more: Any
) -> list[UnitRecord]:
    """One unit for each subject, or a single one named `fold` that tests all."""
    clusters = {
        name: ClusterCounts(
            name=name, n_rows=len(target), counts=tuple(map(tuple, binary_counts(target, said[name] == 1).tolist()))
        )
        for name, target in labels.items()
    }
    parts = {fold: tuple(clusters.values())} if fold else {name: (one,) for name, one in clusters.items()}
    everyone = np.concatenate(list(labels.values()))
    values: dict[str, Any] = {
        "run_id": "r",
        "model": "m",
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "seed": seed,
        "preset": "tiny",
        "settings": {},
        "data": DataInfo(origin="synthetic", verified=None, manifests={}),
        "kind": "binary",
        "columns": protocol.columns,
        "outputs": protocol.columns,
        "score_kind": "logit",
        "selection": "last",
        "threshold": "fixed-0.5",
        "thresholds": (0.0,) * len(protocol.columns),
        "aggregation": protocol.aggregation,
        "train_positives": tuple(map(int, everyone.sum(axis=0))),
        "train_coded": (len(everyone),) * len(protocol.columns),
        "n_train": len(everyone),
        "n_dropped": {},
        "metrics": {},
        "files": {},
    }
    return [
        UnitRecord(
            **values | more,
            unit_id=f"{name}-{seed}",
            fold=name,
            clusters=tested,
            n_frames=sum(one.n_rows for one in tested),
            n_subjects=len(tested),
        )
        for name, tested in parts.items()
    ]


def constant(labels: Labels, value: int) -> Labels:
    return {name: np.full_like(target, value) for name, target in labels.items()}


def noisy(labels: Labels, share: float, seed: int = 0) -> Labels:
    """Labels of which a share is turned around."""
    chance = np.random.default_rng(seed)
    return {name: np.where(chance.random(target.shape) < share, 1 - target, target) for name, target in labels.items()}


def fold_averaged(labels: Labels, said: Labels) -> float:
    """What scikit-learn's defaults make of it: macro-F1 of each fold and AU, then the mean."""
    values = [
        f1_score(target[:, au], said[name][:, au], average="macro", zero_division=0)
        for name, target in labels.items()
        for au in range(target.shape[1])
    ]
    return 100 * float(np.mean(values))


def test_the_constant_predictor_scores_the_pooled_value_and_never_the_fold_averaged_one(micro_labels: Make) -> None:
    labels = micro_labels("casme2")
    said = constant(labels, 0)
    score = score_units(CASME2, units_of(CASME2, labels, said), interval=False)
    assert round(100 * score.headline, 1) == 45.4
    assert fold_averaged(labels, said) == pytest.approx(70.1, abs=1.0)
    shown = [score.headline, *score.by_fold.values(), *score.others.values(), *score.floors.values()]
    assert max(100 * value for value in shown if value is not None) < 53


def test_constant_zero_on_samm_gives_the_golden_values(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    score = score_units(SAMM, units_of(SAMM, labels, constant(labels, 0)), interval=False)
    assert [round(100 * value, 2) for value in score.by_label] == [47.00, 46.10, 41.54, 45.17]
    assert round(100 * score.headline, 2) == 44.95
    assert score.metrics["f1"] == 0.0
    assert round(100 * score.floors["constant-0"], 2) == 44.95


def test_the_pooled_score_of_each_au_is_sklearns_over_all_clips(micro_labels: Make) -> None:
    labels = micro_labels("casme2")
    said = noisy(labels, 0.2)
    score = score_units(CASME2, units_of(CASME2, labels, said), interval=False)
    target, predicted = (np.concatenate(list(part.values())) for part in (labels, said))
    for au, (macro, positive) in enumerate(zip(score.by_label, score.metrics_by_label["f1"], strict=True)):
        both = f1_score(target[:, au], predicted[:, au], labels=[0, 1], average="macro", zero_division=0)
        assert macro == pytest.approx(both)
        assert positive == pytest.approx(f1_score(target[:, au], predicted[:, au]))


def test_chance_stands_among_the_floors_and_does_not_shrink_with_seeds(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    one = score_units(SAMM, units_of(SAMM, labels, noisy(labels, 0.2)), interval=False)
    several = [unit for seed in range(5) for unit in units_of(SAMM, labels, noisy(labels, 0.2, seed), seed=seed)]
    assert list(one.floors) == [
        *("constant-0", "constant-1", "random-prior", "random-prior-p95", "random-oracle", "random-oracle-p95"),
    ]
    assert 100 * one.floors["random-prior-p95"] == pytest.approx(53.3, abs=0.3)
    assert score_units(SAMM, several, interval=False).floors == pytest.approx(one.floors)


def test_the_highest_floor_is_the_best_predictor_that_knows_no_test_label(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    score = score_units(SAMM, units_of(SAMM, labels, noisy(labels, 0.1)), interval=False)
    assert score.floors["random-oracle-p95"] > score.floors["random-prior-p95"]
    assert score.highest_floor == ("random-prior-p95", score.floors["random-prior-p95"])


def test_the_pattern_of_printed_table_4_is_flagged_as_degenerate(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    # LED SSSNet: never AU2, AU7 and AU12, always AU4
    said = constant(labels, 0)
    for values in said.values():
        values[:, 1] = 1
    score = score_units(CROSS, units_of(CROSS, labels, said, fold="samm"), interval=False)
    assert [round(100 * value, 1) for value in (*score.by_label, score.headline)] == [47.0, 12.6, 41.5, 45.2, 36.6]
    assert score.degenerate == {"AU2": "never", "AU4": "always", "AU7": "never", "AU12": "never"}


def test_a_label_that_only_one_seed_answers_alike_is_flagged_with_the_number_of_seeds(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    units = units_of(SAMM, labels, noisy(labels, 0.1)) + units_of(SAMM, labels, constant(labels, 1), seed=1)
    assert score_units(SAMM, units, interval=False).degenerate["AU2"] == "always (1 of 2 seeds)"


def test_a_model_that_varies_is_not_degenerate_though_single_folds_are(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    units = units_of(SAMM, labels, noisy(labels, 0.02))
    alone = score_units(SAMM, units, interval=False)
    assert alone.degenerate == {}
    assert any(unit.clusters[0].counts[0][0] + unit.clusters[0].counts[0][1] == 0 for unit in units)


def test_a_headline_of_one_seed_is_marked_wherever_it_is_said(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    units = units_of(SAMM, labels, noisy(labels, 0.1))
    one = score_units(SAMM, units, interval=False)
    assert one.marks == ("1 seed",)
    assert one_line(one).startswith("macro-F1 {0,1} ")
    assert ", 1 seed (pooled, 29 folds, 29 subjects, 159 clips; floor random-prior-p95" in one_line(one)
    both = score_units(SAMM, units + units_of(SAMM, labels, noisy(labels, 0.1, 1), seed=1), interval=False)
    assert both.marks == ()
    assert " sd " in one_line(both) and "1 seed" not in one_line(both)


@pytest.mark.parametrize("dataset", ["casme2", "samm"])
def test_the_interval_of_a_pooled_headline_resamples_subjects_that_are_folds(micro_labels: Make, dataset: str) -> None:
    labels, protocol = micro_labels(dataset), {"casme2": CASME2, "samm": SAMM}[dataset]
    score = score_units(protocol, units_of(protocol, labels, noisy(labels, 0.15)))
    assert score.interval is not None
    assert score.interval.n_clusters == len(labels) == len(score.folds)
    assert score.interval.low < score.headline < score.interval.high
    assert 0.01 < score.interval.high - score.interval.low < 0.2


def test_a_protocol_of_one_fold_has_the_interval_of_its_subjects(micro_labels: Make) -> None:
    labels = micro_labels("samm")
    said = noisy(labels, 0.15)
    cross = score_units(CROSS, units_of(CROSS, labels, said, fold="samm"))
    loso = score_units(SAMM, units_of(SAMM, labels, said))
    # pooled counts do not know how the subjects were divided into folds
    assert cross.interval == loso.interval
    assert cross.headline == loso.headline


def test_a_row_that_scores_fewer_aus_than_the_protocol_is_refused(micro_labels: Make) -> None:
    labels = {name: target[:, :3] for name, target in micro_labels("samm").items()}
    cut: dict[str, Any] = {"columns": ("AU2", "AU4", "AU7"), "outputs": ("AU2", "AU4", "AU7"), "thresholds": (0.0,) * 3}
    cut |= {"train_positives": (1, 1, 1), "train_coded": (9, 9, 9)}
    with pytest.raises(
        InconclusiveError, match=r"samm-loso version 1 scores AU2, AU4, AU7, AU12; fold 01 of m has AU2,"
    ):
        score_units(SAMM, units_of(SAMM, labels, constant(labels, 0), **cut))
