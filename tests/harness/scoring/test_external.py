import shutil
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
from auharness.results.schema import UnitRecord
from auharness.scoring import score_units
from auharness.scoring.external import External, ScoredExternal, score_external
from auharness.scoring.rescore import rescore
from auharness_plugins.datasets.samm import SAMM

BP4D = registry.load("protocol", "bp4d-3fold")()
COLUMNS = list(BP4D.columns)
Score = Callable[..., ScoredExternal]


@pytest.fixture
def truth(bp4d_mini: Path) -> pd.DataFrame:
    """All coded frames with their labels."""
    table: pd.DataFrame = build_index(registry.load("dataset", "bp4d")(root=bp4d_mini)).table
    return table


@pytest.fixture
def guesses(truth: pd.DataFrame) -> pd.DataFrame:
    """Probabilities that are right most of the time."""
    noise = np.random.default_rng(0).normal(0, 0.4, (len(truth), len(COLUMNS)))
    scores = np.clip(truth[COLUMNS].to_numpy() * 0.6 + 0.2 + noise, 0, 1)
    frame = pd.DataFrame(scores, columns=COLUMNS)
    frame.insert(0, "sample_id", truth["sample_id"].to_numpy())
    return frame


@pytest.fixture
def score(bp4d_mini: Path, tmp_path: Path) -> Score:
    """Write a table to `their.csv` and score it under bp4d-3fold."""

    def run(table: pd.DataFrame, **options: Any) -> ScoredExternal:
        path = tmp_path / "their.csv"
        table.to_csv(path, index=False)
        asked = External(path=path, protocol="bp4d-3fold", data_roots={"bp4d": str(bp4d_mini)}, **options)
        return score_external(asked, tmp_path / "runs")

    return run


def by_hand(truth: pd.DataFrame, guesses: pd.DataFrame) -> float:
    """Mean over folds of the mean over AUs of sklearn's F1."""
    merged = guesses.merge(truth, on="sample_id", suffixes=(".score", ""))
    folds = {"P1": ("F001", "F002"), "P2": ("F003", "F005"), "P3": ("F004", "F006")}
    means = []
    for subjects in folds.values():
        rows = merged[merged["subject"].isin(subjects)]
        present = rows[[f"{name}.score" for name in COLUMNS]].to_numpy() >= 0.5
        target = rows[COLUMNS].to_numpy(int)
        values = f1_score(target, present, average=None, zero_division=0)
        means.append(np.mean(values[(target.sum(axis=0) + present.sum(axis=0)) > 0]))
    return float(np.mean(means))


def test_the_score_is_sklearns(truth: pd.DataFrame, guesses: pd.DataFrame, score: Score) -> None:
    made = score(guesses)
    units = made.run.finished()
    assert [unit.fold for unit in units] == ["P1", "P2", "P3"]
    row = score_units(BP4D, units)
    assert row.headline == pytest.approx(by_hand(truth, guesses))
    assert row.n_frames == len(truth) == 36
    assert 0 < row.floors["constant-1"] < row.headline
    assert row.interval is not None


def test_the_run_is_named_after_the_file_marked_and_rescored(guesses: pd.DataFrame, score: Score) -> None:
    made = score(guesses, pretrained_on="VGGFace2")
    assert made.run.record.model == "their"
    assert made.run.record.preset == "external"
    unit = made.run.finished()[0]
    assert (unit.pretrained_on, unit.origin) == ("VGGFace2", "measured")
    assert unit.extra_data.startswith("external predictions")
    assert all(item.differences == () for item in rescore(BP4D, made.run))


def test_the_same_file_gives_the_same_folder_and_another_file_another(guesses: pd.DataFrame, score: Score) -> None:
    first, again = score(guesses).run.path, score(guesses).run.path
    assert first == again
    assert score(guesses.assign(AU12=0.5)).run.path != first


def test_the_order_of_rows_and_columns_changes_nothing(guesses: pd.DataFrame, score: Score) -> None:
    one = score(guesses).run.finished()
    shuffled = guesses.sample(frac=1, random_state=0)[["AU24", *COLUMNS[:-1], "sample_id"]]
    other = score(shuffled).run.finished()
    assert [unit.clusters for unit in one] == [unit.clusters for unit in other]


def test_frames_may_be_named_by_subject_sequence_and_frame(
    truth: pd.DataFrame, guesses: pd.DataFrame, score: Score
) -> None:
    plain = score(guesses).run.finished()
    named = guesses.drop(columns="sample_id")
    named.insert(0, "frame", truth["frame"].map("{:05d}".format))
    named.insert(0, "sequence", truth["sequence"].str.split("/").str[1])
    named.insert(0, "subject", truth["subject"])
    assert [unit.clusters for unit in score(named).run.finished()] == [unit.clusters for unit in plain]


def test_missing_frames_stop_or_are_counted(guesses: pd.DataFrame, score: Score) -> None:
    with pytest.raises(DataError, match=r"5 test frames have no prediction, such as bp4d/F001/T7/.*--missing drop"):
        score(guesses.iloc[5:])
    made = score(guesses.iloc[5:], missing="drop")
    assert made.n_missing == 5
    row = score_units(BP4D, made.run.finished())
    assert (row.n_frames, row.n_dropped) == (31, 5)


def test_frames_without_a_label_are_not_scored_but_counted(guesses: pd.DataFrame, score: Score) -> None:
    extra = guesses.iloc[:2].assign(sample_id=["bp4d/F001/T7/99998", "bp4d/F001/T7/99999"])
    made = score(pd.concat([guesses, extra]))
    assert made.n_uncoded == 2
    assert sum(unit.n_frames for unit in made.run.finished()) == 36


def test_one_fold_is_an_incomplete_run(truth: pd.DataFrame, guesses: pd.DataFrame, score: Score) -> None:
    made = score(guesses[truth["subject"].isin(["F001", "F002"])])
    assert ([unit.fold for unit in made.run.finished()], made.run.record.folds_total) == (["P1"], 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"AU12": "au_12"}), "unknown column 'au_12'; did you mean 'AU12'"),
        (lambda t: t.drop(columns="AU24"), "column AU24 is missing"),
        (lambda t: t.drop(columns="sample_id"), "expected a column sample_id, or sequence and frame"),
        (lambda t: t.assign(AU1=t["AU1"].where(t.index != 3, 1.5)), "line 5: AU1 is '1.5', expected a probability"),
        (lambda t: t.assign(AU1=t["AU1"].where(t.index != 0)), "line 2: AU1 is '', expected"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "line 38: sample bp4d/F001/T7/"),
        (lambda t: t.assign(sample_id=t["sample_id"].str.replace("F001/T7", "F999/T1")), "and 1 more: no sample"),
        (lambda t: t.assign(fold="P9"), "unknown fold 'P9'"),
        (lambda t: t.iloc[:0], "got no row"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    change: Callable[[pd.DataFrame], pd.DataFrame], message: str, guesses: pd.DataFrame, score: Score
) -> None:
    with pytest.raises(DataError) as caught:
        score(change(guesses))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_table_are_refused(bp4d_mini: Path, tmp_path: Path) -> None:
    roots = {"bp4d": str(bp4d_mini)}
    path = tmp_path / "x.csv"
    with pytest.raises(DataError, match="no such file"):
        score_external(External(path=path, protocol="bp4d-3fold", data_roots=roots), tmp_path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="expected a csv file in UTF-8"):
        score_external(External(path=path, protocol="bp4d-3fold", data_roots=roots), tmp_path)


def test_a_byte_order_mark_and_windows_lines_are_read(guesses: pd.DataFrame, bp4d_mini: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + guesses.to_csv(index=False).replace("\n", "\r\n").encode())
    asked = External(path=path, protocol="bp4d-3fold", data_roots={"bp4d": str(bp4d_mini)})
    assert len(score_external(asked, tmp_path).run.finished()) == 3


@pytest.mark.parametrize("name", ["au-ttt", "My Net", "../x", ""])
def test_a_name_is_plain_and_of_no_plugin(name: str, guesses: pd.DataFrame, score: Score) -> None:
    if name:
        with pytest.raises(UsageError, match="--name"):
            score(guesses, name=name)
    else:
        assert score(guesses, name=name).run.record.model == "their"


def test_settings_of_a_dataset_are_those_of_a_run(samm_tiny: Path, tmp_path: Path) -> None:
    root = tmp_path / "samm"
    shutil.copytree(samm_tiny, root)
    (root / "Cropped").rename(root / "SAMM")
    reader = SAMM(root=root, images="raw")
    table = build_index(reader).table[["sample_id", "AU2", "AU4", "AU7", "AU12"]]
    table.to_csv(tmp_path / "theirs.csv", index=False)

    def scored(**options: Any) -> UnitRecord:
        asked = External(tmp_path / "theirs.csv", "samm-loso", data_roots={"samm": str(root)}, **options)
        return score_external(asked, tmp_path / "runs").run.finished()[0]

    with pytest.raises(DataError, match="samm: no Cropped folder"):
        scored()
    images = {"samm": {"images": "raw"}}
    by_flag, by_file = scored(settings={"data": images}), scored(config={"data": images})
    assert by_flag.data == by_file.data and by_flag.data.manifests == {"samm": build_index(reader).manifest}
    with pytest.raises(UsageError, match=r"--set data\.sam: samm-loso reads samm; did you mean 'samm'"):
        scored(settings={"data": {"sam": {}}})
    with pytest.raises(UsageError, match=r"--set recipe: predictions have no model; expected data\.NAME.KEY=VALUE"):
        scored(settings={"recipe": {"epochs": 3}})


def test_where_folds_test_the_same_frames_the_file_names_the_fold(
    bp4d_mini: Path, disfa_mini: Path, tmp_path: Path
) -> None:
    roots = {"bp4d": str(bp4d_mini), "disfa": str(disfa_mini)}
    target = build_index(registry.load("dataset", "disfa")(root=disfa_mini)).table
    table = target[["sample_id", "AU1", "AU2", "AU4", "AU6", "AU12"]].astype({"AU1": float})
    path = tmp_path / "cross.csv"
    table.to_csv(path, index=False)
    asked = External(path=path, protocol="bp4d-to-disfa", data_roots=roots)
    with pytest.raises(DataError, match=r"expected a column fold.*P1\+P2, P1\+P3, P2\+P3"):
        score_external(asked, tmp_path)
    pairs = ("P1+P2", "P1+P3", "P2+P3")
    pd.concat([table.assign(fold=pair) for pair in pairs]).to_csv(path, index=False)
    made = score_external(asked, tmp_path)
    row = score_units(registry.load("protocol", "bp4d-to-disfa")(), made.run.finished())
    assert row.folds == pairs
    assert (row.headline, row.n_frames) == (1.0, len(target))
