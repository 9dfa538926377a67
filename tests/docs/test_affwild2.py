import re
import shlex
from pathlib import Path

import pytest

from auharness import registry
from auharness.cli import build_parser
from auharness.cli.request_options import request_from
from auharness.runner.model import variant_presets
from auharness.runner.request import model_layers
from auharness.settings import resolve
from auharness_plugins.datasets import affwild2

PAGE = (Path(__file__).parents[2] / "docs" / "affwild2.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^auharness (.+)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_one_whose_names_exist(command: str, tmp_path: Path) -> None:
    args = build_parser().parse_args(shlex.split(command.replace("/data/Aff-Wild2", str(tmp_path))))
    if command.startswith(("run", "plan")):
        request = request_from(args, several=getattr(args, "ablation", False))
        model = registry.load("model", request.model)
        presets = variant_presets(model, request.presets, synthetic=not request.data_roots)
        resolve(model, dataset="affwild2", presets=presets, layers=model_layers(request))
        assert registry.load("protocol", request.protocol).test_on == ("affwild2",)


def test_the_page_has_a_command_for_each_step() -> None:
    assert [command.split()[0] for command in COMMANDS] == [
        *("data", "data", "plan", "run", "run", "score", "explain", "scale", "data", "challenge"),
    ]


def test_published_numbers_and_the_header_on_the_page_are_those_of_the_code() -> None:
    protocol = registry.load("protocol", "affwild2-val")
    assert f"{protocol.n_published:,} are published" in PAGE
    assert f"{affwild2.ROWS['test']:,} that are published" in PAGE
    assert f"`{affwild2.HEADER}`" in PAGE
