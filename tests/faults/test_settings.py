"""Configuration files, flags and environment variables that say nonsense: one line, exit code 2, nothing started."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FILES: dict[str, Callable[[np.random.Generator], bytes]] = {
    "unknown table": lambda chance: b"[modle]\nvalue = 'one'\n",
    "unknown key": lambda chance: b"[model]\nvaleu = 'one'\n",
    "unknown option": lambda chance: b"[run]\nsedes = 3\n",
    "unknown dataset": lambda chance: b"[data.bp4dd]\nx = 1\n",
    "key twice": lambda chance: b"[model]\nvalue = 'one'\nvalue = 'zero'\n",
    "table twice": lambda chance: b"[model]\n[model]\n",
    "no table": lambda chance: b"model = 3\n",
    "cut": lambda chance: b"[model]\nvalue = 'one'\n"[: int(chance.integers(2, 7))],
    "noise": lambda chance: b"[" + chance.bytes(int(chance.integers(1, 3000))),
    "nul": lambda chance: b"[model]\nvalue = '\0'\n",
    "utf-16": lambda chance: "[model]\nvalue = 'one'\n".encode("utf-16"),
    "deep list": lambda chance: b"[model]\nx = " + b"[" * int(chance.integers(2_000, 50_000)),
    "deep table": lambda chance: b"[model]\nx = " + b"{a=" * int(chance.integers(2_000, 50_000)),
    "10 MB": lambda chance: b"[model]\n" + b"".join(b"k%d = %d\n" % (n, n) for n in range(600_000)),
    "long number": lambda chance: b"[run]\nlimit = " + b"9" * int(chance.integers(4_400, 90_000)),
    "infinite": lambda chance: b"[model.recipe]\nlr = " + bytes(chance.choice([b"inf", b"-inf", b"nan"])),
    "yaml": lambda chance: b"model:\n  value: !!python/object/apply:os.system ['true']\n",
    "json": lambda chance: b'{"model": {"value": "one"}}',
}
RUN_VALUES = ("3.5", "'x'", "true", "[1, 'a']", "{a=1}", "2020-01-01", "[[]]", "-1", "0", "[]", "[true]", "99999999999")
RUN_KEYS = (
    "seeds",
    "folds",
    "presets",
    "jobs",
    "limit",
    "device",
    "data_size",
    "model",
    "settings",
    "data_roots",
    "runs",
)
SETS = (
    *(
        "value",
        "=one",
        "value=",
        "value=two",
        "value.x=1",
        "recipe=3",
        "recipe.lr=fast",
        "recipe.lr=-1",
        "recipe.lr=nan",
    ),
    *("recipe.epochs=0", "recipe.epochs=1.5", "recipe.epochs=[1]", "recipe.optimiser=lion"),
    *("preprocess.crop=99999999", "preprocess.crop=8", "preprocess.mean=[0,0]", "preprocess.mean=[inf,0,0]"),
    *("a..b=1", ".=1", "recipe.=1", "__class__=1", "name=x", "recipe.__init__=1", "augment.flip=2", "value=[[[[[["),
    *("value='; drop", "data.nowhere.x=1", "recipe.lr=\u0661", "re\ncipe=1"),
    *("preprocess.landmarks=npz:/nowhere", "recipe.selection=test-oracle"),
)


@pytest.fixture
def plan(command: Callable[..., Any], bp4d_mini: Path) -> Callable[..., Any]:
    def run(*words: object) -> Any:
        root = ("--data-root", f"bp4d={bp4d_mini}")
        return command("plan", "--model", "constant", "--protocol", "bp4d-3fold", *root, *words)

    return run


@pytest.mark.cases("config files", *FILES, *(f"run.{key}" for key in RUN_KEYS))
def test_a_configuration_file_that_says_nonsense_is_a_wrong_setting(
    plan: Callable[..., Any],
    refused: Callable[..., str],
    tmp_path: Path,
    kind: str,
    chance: np.random.Generator,
) -> None:
    path = tmp_path / "c.toml"
    _, is_run, key = kind.partition("run.")
    value = str(chance.choice(RUN_VALUES))
    path.write_bytes(FILES[kind](chance) if not is_run else f"[run]\n{key} = {value}\n".encode())
    answer = plan("--config", path)
    if is_run and answer.code == 0:
        # a number of rows, an empty list of folds, or what the flags say anyway
        assert key in ("model", "data_roots", "runs") or value in ("[]", "'x'", "{a=1}", "99999999999"), value
        return
    # a name may also be of data that are not there
    refused(answer, 2, 3, lines=None)


@pytest.mark.cases("settings", *SETS)
def test_a_setting_that_says_nonsense_is_refused(
    plan: Callable[..., Any],
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    chance: np.random.Generator,
) -> None:
    key, equals, value = kind.partition("=")
    name = f"AUHARNESS_SET__{key.replace('.', '__').upper()}"
    if chance.integers(2) and equals and key.isidentifier() and name.isascii() and os.name == "posix":
        monkeypatch.setenv(name, value)
        answer = plan()
    else:
        answer = plan("--set", kind)
    refused(answer, 2, 3, lines=None)
