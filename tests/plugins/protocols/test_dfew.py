"""DFEW's protocols: folds from the splits that come with the data, and what the reported tables say."""

import pytest

from auharness import registry
from auharness.errors import DataError, UsageError
from auharness.leaderboard.reported import ReportedRow, read_reported
from auharness.testing import FakeIndex

FIVE, ONE = (registry.load("protocol", name) for name in ("dfew-5fold", "dfew-fold1"))
CLIPS = tuple(f"{number:05}" for number in range(1, 11))


def splits(**changed: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {}
    for number in range(5):
        test = CLIPS[2 * number : 2 * number + 2]
        found[f"fold{number + 1}/test"] = test
        found[f"fold{number + 1}/train"] = tuple(clip for clip in CLIPS if clip not in test)
    return found | {name.replace("_", "/"): clips for name, clips in changed.items()}


def index(**changed: tuple[str, ...]) -> FakeIndex:
    return FakeIndex({"dfew": CLIPS}, {"dfew": CLIPS}, {"dfew": splits(**changed)})


def test_five_folds_test_every_clip_once_and_train_on_the_rest() -> None:
    folds = FIVE().folds(index())
    assert [fold.name for fold in folds] == ["fold1", "fold2", "fold3", "fold4", "fold5"]
    tested = [key for fold in folds for key in sorted(fold.test_ids)]
    assert tested == [("dfew", clip) for clip in CLIPS]
    assert all(fold.train_ids | fold.test_ids == set(tested) for fold in folds)


def test_fold_1_is_the_first_of_the_five() -> None:
    assert list(ONE().folds(index())) == [FIVE().folds(index())[0]]
    alone = {name: clips for name, clips in splits().items() if name.startswith("fold1/")}
    assert len(ONE().folds(FakeIndex({}, splits={"dfew": alone}))) == 1


def test_what_is_wrong_with_the_splits_is_said() -> None:
    with pytest.raises(
        DataError, match="clip 00001 is in the test parts of fold1 and fold3; expected each clip in one"
    ):
        FIVE().folds(index(fold3_test=("00001",)))
    with pytest.raises(UsageError, match=r"fold fold1: \('dfew', '00001'\) is in train and test"):
        ONE().folds(index(fold1_train=CLIPS))
    with pytest.raises(DataError, match=r"no split 'fold1/train' \(splits: none\)"):
        ONE().folds(FakeIndex({"dfew": CLIPS}))


def test_both_protocols_score_the_same_and_one_is_marked() -> None:
    for field in ("score_labels", "metrics", "headline", "aggregation", "cluster", "key", "train_on", "test_on"):
        assert getattr(FIVE, field) == getattr(ONE, field), field
    assert FIVE.score_labels == registry.load("dataset", "dfew").classes
    assert (FIVE.headline, FIVE.marks, ONE.marks) == ("uar", (), ("1 of 5 folds",))


def rows(protocol: object) -> list[ReportedRow]:
    return [row for table in read_reported(protocol) for row in table.rows]  # type: ignore[arg-type]  # a plugin class


def test_every_reported_row_says_how_many_folds_it_is_made_of() -> None:
    assert {row.n_folds for row in rows(ONE)} == {1} and all(row.folds == ("fold1",) for row in rows(ONE))
    single = [row.method for row in rows(FIVE) if row.n_folds == 1]
    assert single == ["Mamba-Style SSM (Ours)"]
    assert {row.n_folds for row in rows(FIVE)} == {1, 5}


def test_table_2_holds_the_printed_numbers() -> None:
    table = read_reported(FIVE)[0]
    printed = {row.method: (row.cells["mean"], row.metrics["war"], row.cost) for row in table.rows}
    assert printed == {
        "R(2+1)D18": (42.79, 53.22, 42.36),
        "3D ResNet18": (44.73, 54.98, 8.32),
        "ResNet18+LSTM": (42.86, 43.08, 7.78),
        "ResNet18+GRU": (51.68, 64.02, 7.78),
        "FormerDFER": (53.69, 65.70, 9.11),
        "R(2+1)D ResNet18 Hybrid": (48.35, 59.28, 47),
        "Mamba-Style SSM (Ours)": (54.28, 66.81, 15.2),
    }
    assert tuple(table.row("FormerDFER").cells.values())[:7] == (84.05, 62.57, 67.52, 70.03, 56.43, 3.45, 31.78)
    assert read_reported(ONE)[0].rows == table.rows[-1:]


def test_each_cost_of_table_2_has_its_conclusion_but_the_one_without_a_source() -> None:
    told = [
        row.method for row in read_reported(FIVE)[0].rows if any(text.startswith("FLOPs: ") for text in row.remarks)
    ]
    assert told == [row.method for row in read_reported(FIVE)[0].rows if "Hybrid" not in row.method]


def test_context_holds_the_later_papers_over_five_folds() -> None:
    context = {row.method: (row.cells["mean"], row.metrics["war"]) for row in read_reported(FIVE)[2].rows}
    assert context["EC-STFL"] == (45.35, 56.51) and context["MAE-DFER"] == (63.41, 74.43)
    assert context["S2D, oversampled"] == (65.45, 74.81) and len(context) == 13
