"""The validation part of Aff-Wild2: what is scored, what it is held against, and ways to another number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from auharness import registry
from auharness.data.index import build_index
from auharness.errors import DataError, UsageError
from auharness.leaderboard.audit import audit_table
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.page import make_page
from auharness.leaderboard.published import published_levels
from auharness.leaderboard.reported import ReportedTable, read_reported
from auharness.leaderboard.text import page_text
from auharness.results.schema import UnitRecord
from auharness.scoring import score_units
from auharness.scoring.external import External, ScoredExternal, score_external
from auharness.testing import FakeIndex

PROTOCOL = registry.load("protocol", "affwild2-val")
COLUMNS = list(PROTOCOL().columns)
# of the training part, as told with the published class weights
ALWAYS = (21.1, 9.5, 26.7, 42.0, 56.8, 51.2, 39.4, 5.5, 6.1, 5.0, 77.0, 13.8)
Score = Callable[..., ScoredExternal]


@pytest.fixture(scope="module")
def truth(affwild2_tiny: Path) -> pd.DataFrame:
    """The coded frames of the validation part."""
    index = build_index(registry.load("dataset", "affwild2")(root=affwild2_tiny))
    names = index.split("affwild2", "validation")
    return index.table[index.table["sequence"].isin(names)].reset_index(drop=True)


@pytest.fixture(scope="module")
def guesses(truth: pd.DataFrame) -> pd.DataFrame:
    """Probabilities that are right most of the time."""
    noise = np.random.default_rng(0).normal(0, 0.3, (len(truth), len(COLUMNS)))
    frame = pd.DataFrame(np.clip(0.25 + 0.5 * (truth[COLUMNS] == 1) + noise, 0, 1), columns=COLUMNS)
    frame.insert(0, "sample_id", truth["sample_id"])
    return frame


@pytest.fixture
def score(affwild2_tiny: Path, tmp_path: Path) -> Score:
    """Score a table of predictions under affwild2-val."""

    def run(table: pd.DataFrame, **options: Any) -> ScoredExternal:
        path = tmp_path / "their.csv"
        table.to_csv(path, index=False)
        roots = {"affwild2": str(affwild2_tiny)}
        return score_external(External(path=path, protocol="affwild2-val", data_roots=roots, **options), tmp_path)

    return run


def by_sklearn(truth: pd.DataFrame, guesses: pd.DataFrame, **how: Any) -> list[float]:
    return [
        float(f1_score(truth[name][truth[name] >= 0], guesses[name][truth[name] >= 0] >= 0.5, zero_division=0, **how))
        for name in COLUMNS
    ]


def licensed(made: ScoredExternal) -> list[UnitRecord]:
    units = made.run.finished()
    return [unit.model_copy(update={"data": unit.data.model_copy(update={"origin": "licensed"})}) for unit in units]


def test_the_official_split_is_one_fold_of_videos() -> None:
    splits = {"train": ("a", "b_left", "b_right"), "validation": ("c",), "test": ("d",)}
    (fold,) = PROTOCOL().folds(FakeIndex({}, splits={"affwild2": splits}))
    assert fold.train_ids == {("affwild2", name) for name in splits["train"]}
    assert fold.test_ids == {("affwild2", "c")}
    with pytest.raises(UsageError, match=r"fold validation: \('affwild2', 'c'\) is in train and test"):
        PROTOCOL().folds(FakeIndex({}, splits={"affwild2": splits | {"train": ("a", "c")}}))
    with pytest.raises(DataError, match="no split 'validation'"):
        PROTOCOL().folds(FakeIndex({}, splits={"affwild2": {"train": ("a",)}}))


def test_aus_metrics_and_rules_of_version_1_are_frozen() -> None:
    assert (PROTOCOL.version, PROTOCOL.score_labels) == (1, (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))
    assert (PROTOCOL.headline, PROTOCOL.aggregation, PROTOCOL.cluster, PROTOCOL.key) == (
        "f1",
        "pooled",
        "video",
        "clip",
    )
    dataset = registry.load("dataset", "affwild2")
    assert PROTOCOL.score_labels == dataset.aus
    assert PROTOCOL.n_published == dataset.model_construct(root=Path()).published_splits()["validation"]["rows"]


def test_the_headline_is_f1_of_the_present_class_over_all_frames_of_all_videos(
    truth: pd.DataFrame, guesses: pd.DataFrame, score: Score
) -> None:
    made = score(guesses)
    row = score_units(PROTOCOL(), made.run.finished(), interval=False)
    assert row.by_label == pytest.approx(by_sklearn(truth, guesses))
    assert row.headline == pytest.approx(np.mean(by_sklearn(truth, guesses)))
    videos = [rows.index for _, rows in truth.groupby("sequence")]
    own = [np.mean(by_sklearn(truth.loc[rows], guesses.loc[rows])) for rows in videos]
    assert abs(np.mean(own) - row.headline) > 0.01
    (unit,) = made.run.finished()
    assert {item.name: item.n_rows for item in unit.clusters} == truth.groupby("sequence").size().to_dict()


def test_the_mean_over_present_and_absent_stands_beside_it_and_is_far_higher(
    truth: pd.DataFrame, guesses: pd.DataFrame, score: Score
) -> None:
    row = score_units(PROTOCOL(), score(guesses).run.finished(), interval=False)
    both = np.mean(by_sklearn(truth, guesses, labels=[0, 1], average="macro"))
    assert row.metric == "f1" and row.metrics["macro-f1-binary"] == pytest.approx(both)
    assert row.metrics["macro-f1-binary"] > row.headline + 0.1


def test_an_au_that_is_never_predicted_scores_0_and_stays_in_the_mean(guesses: pd.DataFrame, score: Score) -> None:
    whole = score_units(PROTOCOL(), score(guesses).run.finished(), interval=False)
    row = score_units(PROTOCOL(), score(guesses.assign(AU15=0.1)).run.finished(), interval=False)
    lost = COLUMNS.index("AU15")
    assert whole.by_label[lost] > 0 == row.by_label[lost]
    assert row.headline == pytest.approx(whole.headline - whole.by_label[lost] / 12)
    assert row.degenerate == {"AU15": "never"}


def test_dropped_last_windows_are_seen_in_n_scored(truth: pd.DataFrame, guesses: pd.DataFrame, score: Score) -> None:
    place = truth.groupby("sequence")["frame"].rank(method="first") - 1
    whole = truth.groupby("sequence")["frame"].transform("size") // 16 * 16
    kept = guesses[place < whole]
    with pytest.raises(DataError, match=rf"{len(guesses) - len(kept)} test frames have no prediction"):
        score(kept)
    row = score_units(PROTOCOL(), score(kept, missing="drop").run.finished())
    assert (row.n_scored, row.n_dropped) == (len(kept), len(guesses) - len(kept))
    assert row.tested == f"2 videos, n_scored {len(kept)}"


def test_a_licensed_row_that_scores_another_number_than_published_is_marked(
    guesses: pd.DataFrame, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = score(guesses)
    assert score_units(PROTOCOL(), made.run.finished(), interval=False).marks == ("1 seed",)
    row = score_units(PROTOCOL(), licensed(made), interval=False)
    assert row.marks == (f"n_scored {len(guesses)} of 445,845", "1 seed")
    monkeypatch.setattr(PROTOCOL, "n_published", len(guesses))
    assert score_units(PROTOCOL(), licensed(made), interval=False).marks == ("1 seed",)


def test_the_page_says_what_is_scored_and_draws_videos(guesses: pd.DataFrame, score: Score, tmp_path: Path) -> None:
    score(guesses)
    text = page_text(make_page(tmp_path, "affwild2-val", memory=Memory()))
    made = next(line for line in text.splitlines() if "n_scored" in line and line.startswith("|"))
    row = text.splitlines()[text.splitlines().index(made) + 2]
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (made, row)), strict=True))
    assert cells["n_scored"] == str(len(guesses))
    assert "bootstrap of the headline over videos" in text and "bootstrap of the headline over subjects" not in text
    assert "F1-max (test-oracle)" in text and "of 445,845 published" in text


def test_always_saying_present_scores_29_5_at_the_published_rates() -> None:
    level = published_levels(PROTOCOL)["constant-1"]
    assert round(level.mean, 1) == 29.5
    # rates are published with one decimal
    assert [level.by_label[name] for name in COLUMNS] == pytest.approx(ALWAYS, abs=0.1)


def test_floors_say_that_the_rates_are_those_of_the_training_part(tmp_path: Path) -> None:
    text = page_text(make_page(tmp_path, "affwild2-val", memory=Memory()))
    assert "Floors from the published rates of the training part, as those of the scored part are not: " in text
    assert "constant-1 29.51" in text


def table(name: str) -> ReportedTable:
    return next(found for found in read_reported(PROTOCOL) if found.table == name)


def test_table_1_holds_the_printed_numbers_and_names_our_presets() -> None:
    rows = table("Table 1").rows
    assert [row.cells["mean"] for row in rows] == [36.5, 52.41, 55.18, 57.82, 59.45]
    plugin = registry.load("model", "hga-agssm")
    assert {row.model for row in rows} == {plugin.name}
    assert tuple(row.variant for row in rows) == tuple(plugin.variants)


def test_the_steps_of_table_1_hold_and_its_baseline_is_no_strong_one() -> None:
    steps = audit_table(table("Table 1"), published_levels(PROTOCOL))
    assert [finding.verdict for finding in steps] == ["holds"] * 4
    assert [text for finding in steps for text in ("+15.91", "+2.77", "+2.64", "+1.63") if text in finding.text] == [
        *("+15.91", "+2.77", "+2.64", "+1.63")
    ]
    context = audit_table(table("The official validation part in other work"))
    (wrong,) = [finding for finding in context if finding.verdict == "contradicted"]
    assert wrong.text.endswith("39.00 to 36.50, -2.50 points")


def test_rows_of_other_parts_thresholds_and_averages_say_so() -> None:
    own = table("The official validation part in other work")
    tuned = [row for row in own.rows if "tuned" in row.method]
    assert len(tuned) == 2 and all("tuned on this part" in row.note for row in tuned)
    other = table("Other parts: not this protocol")
    assert [row.note.split(",")[0] for row in other.rows] == ["test part", "test part", "six folds of its own"]
    (macro,) = [row for row in own.rows if "mean" not in row.cells]
    assert macro.metrics == {"macro-f1-binary": 73.1}


def test_scores_of_single_aus_give_the_printed_mean() -> None:
    row = table("Single AUs of a perceptron with tuned thresholds").rows[0]
    assert round(float(np.mean([row.cells[name] for name in COLUMNS])), 1) == row.cells["mean"]
