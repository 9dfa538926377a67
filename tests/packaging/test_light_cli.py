"""What answers without heavy libraries: help pages, lists and typos, each in a fresh process."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pydantic", "pandas", "rich")
PROGRAM = f"""
import json, sys
from auharness.cli import main
code = main(sys.argv[1:])
print("\\n" + json.dumps({{"code": code, "modules": [name for name in {HEAVY} if name in sys.modules]}}))
"""


def ask(*argv: str, **environment: str) -> tuple[int, list[str], str]:
    """Return exit code, heavy modules that were imported, and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["code"], answer["modules"], done.stderr


def test_the_probe_sees_a_heavy_import():
    assert "pydantic" in ask("show", "bp4d")[1]


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["run", "--help"],
        ["explain", "--help"],
        ["list"],
        ["list", "models"],
        ["list", "protocols", "--json"],
    ],
    ids=" ".join,
)
def test_help_and_lists_import_nothing_heavy(argv):
    assert ask(*argv) == (0, [], "")


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["show", "au-tt"], "did you mean 'au-ttt'?"),
        (["run", "--model", "au-tt", "--protocol", "bp4d-3fold"], "no model 'au-tt'; did you mean 'au-ttt'?"),
        (["run", "--model", "au-ttt", "--protocol", "bp4d-3fol"], "did you mean 'bp4d-3fold'?"),
        (["run", "--no-such-flag"], "--no-such-flag"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_typo_is_one_line_and_imports_nothing_heavy(argv, hint):
    code, heavy, message = ask(*argv)
    assert (code, heavy) == (2, [])
    assert message.startswith("auharness: error: ") and message.count("\n") == 1
    assert hint in message


def test_a_stranger_model_is_listed_without_import(install):
    site = install("acme-nets", {"acme_net": '"""Acme."""\nraise RuntimeError'}, models={"acme-net": "acme_net"})
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    assert ask("list", "models", PYTHONPATH=path) == (0, [], "")
