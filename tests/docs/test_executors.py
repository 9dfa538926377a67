"""The page on executors names what there is."""

import re
import shlex
from pathlib import Path

from auharness.cli import build_parser
from auharness.executors import EXECUTORS
from auharness.executors.resources import RayResources, SlurmResources

PAGE = Path(__file__).parents[2] / "docs" / "executors.md"


def test_every_command_of_the_page_is_understood() -> None:
    lines = re.findall(r"^\$ auharness (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    chosen = [build_parser().parse_args(shlex.split(line, comments=True)).executor for line in lines]
    assert chosen == [None, *EXECUTORS[1:]]


def test_the_table_holds_every_resource() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*RayResources.model_fields, *SlurmResources.model_fields}
