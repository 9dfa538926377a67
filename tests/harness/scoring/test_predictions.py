from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from auharness.api import ProtocolPlugin
from auharness.scoring import cluster_counts, count_scored, unit_metrics

COLUMNS = ("AU1", "AU2", "AU4")


class Frames(ProtocolPlugin):
    name = "frames"
    train_on = test_on = ("made",)
    score_labels: ClassVar[tuple[int, ...] | tuple[str, ...]] = (1, 2, 4)
    metrics: ClassVar[tuple[str, ...]] = ("f1", "accuracy", "auroc", "average-precision")

    def folds(self, index: object) -> list[object]:  # type: ignore[override]  # not asked for here
        return []


class Clips(Frames):
    name = "clips"
    score_labels = ("Happy", "Sad", "Calm")
    metrics = ("uar", "war", "macro-f1")


def frame_of(target: NDArray[np.int8], scores: NDArray[np.float64], columns: tuple[str, ...] = COLUMNS) -> pd.DataFrame:
    rows = np.arange(len(target))
    frame = pd.DataFrame(scores, columns=list(columns))
    frame["sample_id"] = [f"made/S{row % 3}/T{row % 2}/{row}" for row in rows]
    frame["subject"] = [f"S{row % 3}" for row in rows]
    for place, name in enumerate(columns):
        frame[f"{name}.target"] = target[:, place]
    return frame


@pytest.fixture
def labels() -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    chance = np.random.default_rng(4)
    return chance.integers(-1, 2, (60, 3)).astype(np.int8), chance.normal(size=(60, 3)).round(1)


def test_counts_of_each_subject_are_those_of_its_coded_rows(
    labels: tuple[NDArray[np.int8], NDArray[np.float64]],
) -> None:
    target, scores = labels
    thresholds = (0.0, 0.3, -0.2)
    found = cluster_counts(frame_of(target, scores), COLUMNS, thresholds=thresholds, multiclass=False)
    assert [(item.name, item.n_rows) for item in found] == [("S0", 20), ("S1", 20), ("S2", 20)]
    for number, item in enumerate(found):
        for place, (tp, fp, fn, tn) in enumerate(item.counts):
            coded = target[number::3, place] >= 0
            true, said = target[number::3, place][coded], (scores[number::3, place] >= thresholds[place])[coded]
            matrix = confusion_matrix(true, said, labels=[0, 1])
            assert [[tn, fp], [fn, tp]] == matrix.tolist()


def test_a_score_equal_to_the_threshold_says_present() -> None:
    frame = frame_of(np.ones((1, 3), np.int8), np.array([[0.5, 0.4999, 0.5001]]))
    (item,) = cluster_counts(frame, COLUMNS, thresholds=(0.5,) * 3, multiclass=False)
    assert item.counts == ((1, 0, 0, 0), (0, 0, 1, 0), (1, 0, 0, 0))


def test_videos_are_the_clusters_where_the_protocol_says_so(
    labels: tuple[NDArray[np.int8], NDArray[np.float64]],
) -> None:
    frame = frame_of(*labels)
    found = cluster_counts(frame, COLUMNS, thresholds=(0.0,) * 3, multiclass=False, cluster="video")
    assert [item.name for item in found] == [f"S{subject}/T{task}" for subject in range(3) for task in range(2)]
    clip_ids = frame.assign(sample_id=[f"made/c{row % 4}" for row in range(60)])
    found = cluster_counts(clip_ids, COLUMNS, thresholds=(0.0,) * 3, multiclass=False, cluster="clip")
    assert [item.name for item in found] == [f"made/c{clip}" for clip in range(4)]


def test_metrics_of_a_unit_agree_with_sklearn(labels: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    target, scores = labels
    frame = frame_of(target, scores)
    clusters = cluster_counts(frame, COLUMNS, thresholds=(0.0,) * 3, multiclass=False)
    found = unit_metrics(Frames(), frame, COLUMNS, clusters=clusters, multiclass=False)
    for place, name in enumerate(COLUMNS):
        coded = target[:, place] >= 0
        true, score = target[coded, place], scores[coded, place]
        assert found["f1"][name] == pytest.approx(f1_score(true, score >= 0))
        assert found["accuracy"][name] == pytest.approx(accuracy_score(true, score >= 0))
        assert found["auroc"][name] == pytest.approx(roc_auc_score(true, score))
        assert found["average-precision"][name] == pytest.approx(average_precision_score(true, score))
    mean = found["f1"].pop("mean")
    assert mean == pytest.approx(np.mean([value for value in found["f1"].values() if value is not None]))


def test_an_undefined_score_is_none_and_leaves_the_mean_of_the_others() -> None:
    target = np.array([[1, 0, -1], [0, 0, -1]], np.int8)
    frame = frame_of(target, np.array([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]))
    clusters = cluster_counts(frame, COLUMNS, thresholds=(0.0,) * 3, multiclass=False)
    found = unit_metrics(Frames(), frame, COLUMNS, clusters=clusters, multiclass=False)
    assert found["f1"] == {"AU1": 1.0, "AU2": None, "AU4": None, "mean": 1.0}
    assert found["auroc"] == {"AU1": 1.0, "AU2": None, "AU4": None, "mean": 1.0}


def test_classes_are_counted_as_a_confusion_matrix() -> None:
    chance = np.random.default_rng(1)
    true, scores = chance.integers(0, 3, 60), chance.normal(size=(60, 3))
    classes = ("Happy", "Sad", "Calm")
    frame = frame_of(np.eye(3, dtype=np.int8)[true], scores, classes)
    clusters = cluster_counts(frame, classes, thresholds=(), multiclass=True)
    total = np.sum([item.counts for item in clusters], axis=0)
    said = scores.argmax(axis=1)
    assert total.tolist() == confusion_matrix(true, said).tolist()
    found = unit_metrics(Clips(), frame, classes, clusters=clusters, multiclass=True)
    assert found["uar"]["mean"] == pytest.approx(recall_score(true, said, average="macro"))
    assert found["war"]["all"] == pytest.approx(accuracy_score(true, said))
    assert found["macro-f1"]["mean"] == pytest.approx(f1_score(true, said, average="macro"))


def test_a_row_is_scored_if_any_of_its_labels_is_coded() -> None:
    target = np.array([[1, 0, 1], [-1, -1, 0], [-1, -1, -1]], np.int8)
    frame = frame_of(target, np.zeros((3, 3)))
    assert count_scored(frame, COLUMNS) == 2
    assert count_scored(frame, COLUMNS[:2]) == 1
