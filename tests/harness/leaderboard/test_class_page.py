"""The page of a protocol over classes: UAR with WAR, both averages, recalls, confusion matrices, marks and caveats."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from auharness.leaderboard import memory as memory_module
from auharness.leaderboard import write_page
from auharness.leaderboard.comparison import compare_runs
from auharness.results.store import RunFolder
from auharness.statistics import headline_interval, swap_test

MakeRun = Callable[..., RunFolder]
# MAE-DFER on the test part of DFEW's fold 1, counts as released with its code
MAE_DFER = np.array(
    [
        [454, 7, 10, 14, 2, 1, 1],
        [5, 292, 49, 15, 11, 1, 6],
        [19, 30, 403, 38, 33, 5, 6],
        [9, 9, 49, 336, 22, 3, 7],
        [4, 11, 58, 9, 194, 0, 18],
        [0, 0, 16, 4, 3, 3, 3],
        [1, 20, 23, 17, 48, 1, 71],
    ]
)
GOLDEN = """\
<details><summary>Confusion matrix of mae-dfer, paper: 1 fold, 2341 clips</summary>

| true     |      Happy |        Sad |    Neutral |      Angry |   Surprise |   Disgust |      Fear |   clips |
|:---------|-----------:|-----------:|-----------:|-----------:|-----------:|----------:|----------:|--------:|
| Happy    | 454 (92.8) |    7 (1.4) |   10 (2.0) |   14 (2.9) |    2 (0.4) |   1 (0.2) |   1 (0.2) |     489 |
| Sad      |    5 (1.3) | 292 (77.0) |  49 (12.9) |   15 (4.0) |   11 (2.9) |   1 (0.3) |   6 (1.6) |     379 |
| Neutral  |   19 (3.6) |   30 (5.6) | 403 (75.5) |   38 (7.1) |   33 (6.2) |   5 (0.9) |   6 (1.1) |     534 |
| Angry    |    9 (2.1) |    9 (2.1) |  49 (11.3) | 336 (77.2) |   22 (5.1) |   3 (0.7) |   7 (1.6) |     435 |
| Surprise |    4 (1.4) |   11 (3.7) |  58 (19.7) |    9 (3.1) | 194 (66.0) |   0 (0.0) |  18 (6.1) |     294 |
| Disgust  |    0 (0.0) |    0 (0.0) |  16 (55.2) |   4 (13.8) |   3 (10.3) |  3 (10.3) |  3 (10.3) |      29 |
| Fear     |    1 (0.6) |  20 (11.0) |  23 (12.7) |   17 (9.4) |  48 (26.5) |   1 (0.6) | 71 (39.2) |     181 |

</details>
"""


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    interval, test = headline_interval, swap_test
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=300))
        patch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=300))
        yield


def worse(share: float, seed: int, by: int = 8) -> np.ndarray:
    """A smaller matrix, in which a share of each class moved to the next one."""
    matrix = MAE_DFER // by
    moved = np.random.default_rng(seed).binomial(matrix.diagonal(), share)
    found = matrix - np.diag(moved)
    found[np.arange(7), (np.arange(7) + 1) % 7] += moved
    return found


def five(share: float, seeds: int = 1) -> dict[str, list[np.ndarray]]:
    return {f"fold{fold + 1}": [worse(share, 10 * fold + seed) for seed in range(seeds)] for fold in range(5)}


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def fold1(class_run: MakeRun, tmp_path_factory: pytest.TempPathFactory, few_draws: None) -> str:
    root = tmp_path_factory.mktemp("fold1")
    class_run(root, {"fold1": [MAE_DFER]}, protocol="dfew-fold1", model="mae-dfer", folds_total=1)
    return write_page(root, "dfew-fold1").read_text()


@pytest.fixture(scope="module")
def page(class_run: MakeRun, tmp_path_factory: pytest.TempPathFactory, few_draws: None) -> Path:
    root = tmp_path_factory.mktemp("folds")
    class_run(root, five(0.1), model="good-net")
    class_run(root, five(0.5, seeds=2), model="bad-net")
    class_run(root, five(0.0), model="oracle-net", selection="test-oracle")
    return write_page(root, "dfew-5fold")


@pytest.fixture(scope="module")
def folds(page: Path) -> str:
    return page.read_text()


def test_the_published_confusion_matrix_stands_on_the_page_as_it_is(fold1: str) -> None:
    assert GOLDEN in fold1


def test_uar_stands_first_with_war_beside_it_and_the_mark_of_one_fold(fold1: str) -> None:
    head, row = cells(fold1, "|   rank |"), cells(fold1, "|      1 |")
    found = dict(zip(head, row, strict=True))
    assert found["UAR"] == "**62.59** (1 of 5 folds) (1 seed)"
    assert (found["WAR"], found["macro-F1"], found["weighted-F1"]) == ("74.88", "63.57", "74.41")
    assert found["selection"] == "last"
    floor = dict(zip(head, cells(fold1, "|  floor |"), strict=True))
    assert (floor["model"], floor["UAR"], floor["WAR"]) == ("*majority*", "14.29", "22.81")


def test_recalls_stand_in_the_order_of_the_classes(fold1: str) -> None:
    part = fold1[fold1.index("Recall of each class:") :]
    printed = ["92.84", "77.04", "75.47", "77.24", "65.99", "10.34", "39.23"]
    assert cells(part, "| mae-dfer")[2:] == printed


def test_a_page_says_that_films_are_unknown_and_nothing_about_subjects(fold1: str) -> None:
    assert "Source clusters (films) are unknown, so the interval is too narrow." in fold1
    assert "percentile bootstrap over clips within fold and true class" in fold1
    measured = fold1[fold1.index("## Measured") : fold1.index("## Reported")]
    assert "subject" not in measured and "threshold" not in measured and "pooled" not in measured
    assert "**Threshold**" not in fold1 and "constant-0" not in fold1


def test_both_averages_of_every_metric_stand_side_by_side(folds: str) -> None:
    head = cells(folds, "| model    | preset   |   UAR mean-of-folds")
    names = [
        f"{name} {how}" for name in ("UAR", "WAR", "macro-F1", "weighted-F1") for how in ("mean-of-folds", "pooled")
    ]
    assert head[2:] == names
    part = folds[folds.index("UAR mean-of-folds") :]
    found = dict(zip(head, cells(part, "| good-net"), strict=True))
    total = np.sum([matrices[0] for matrices in five(0.1).values()], axis=0)
    shares = [matrices[0].diagonal() / matrices[0].sum(axis=1) for matrices in five(0.1).values()]
    assert found["UAR pooled"] == f"{100 * (total.diagonal() / total.sum(axis=1)).mean():.2f}"
    assert found["UAR mean-of-folds"] == f"{100 * np.mean(shares):.2f}"
    assert found["WAR pooled"] == f"{100 * total.trace() / total.sum():.2f}"


def test_rows_are_ranked_over_clips_and_a_choice_on_the_test_part_never(folds: str) -> None:
    ranks = {cells(line, "|")[1]: cells(line, "|")[0] for line in folds.splitlines() if line.startswith("|      ")}
    assert (ranks["good-net"], ranks["bad-net"]) == ("1", "2")
    left = folds[folds.index("#### Incomplete, not ranked") : folds.index("## Reported")]
    assert "oracle-net" in left and "test-oracle" in left


def test_matrices_of_several_folds_and_seeds_are_summed_and_say_so(folds: str) -> None:
    clips = int(5 * (MAE_DFER // 8).sum())
    assert f"Confusion matrix of good-net, paper: 5 folds pooled, {clips} clips</summary>" in folds
    assert f"Confusion matrix of bad-net, paper: 5 folds pooled, {clips} clips, summed over 2 seeds</summary>" in folds


def test_the_json_holds_recalls_matrices_and_reported_folds(page: Path) -> None:
    found = json.loads(page.with_suffix(".json").read_text())
    good = next(row for row in found["rows"] if row["model"] == "good-net")
    assert good["confusion"]["fold2"]["Happy"] == five(0.1)["fold2"][0][0].tolist()
    assert list(good["labels_of_metrics"]["recall"]) == found["columns"]
    assert set(good["metrics_pooled"]) == {"uar", "war", "macro-f1", "weighted-f1"}
    assert "films) are unknown" in good["interval_method"]
    own = next(row for row in found["rows"] if row["model"] == "Mamba-Style SSM (Ours)")
    assert (own["n_folds"], own["folds"], own["metrics"], own["FLOPs (G)"]) == (1, ["fold1"], {"war": 0.6681}, 15.2)
    assert [finding["kind"] for finding in found["audit"]].count("recall") == 18
    with page.with_suffix(".csv").open(newline="") as file:
        flat = next(row for row in csv.DictReader(file) if row["model"] == "good-net")
    assert flat["confusion.fold2.Happy"] == " ".join(map(str, five(0.1)["fold2"][0][0]))


def test_the_reported_table_shows_folds_costs_and_selection(folds: str) -> None:
    part = folds[folds.index("### Table 2") :]
    own = dict(zip(cells(part, "| method"), cells(part, "| Mamba-Style SSM (Ours)"), strict=True))
    assert (own["UAR"], own["WAR"], own["folds"], own["FLOPs (G)"]) == ("54.28", "66.81", "1 (fold1)", "15.2")
    assert own["selection"] == "test part, early stop on UAR"
    assert "majority 14.29 UAR, 22.82 WAR" in folds
    assert "the network of torchvision has 40.64 G" in part and "0 of 0 checks" not in folds


def test_two_runs_are_compared_over_the_clips_that_they_share(class_run: MakeRun, tmp_path: Path) -> None:
    runs = [class_run(tmp_path, five(share), model=name) for name, share in (("good-net", 0.1), ("bad-net", 0.5))]
    (found,) = compare_runs(runs)
    assert (found.unit, found.metric, found.result.n_clusters) == ("clips", "uar", int(5 * (MAE_DFER // 8).sum()))
    assert found.result.p_value < 0.01 and found.result.interval is not None
    assert found.result.interval.low < found.result.difference < found.result.interval.high < 0
