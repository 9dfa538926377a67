import re
import shlex
from argparse import Namespace
from pathlib import Path

import pytest

from auharness import registry
from auharness.cli import build_parser
from auharness.cli.request_options import protocols_from, request_from
from auharness.data.sheets import read_versions
from auharness.leaderboard.reported import ReportedRow, read_reported
from auharness.runner.ablation import plan_ablation
from auharness.runner.model import variant_presets
from auharness.runner.request import model_layers
from auharness.settings import parse_set, resolve
from auharness_plugins.datasets import casme2, samm

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "micro_expressions.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^auharness (.+)$", PAGE, flags=re.MULTILINE)
PITFALLS = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")


def parsed(command: str) -> Namespace:
    return build_parser().parse_args(shlex.split(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_one_whose_names_and_settings_exist(command: str, tmp_path: Path) -> None:
    for name in ("casme2", "samm"):
        (tmp_path / name).mkdir()
    args = parsed(command.replace("/data/CASME2", f"{tmp_path}/casme2").replace("/data/SAMM", f"{tmp_path}/samm"))
    data = parse_set(getattr(args, "set", [])).get("data", {})
    for name, values in data.items():
        resolve(registry.load("dataset", name), dataset=name, layers=[("flag", values), ("root", {"root": tmp_path})])
    if command.startswith(("run", "plan")):
        request = request_from(args, several=getattr(args, "ablation", False))
        model = registry.load("model", request.model)
        presets = variant_presets(model, request.presets, synthetic=not request.data_roots)
        resolve(model, dataset="casme2", presets=presets, layers=model_layers(request))
        for name in protocols_from(args):
            protocol = registry.load("protocol", name)
            if request.data_roots:
                assert {*protocol.train_on, *protocol.test_on} <= set(request.data_roots)
        if getattr(args, "ablation", False):
            names = {(one.protocol, one.model) for one in plan_ablation(request, protocols_from(args)).requests}
            assert names == {(p, m) for p in ("casme2-loso", "samm-loso") for m in ("au-llm", "cnn3d")}


def test_the_page_has_commands_for_each_protocol_and_each_step() -> None:
    verbs = {command.split()[0] for command in COMMANDS}
    assert {"data", "plan", "run", "compare", "explain", "score"} <= verbs and len(COMMANDS) > 15


def test_every_micro_expression_model_and_protocol_stands_on_the_page() -> None:
    protocols = [
        name for name in registry.names("protocol") if {"casme2", "samm"} & {*registry.load("protocol", name).test_on}
    ]
    assert len(protocols) == 4
    rows = {row.model for name in protocols for row in _reported_rows(name) if row.model}
    assert {"au-llm", "sca", "resnet18"} <= rows
    for name in (*protocols, *rows, "cnn3d", "constant"):
        assert f"`{name}`" in PAGE, name


def test_dvasp_is_a_reported_row_without_a_plugin_and_the_page_says_why() -> None:
    for name in ("casme2-loso", "samm-loso"):
        (row,) = [row for row in _reported_rows(name) if row.method.startswith("DVASP")]
        assert not row.model
    assert not [name for name in registry.names("model") if "dvasp" in name]
    assert "**DVASP has no plugin.**" in PAGE


def _reported_rows(protocol: str) -> list[ReportedRow]:
    return [row for table in read_reported(registry.load("protocol", protocol)) for row in table.rows]


def test_the_versions_of_the_sheets_are_those_of_the_readers() -> None:
    for module, aus in ((casme2, (1, 2, 4, 7, 12, 14, 15, 17)), (samm, (2, 4, 7, 12))):
        for version in read_versions(str(module.__file__)):
            counts = version.counts
            if counts.positives:
                cells = " ".join(str(counts.positives[au]) for au in aus)
                (line,) = re.findall(rf"^\| `\w+` \| {version.name} \|(.*)$", PAGE, flags=re.MULTILINE)
                assert " ".join(re.findall(r"\d+", line)) == f"{counts.rows} {counts.subjects} {cells}"


def test_every_pitfall_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)$", PITFALLS, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 19))
    for number, row in rows:
        names = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert names, number
        for path, name in names:
            assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), (number, path, name)
