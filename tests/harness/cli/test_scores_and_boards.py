import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from auharness import registry
from auharness.data.index import build_index
from auharness.runner import RunResult

Run = Callable[..., RunResult]
Command = Callable[..., Any]


def test_score_of_a_run_says_that_the_record_follows(run_mini: Run, command: Command, tmp_path: Path) -> None:
    result = run_mini()
    answer = command("score", result.path.name[:6], "--runs", tmp_path / "runs")
    assert answer.code == 0
    assert "3 units: every count and metric of the record follows from its predictions" in answer.err
    assert f"{100 * result.score.headline:.2f}" in answer.out
    assert "never a headline" in next(line for line in answer.out.splitlines() if line.startswith("test-oracle"))


def test_score_of_a_changed_run_exits_7(run_mini: Run, command: Command, tmp_path: Path) -> None:
    result = run_mini(folds=("P1",))
    path = next(result.path.glob("units/*/predictions.parquet"))
    frame = pd.read_parquet(path)
    frame.assign(AU1=-frame["AU1"]).to_parquet(path, index=False)
    answer = command("score", result.path)
    assert answer.code == 7
    assert "fold P1, seed 0: counts of" in answer.err


def test_score_of_a_csv_makes_a_row_on_the_board(bp4d_mini: Path, command: Command, tmp_path: Path) -> None:
    table = build_index(registry.load("dataset", "bp4d")(root=bp4d_mini)).table
    columns = list(registry.load("protocol", "bp4d-3fold")().columns)
    table[["sample_id", *columns]].to_csv(tmp_path / "perfect.csv", index=False)
    given = ("--protocol", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}", "--runs", tmp_path / "runs")
    answer = command("score", "--predictions", tmp_path / "perfect.csv", *given, "--name", "my-net")
    assert answer.code == 0, answer.err
    assert "floor constant-1" in answer.out
    page = (tmp_path / "runs" / "leaderboard" / "bp4d-3fold.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith("|") and "my-net" in line)
    assert [cell.strip() for cell in line.split("|")[1:4]] == ["1", "my-net", "external"]
    again = json.loads(command("score", "--predictions", tmp_path / "perfect.csv", *given, "--json").out)
    assert again["by_label"] == [1.0 if value is not None else None for value in again["by_label"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a RUN, or --predictions"),
        (("x", "--predictions", "y.csv"), "give a RUN, or --predictions"),
        (("--predictions", "y.csv"), "needs --protocol NAME"),
        (("--predictions", "y.csv", "--protocol", "bp4d-3fol"), "did you mean 'bp4d-3fold'"),
        (("no-such-run",), "no run of that name"),
    ],
)
def test_score_refuses_what_it_cannot_do(words: tuple[str, ...], message: str, command: Command) -> None:
    answer = command("score", *words)
    assert answer.code == 2
    assert message in answer.err


def test_compare_prints_the_difference_and_exits_6_on_other_ground(
    run_mini: Run, command: Command, tmp_path: Path
) -> None:
    one, two = run_mini(), run_mini(model="constant", settings={})
    answer = command("compare", "small-cnn", "constant", "--runs", tmp_path / "runs")
    assert answer.code == 0, answer.err
    difference = 100 * (two.score.headline - one.score.headline)
    assert f"{difference:+.2f}" in answer.out
    found = json.loads(command("compare", one.path, two.path, "--json").out)
    assert (found[0]["n_clusters"], found[0]["same_frames"]) == (6, True)
    other = run_mini(folds=("P1",), model="constant", settings={"value": "zero"})
    assert command("compare", one.path, other.path).code == 6


def test_a_run_goes_to_the_committed_boards(run_mini: Run, command: Command, tmp_path: Path) -> None:
    run_mini(model="constant", settings={})
    boards = ("--dir", tmp_path / "boards")
    answer = command("leaderboard", "add", "constant", "--runs", tmp_path / "runs", *boards)
    assert answer.code == 2  # a folder or the beginning of an id is wanted
    folder = next((tmp_path / "runs" / "bp4d-3fold" / "constant").iterdir())
    assert command("leaderboard", "add", folder, *boards).code == 0
    assert command("leaderboard", "check", *boards).code == 7
    assert command("leaderboard", "build", *boards).code == 0
    assert command("leaderboard", "check", *boards).code == 0
    assert "constant" in (tmp_path / "boards" / "bp4d-3fold.md").read_text()
    assert not list((tmp_path / "boards").rglob("*.parquet"))


def test_the_committed_boards_are_fresh() -> None:
    boards = Path(__file__).parents[3] / "leaderboards"
    found = subprocess.run(
        [sys.executable, "-m", "auharness", "leaderboard", "check", "--dir", str(boards)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


def test_boards_of_printed_numbers_alone_are_checked_without_torch(tmp_path: Path) -> None:
    # runs are read with the plugin of their model, printed numbers are not; here every page is missing
    code = (
        "import sys; from contextlib import suppress; from pathlib import Path; from auharness.errors import *; "
        "from auharness.leaderboard import check_boards\n"
        f"with suppress(IntegrityError): check_boards(Path({str(tmp_path)!r})); raise SystemExit('nothing to check')\n"
        "assert 'torch' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
