import json

import pytest

from auharness import registry
from auharness.cli import main


def test_list_prints_every_name_with_its_first_line(capsys):
    assert main(["list", "models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == registry.names("model")
    assert "Vision Test-Time Training" in next(line for line in lines if line.startswith("au-ttt "))


def test_list_without_a_kind_has_all_kinds_and_json(capsys):
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"model", "dataset", "protocol"}
    assert set(rows[0]) == {"kind", "name", "package", "about"}


def test_show_a_model_has_paper_settings_presets_and_variants(capsys):
    assert main(["show", "au-ttt"]) == 0
    printed = capsys.readouterr().out
    assert "arXiv:2503.23450" in printed
    row = next(line for line in printed.splitlines() if line.strip().startswith("recipe.optimiser"))
    assert row.split() == ["recipe.optimiser", "adamw", "adamw", "|", "adam", "|", "sgd"]
    assert "float > 0" in next(line for line in printed.splitlines() if line.strip().startswith("recipe.lr"))
    assert "margin=0.15" in printed and "roi-ttt" in printed


def test_show_a_protocol_has_its_rules(capsys):
    assert main(["show", "bp4d-to-disfa"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line[:1].isalpha())
    assert (facts["train_on"], facts["test_on"], facts["score_labels"]) == ("bp4d", "disfa", "1,2,4,6,12")


def test_show_as_json_is_the_schema_of_the_settings(capsys):
    assert main(["show", "au-ttt", "--json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["depth"]["default"] == 12
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("argv", "hint"), [(["show", "bp4"], "did you mean 'bp4d'"), (["show", "zzzz"], "no plugin")])
def test_show_an_unknown_name(capsys, argv, hint):
    assert main(argv) == 2
    assert hint in capsys.readouterr().err
