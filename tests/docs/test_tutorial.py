"""The tutorial is executed: its files are written, its package is installed, and its commands run in order."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auharness.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL))
BLOCKS = re.findall(r"(?:<!-- fails: (\d) -->\n)?```console\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    (line.removeprefix("$ "), int(code or 0))
    for code, block in BLOCKS
    for line in block.splitlines()
    if line[:1] == "$"
]
OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which the tutorial's files lie, with a folder to install into on the path."""
    before = set(sys.modules)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


def execute(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run one command of the tutorial and return its exit code; pip installs into `site`, without a network."""
    program, *arguments = shlex.split(command)
    if program == "auharness":
        return main(arguments)
    if program == "pip":
        code = subprocess.run([sys.executable, "-m", "pip", *arguments, *OFFLINE, "--target", "site"]).returncode
        monkeypatch.syspath_prepend("site")  # only now: a path that is not there is remembered as empty
        return code
    assert program == "python"
    return subprocess.run([sys.executable, *arguments]).returncode


def test_the_tutorial_runs_and_its_model_stands_on_the_board(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, expected in COMMANDS:
        assert execute(command, monkeypatch) == expected, command
    page = (workshop / "runs" / "leaderboard" / "acme-loso.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    head, width = rows[0], len(rows[0])
    board = {(row[1], row[2]): dict(zip(head, row, strict=True)) for row in rows if len(row) == width}

    def score(model: str, preset: str) -> float:
        return float(board[model, preset]["F1"].split()[0].strip("*"))

    for preset in ("paper", "paper,wide"):
        assert score("acme-net", preset) > score("constant-1", "") + 10
        assert " to " in board["acme-net", preset]["95 % interval"]
        assert "(1 seed)" in board["acme-net", preset]["F1"]
    printed = capsys.readouterr()
    assert "did you mean 'acme-net'" in printed.err and "did you mean 'recipe.epochs'" in printed.err


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("acme/") and name.endswith(".py")])
def test_each_plugin_of_the_tutorial_is_one_file_of_under_40_lines(name: str) -> None:
    assert len(FILES[name].splitlines()) < 40


def test_the_tutorial_has_one_plugin_of_each_kind_and_all_commands() -> None:
    hooks = sorted(re.findall(r"def (auharness_\w+)", "".join(FILES.values())))
    assert hooks == ["auharness_dataset", "auharness_model", "auharness_protocol"]
    assert len(COMMANDS) == 13
