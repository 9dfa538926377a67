"""The gate from end to end: a repository with committed records and code, and a working tree that changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.gate.policy import SpeedPolicy
from auharness.gate.run import _is_ignored
from auharness.gate.times import SpeedCheck
from auharness.gate.verdict import Verdict
from auharness.results.store import RunFolder

Command = Callable[..., Any]
Write = Callable[..., RunFolder]
WORK = "def work():\n    return sum(i * i for i in range({count}))\n"
POLICY = """
[trees]
imports = ["src"]

[[accuracy.rows]]
protocol = "bp4d-3fold"
model = "my-net"
preset = "tiny"
data_size = "tiny"

[speed]
coarsest = 1000.0

[[speed.commands]]
title = "work"
argv = ["{python}", "-S", "-c", "import code_of_it; code_of_it.work()"]
"""


def _counts(lost: int = 0) -> dict[str, dict[str, list[list[int]]]]:
    """Return three folds of six subjects who differ a little; `lost` hits per subject and AU are missed."""
    return {
        fold: {
            f"{fold}-{number}": [[50 + (5 * number + au) % 7 - lost, 9, 10 + lost, 60 + number] for au in range(12)]
            for number in range(6)
        }
        for fold in ("P1", "P2", "P3")
    }


@pytest.fixture
def project(
    write_record: Write, command: Command, git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A repository whose last commit holds a record, code and a policy, and whose working tree has a run of its own."""
    run = write_record(tmp_path / "runs", _counts())
    monkeypatch.chdir(tmp_path)
    assert command("leaderboard", "add", run.path).code == 0
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code_of_it.py").write_text(WORK.format(count=100_000))
    (tmp_path / "gate.toml").write_text(POLICY)
    (tmp_path / ".gitignore").write_text("runs/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "base")
    return tmp_path


def test_equal_code_and_scores_pass_and_a_slowdown_exits_5(
    project: Path, command: Command, git: Callable[..., str]
) -> None:
    same = command("gate", "--baseline", "HEAD", "--report", "gate.md")
    assert same.code == 0, same.out + same.err
    report = (project / "gate.md").read_text()
    assert report.startswith("# Gate: pass") and report.strip() == same.out.strip()
    assert "round 10 of 10" in same.err

    (project / "src" / "code_of_it.py").write_text(WORK.format(count=500_000))
    slow = command("gate", "--baseline", "HEAD", "--only", "speed", "--json", "--quiet")
    assert slow.code == 5
    assert slow.err == "auharness: error: gate: regression: 1 regression of 1 checks\n"
    (check,) = json.loads(slow.out)["speed"]
    assert [len(check["runs"]), check["runs"][0]["n_base"], check["runs"][0]["n_head"]] == [2, 20, 20]
    assert all(run["ratio"] > 1.5 for run in check["runs"])
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_worse_scores_exit_5_and_the_report_says_by_how_much(
    project: Path, command: Command, write_record: Write
) -> None:
    write_record(project / "runs", _counts(lost=5))
    answer = command("gate", "--baseline", "HEAD", "--only", "accuracy", "--json")
    assert answer.code == 5, answer.out
    (check,) = json.loads(answer.out)["accuracy"]
    assert check["verdict"] == "regression"
    assert check["low"] < check["difference"] < check["high"] < 0 and check["n_clusters"] == 18


def test_a_record_that_is_missing_exits_3_and_a_regression_outweighs_it(
    project: Path, command: Command, write_record: Write
) -> None:
    row = POLICY.split("[speed]")[0].split("[[accuracy.rows]]")[1].replace("my-net", "constant")
    (project / "gate.toml").write_text(f"{POLICY}\n[[accuracy.rows]]{row}")
    answer = command("gate", "--baseline", "HEAD", "--only", "accuracy")
    assert answer.code == 3
    assert "no record of this row" in answer.out
    assert "the policy differs from the baseline's" in answer.out
    write_record(project / "runs", _counts(lost=5))
    assert command("gate", "--baseline", "HEAD", "--only", "accuracy").code == 5


def test_a_benchmark_that_fails_in_the_head_exits_3(project: Path, command: Command) -> None:
    (project / "src" / "code_of_it.py").write_text("def work():\n    raise RuntimeError('broken | here')\n")
    answer = command("gate", "--baseline", "HEAD", "--only", "speed")
    assert answer.code == 3
    assert "RuntimeError: broken &#124; here" in answer.out


def test_other_data_exit_6(project: Path, command: Command, write_record: Write) -> None:
    write_record(project / "runs", _counts(), manifest="bb" * 32)
    answer = command("gate", "--baseline", "HEAD", "--only", "accuracy")
    assert answer.code == 6
    assert "not the same data manifest" in answer.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--policy", "none.toml"), "none.toml: cannot be read"),
        (("--baseline", "no-such-branch"), "no file, folder or commit of that name"),
        (("--head", "other"), "--head other: no file, folder or commit"),
        (("--only", "accuracy"), "--only accuracy: gate.toml has no table [accuracy]"),
    ],
)
def test_mistakes_of_the_caller_exit_2(
    words: tuple[str, ...], message: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.toml").write_text("[speed]\n")
    given = words if "--baseline" in words else ("--baseline", ".", *words)
    answer = command("gate", *given)
    assert answer.code == 2
    assert message in answer.err and len(answer.err.splitlines()) == 1


def test_a_policy_that_measures_nothing_does_not_pass(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.toml").write_text("[speed]\n")
    answer = command("gate", "--baseline", ".")
    assert answer.code == 3
    assert "no [[speed.commands]]" in answer.out + answer.err


def test_a_parametrised_benchmark_can_be_ignored_by_its_name() -> None:
    policy, name = SpeedPolicy(ignore=("bench.py::test_step[a-1]", "*::test_old[*]")), "bench.py::test_step[a-1]"
    checks = [
        SpeedCheck(title, Verdict.REGRESSION, 0.05) for title in (name, "b.py::test_old[2]", "b.py::test_step[a]")
    ]
    assert [_is_ignored(check, policy) for check in checks] == [True, True, False]
