from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from auharness.api import ProtocolPlugin
from auharness.errors import InconclusiveError
from auharness.results.schema import ClusterCounts, DataInfo, UnitRecord
from auharness.scoring import fold_counts, score_units


class Made(ProtocolPlugin):
    name = "made"
    train_on = test_on = ("made",)
    score_labels = (1, 2)
    metrics = ("f1", "accuracy")

    def folds(self, index: object) -> list[object]:  # type: ignore[override]  # not asked for here
        return []


Counts = Sequence[Sequence[int]]


def unit(fold: str, seed: int, clusters: Mapping[str, Counts], **more: Any) -> UnitRecord:
    counted = tuple(
        ClusterCounts(name=name, n_rows=sum(rows[0]), counts=tuple(map(tuple, rows))) for name, rows in clusters.items()
    )
    values: dict[str, Any] = {
        "unit_id": f"{fold}{seed}",
        "run_id": "r",
        "model": "m",
        "protocol": "made",
        "protocol_version": 1,
        "fold": fold,
        "seed": seed,
        "preset": "tiny",
        "settings": {},
        "data": DataInfo(origin="synthetic", verified=None, manifests={}),
        "kind": "binary",
        "columns": ("AU1", "AU2"),
        "outputs": ("AU1", "AU2"),
        "score_kind": "logit",
        "selection": "last",
        "threshold": "fixed-0.5",
        "thresholds": (0.0, 0.0),
        "aggregation": "fold-mean",
        "clusters": counted,
        "train_positives": (5, 1),
        "train_coded": (10, 10),
        "n_train": 10,
        "n_frames": sum(item.n_rows for item in counted),
        "n_subjects": len(counted),
        "n_dropped": {},
        "metrics": {},
        "files": {},
    }
    return UnitRecord(**(values | more))


# (tp, fp, fn, tn) of AU1 and AU2
A = {"S1": [(4, 1, 1, 4), (0, 0, 2, 8)], "S2": [(2, 2, 0, 6), (1, 1, 0, 8)]}
B = {"S3": [(5, 0, 5, 0), (0, 0, 0, 10)], "S4": [(1, 3, 1, 5), (0, 0, 0, 10)]}
AU1_A, AU2_A = 2 * 6 / (2 * 6 + 3 + 1), 2 * 1 / (2 * 1 + 1 + 2)
AU1_B = 2 * 6 / (2 * 6 + 3 + 6)  # AU2 is nowhere in B: no F1


def test_the_headline_is_the_mean_over_folds_of_the_mean_over_labels_that_have_a_score() -> None:
    score = score_units(Made(), [unit("P1", 0, A), unit("P2", 0, B)], interval=False)
    assert score.headline == pytest.approx(((AU1_A + AU2_A) / 2 + AU1_B) / 2)
    assert score.by_fold == pytest.approx({"P1": (AU1_A + AU2_A) / 2, "P2": AU1_B})
    assert score.by_label == pytest.approx(((AU1_A + AU1_B) / 2, AU2_A))
    assert score.n_defined == (2, 1)
    assert (score.metric, score.aggregation, score.interval, score.seed_sd) == ("f1", "fold-mean", None, None)
    assert (score.classes, score.confusion, score.metrics_pooled) == ((), {}, {})
    assert score.label_scores == pytest.approx({"AU1": (AU1_A + AU1_B) / 2, "AU2": AU2_A})
    assert score.tested == "4 subjects, 40 frames"
    assert (score.n_frames, score.n_subjects, score.folds, score.seeds) == (40, 4, ("P1", "P2"), (0,))


@pytest.mark.parametrize(("dataset", "what"), [("casme2", "clip"), ("bp4d", "frame"), ("gone", "frame")])
def test_counts_are_told_in_the_words_of_the_data(dataset: str, what: str) -> None:
    class Other(Made):
        test_on = (dataset,)

    one = score_units(Other(), [unit("P1", 0, {"S1": [(1, 0, 0, 0)] * 2})], interval=False)
    assert (one.tested, one.n_folds) == (f"1 subject, 1 {what}", "1 fold")
    more = score_units(Other(), [unit("P1", 0, A), unit("P2", 0, B)], interval=False)
    assert (more.tested, more.n_folds) == (f"4 subjects, 40 {what}s", "2 folds")


def test_the_other_aggregations_stand_beside_the_headline() -> None:
    score = score_units(Made(), [unit("P1", 0, A), unit("P2", 0, B)], interval=False)
    pooled = np.mean([2 * 12 / (2 * 12 + 6 + 7), 2 * 1 / (2 * 1 + 1 + 2)])
    subjects = [(0.8 + 0) / 2, (4 / 6 + 2 / 3) / 2, 10 / 15, 2 / 6]
    assert score.others == pytest.approx({"pooled": pooled, "subject-mean": np.mean(subjects)})
    accuracy_a, accuracy_b = (16 / 20 + 17 / 20) / 2, (11 / 20 + 1) / 2
    assert score.metrics == pytest.approx({"accuracy": (accuracy_a + accuracy_b) / 2})


def test_folds_that_test_the_same_subjects_are_not_pooled_and_their_rows_count_once() -> None:
    score = score_units(Made(), [unit("P1+P2", 0, A), unit("P1+P3", 0, A)], interval=False)
    assert score.others["pooled"] is None
    assert (score.n_frames, score.n_subjects) == (20, 2)


def test_floors_use_the_rates_of_the_training_rows() -> None:
    score = score_units(Made(), [unit("P1", 0, A), unit("P2", 0, B)], interval=False)
    # AU1: 7 of 20 and 12 of 20 present; AU2: 3 of 20 and none
    ones_a, ones_b = (14 / 27 + 6 / 23) / 2, (24 / 32 + 0) / 2
    assert score.floors["constant-1"] == pytest.approx((ones_a + ones_b) / 2)
    assert score.floors["constant-0"] == 0.0
    random_a = (2 * 3.5 / (7 + 10) + 2 * 0.3 / (3 + 2)) / 2
    random_b = (2 * 6 / (12 + 10) + 0) / 2
    assert score.floors["random-prior"] == pytest.approx((random_a + random_b) / 2)


def test_several_seeds_are_averaged_in_every_column_and_their_spread_is_given() -> None:
    better = {"S1": [(5, 0, 0, 5), (2, 0, 0, 8)], "S2": [(2, 0, 0, 8), (1, 0, 0, 9)]}
    score = score_units(Made(), [unit("P1", 0, A), unit("P1", 7, better)], interval=False)
    first = (AU1_A + AU2_A) / 2
    assert score.headline == pytest.approx((first + 1) / 2)
    assert score.seed_sd == pytest.approx(np.std([first, 1], ddof=1))
    assert score.by_label == pytest.approx(((AU1_A + 1) / 2, (AU2_A + 1) / 2))
    assert score.by_fold == pytest.approx({"P1": (first + 1) / 2})
    assert score.metrics == pytest.approx({"accuracy": (33 / 40 + 1) / 2})
    assert (score.seeds, score.n_frames, score.n_subjects) == ((0, 7), 20, 2)


def test_counts_of_seeds_are_summed_for_the_interval() -> None:
    (fold,) = fold_counts([unit("P1", 0, A), unit("P1", 1, A)])
    assert fold.clusters == ("S1", "S2")
    assert fold.counts.tolist() == (2 * np.array(list(A.values()))).tolist()


def test_a_seed_that_lacks_a_fold_is_left_out() -> None:
    whole = [unit("P1", 0, A), unit("P2", 0, B)]
    alone = score_units(Made(), whole, interval=False)
    assert score_units(Made(), [*whole, unit("P1", 1, B)], interval=False) == alone
    neither = score_units(Made(), [unit("P1", 0, A), unit("P2", 1, B)], interval=False)
    assert (neither.seeds, neither.folds) == ((0,), ("P1",))


def test_an_interval_encloses_the_score_of_alike_subjects() -> None:
    alike = {f"S{number}": [(4, 1, 1, 4), (2, 1, 1, 6)] for number in range(8)}
    score = score_units(Made(), [unit("P1", 0, alike)])
    assert score.interval is not None
    assert score.interval.low <= score.headline <= score.interval.high
    assert score.interval.n_clusters == 8


def test_what_cannot_be_one_row_is_refused() -> None:
    with pytest.raises(InconclusiveError, match="expected finished units of one protocol version, got 0 units"):
        score_units(Made(), [])
    with pytest.raises(InconclusiveError, match="of one protocol version, got 2 units"):
        score_units(Made(), [unit("P1", 0, A), unit("P2", 0, B, protocol_version=2)])
    with pytest.raises(InconclusiveError, match="fold P1: its seeds tested different"):
        fold_counts([unit("P1", 0, A), unit("P1", 1, B)])


def test_n_scored_sums_over_folds_and_is_n_frames_where_it_was_not_counted() -> None:
    units = [unit("P1", 0, A, n_scored=17), unit("P2", 0, B, n_scored=19)]
    score = score_units(Made(), units, interval=False)
    assert (score.n_frames, score.n_scored, score.n_clusters) == (40, 36, 4)
    old = score_units(Made(), [unit("P1", 0, A), unit("P2", 0, B)], interval=False)
    assert old.n_scored == old.n_frames == 40
    assert old.n_published is None and old.marks == ("1 seed",)
