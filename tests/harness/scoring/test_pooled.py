"""Predictions of all folds as one table: joined by sample id, in whatever order folds, subjects and clips come."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from auharness import registry
from auharness.data.columns import clip_table
from auharness.data.index import Index
from auharness.errors import IntegrityError
from auharness.metrics import METRICS
from auharness.records import ClipRecord, Media, au_name
from auharness.results.schema import DataInfo
from auharness.results.store import RunFolder
from auharness.scoring import cluster_counts, external, score_units
from auharness.scoring.external import External, score_external
from auharness.scoring.pooled import pool, pooled_differences, pooled_metrics
from auharness.scoring.rescore import oracle_units, rescore
from auharness.scoring.thresholds import best_of_grid
from auharness.statistics import ORACLE_GRID

SAMM = registry.load("protocol", "samm-loso")()
COLUMNS = list(SAMM.columns)
AUS = (2, 4, 7, 12)
Labels = Mapping[str, np.ndarray]
Score = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def index(micro_labels: Callable[..., Labels]) -> Index:
    """Clips of SAMM whose rows are shuffled, so that those of a subject do not stand together."""
    records = [
        ClipRecord(
            dataset="samm",
            subject=subject,
            sequence=f"{subject}/{subject}_{number}",
            frames=(1,),
            media=(Media("a.jpg"),),
            labels=dict(zip(AUS, map(int, row), strict=True)),
        )
        for subject, target in micro_labels("samm").items()
        for number, row in enumerate(target)
    ]
    table = clip_table(records, [au_name(au) for au in AUS])
    order = np.random.default_rng(3).permutation(table.num_rows)
    return Index(arrow=table.take(order), kind="clip-multilabel", outputs=tuple(COLUMNS), sources=())


@pytest.fixture(scope="module")
def guesses(index: Index) -> pd.DataFrame:
    """Probabilities that are right most of the time, each beside its sample id."""
    noise = np.random.default_rng(0).normal(0, 0.25, (len(index), len(COLUMNS)))
    frame = pd.DataFrame(np.clip(index.labels(COLUMNS) * 0.4 + 0.3 + noise, 0, 1), columns=COLUMNS)
    frame.insert(0, "sample_id", index.table["sample_id"].to_numpy())
    return frame


@pytest.fixture(scope="module")
def score(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Score]:
    """Score a table under samm-loso; the same name gives the run that is there."""
    data, folder = DataInfo(origin="synthetic", verified=None, manifests={}), tmp_path_factory.mktemp("scored")
    ground = external._Ground(SAMM, index, tuple(SAMM.folds(index)), data)
    done: dict[str, RunFolder] = {}

    def run(table: pd.DataFrame, name: str = "their", kind: Any = "probability") -> RunFolder:
        path = folder / f"{name}.csv"
        if name not in done:
            table.to_csv(path, index=False)
            done[name] = score_external(External(path=path, protocol="samm-loso", score_kind=kind), folder / "runs").run
        return done[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(external, "_ground", lambda asked: ground)
        yield run


def joined(index: Index, guesses: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores `[n, A]`, matched by sample id with pandas."""
    both = index.table.merge(guesses, on="sample_id", suffixes=("", ".score"))
    return both[COLUMNS].to_numpy(int), both[[f"{name}.score" for name in COLUMNS]].to_numpy()


def test_scores_are_joined_by_sample_id_whatever_the_order_of_subjects_and_rows(
    index: Index, guesses: pd.DataFrame, score: Score
) -> None:
    target, said = joined(index, guesses)
    expected = [
        f1_score(target[:, au], said[:, au] >= 0.5, labels=[0, 1], average="macro", zero_division=0) for au in range(4)
    ]
    for name, table in (("their", guesses), ("shuffled", guesses.sample(frac=1, random_state=5))):
        row = score_units(SAMM, score(table, name).finished(), interval=False)
        assert row.by_label == pytest.approx(expected)
        assert len(row.folds) == 29


def test_auroc_and_precision_are_those_of_all_predictions_at_once(
    index: Index, guesses: pd.DataFrame, score: Score
) -> None:
    target, said = joined(index, guesses)
    run = score(guesses)
    found = run.record.pooled["0"]
    for au, name in enumerate(COLUMNS):
        assert found["auroc"][name] == pytest.approx(roc_auc_score(target[:, au], said[:, au]))
        assert found["average-precision"][name] == pytest.approx(average_precision_score(target[:, au], said[:, au]))
    assert found["auroc"]["mean"] == pytest.approx(roc_auc_score(target, said))
    # most single subjects have none: their mean is another number of fewer labels
    assert sum(unit.metrics["auroc"]["AU2"] is None for unit in run.finished()) >= 11


def test_a_sample_of_two_folds_is_refused_in_the_pool(guesses: pd.DataFrame) -> None:
    with pytest.raises(IntegrityError, match=r"sample samm/.* is predicted in two folds \(3 such samples\)"):
        pool([guesses.iloc[:10], guesses.iloc[7:20]])


def test_the_record_of_pooled_scores_is_checked_against_the_predictions(guesses: pd.DataFrame, score: Score) -> None:
    run = score(guesses)
    assert pooled_differences(SAMM, run) == []
    wrong: Any = {"0": {"auroc": dict(run.record.pooled["0"]["auroc"], AU2=0.99)}}
    before = run.record
    run.write_record(before.model_copy(update={"pooled": wrong}))
    texts = pooled_differences(SAMM, run)
    run.write_record(before)
    assert texts[0].startswith("seed 0: pooled average-precision of AU2 is None, the predictions give 0.")
    assert any(text.startswith("seed 0: pooled auroc of AU2 is 0.99, the predictions give") for text in texts)


class ByFold(type(SAMM)):  # type: ignore[misc]  # a class known at run time
    aggregation = "fold-mean"


def test_protocols_that_are_not_pooled_keep_no_pooled_scores(guesses: pd.DataFrame, score: Score) -> None:
    run = score(guesses)
    assert pooled_metrics(ByFold(), run) == {}


def test_the_threshold_oracle_of_a_pooled_protocol_is_one_of_sixteen_for_all_folds(
    index: Index, guesses: pd.DataFrame, score: Score
) -> None:
    run = score(guesses)
    assert [item.differences for item in rescore(SAMM, run)] == [()] * 29
    (name,) = oracles = oracle_units(SAMM, run)
    units = oracles[name]
    assert name == "threshold"
    assert {unit.threshold for unit in units} == {"test-oracle"}
    assert len({unit.thresholds for unit in units}) == 1
    target, said = joined(index, guesses)
    row = score_units(SAMM, units, interval=False)
    for au, value in enumerate(row.by_label):
        tried = [
            f1_score(target[:, au], said[:, au] > limit, labels=[0, 1], average="macro", zero_division=0)
            for limit in ORACLE_GRID
        ]
        assert value == pytest.approx(max(tried))
        assert units[0].thresholds[au] == pytest.approx(ORACLE_GRID[int(np.argmax(tried))])
    assert row.headline >= score_units(SAMM, run.finished(), interval=False).headline


def test_the_threshold_oracle_of_margins_has_the_best_headline_and_not_the_best_f1(
    index: Index, guesses: pd.DataFrame, score: Score
) -> None:
    run = score(guesses.assign(**{name: guesses[name] - 0.5 for name in COLUMNS}), "margins", "margin")
    target, said = joined(index, guesses)
    for protocol in (SAMM, ByFold()):
        units = oracle_units(protocol, run)["threshold"]
        folds = [np.arange(len(target))] if protocol is SAMM else [index.rows([("samm", unit.fold)]) for unit in units]
        found = [unit.thresholds for unit in units]
        for limits, rows in zip(found, folds, strict=False):
            for au, limit in enumerate(limits):
                truth, values = target[rows, au], said[rows, au] - 0.5
                if truth.any():
                    assert macro(truth, values >= limit) == pytest.approx(best_macro(truth, values))


def macro(target: np.ndarray, present: np.ndarray) -> float:
    return float(f1_score(target, present, labels=[0, 1], average="macro", zero_division=0))


def best_macro(target: np.ndarray, scores: np.ndarray) -> float:
    return max(macro(target, scores >= cut) for cut in (*np.unique(scores), np.inf))


def test_a_score_on_the_grid_is_absent_because_the_script_asks_for_more() -> None:
    target, scores = np.array([0, 1]), np.array([0.5, 0.500001])
    value = best_of_grid(target, scores, grid=(0.4, 0.5, 0.6), metric=METRICS["macro-f1-binary"])
    assert (scores >= value).tolist() == [False, True]


def test_people_of_two_data_sets_with_one_name_stay_two() -> None:
    frame = pd.DataFrame(
        {"sample_id": ["casme/01/a", "casme2/01/a"], "subject": ["01", "01"], "AU1": [1.0, -1.0], "AU1.target": [1, 1]}
    )
    both = cluster_counts(frame, ["AU1"], thresholds=(0.0,), multiclass=False, datasets=("casme", "casme2"))
    assert [(item.name, item.counts) for item in both] == [
        ("casme/01", ((1, 0, 0, 0),)),
        ("casme2/01", ((0, 0, 1, 0),)),
    ]
    # also where each fold holds one of them, so that the folds do not seem to share a subject
    (alone,) = cluster_counts(frame[1:], ["AU1"], thresholds=(0.0,), multiclass=False, datasets=("casme", "casme2"))
    assert alone.name == "casme2/01"
