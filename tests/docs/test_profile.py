import re
import shlex
import tomllib
from pathlib import Path

import pytest

from auharness import registry
from auharness.cli import build_parser
from auharness.profiling.recording import SUFFIX
from auharness.settings import parse_set, resolve

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "profile.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^auharness ([^#\n]+)", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_one_whose_names_and_settings_exist(command: str) -> None:
    args = build_parser().parse_args(shlex.split(command))
    resolve(registry.load("model", args.model), presets=args.preset.split(","), layers=[("flag", parse_set(args.set))])


def test_the_page_names_the_plugin_that_is_installed_and_the_files_that_are_written() -> None:
    assert len(COMMANDS) >= 3
    viz = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["viz"]
    (pinned,) = [need.partition("==")[2] for need in viz if need.startswith("torch-tb-profiler")]
    assert f"torch-tb-profiler {pinned}" in PAGE
    for name in (SUFFIX, "top_ops.csv", "top_ops.md", "memory.csv", "memory.png", "profile.json"):
        assert name in PAGE
