import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.runner import RunResult
from auharness_plugins.models.small_cnn import SmallCNN

Command = Callable[..., Any]


@pytest.fixture
def plan(command: Command, bp4d_mini: Path, tmp_path: Path) -> Command:
    """`auharness plan` of small-cnn on the mini root."""

    def call(*words: object) -> Any:
        what = ("plan", "--model", "small-cnn", "--protocol", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}")
        return command(*what, "--runs", tmp_path / "runs", "--jobs", 1, *words)

    return call


def origins_of(answer: Any) -> dict[str, tuple[Any, str]]:
    assert answer.code == 0, answer.err
    return {key: (value, origin) for key, value, origin in json.loads(answer.out)["settings"]}


def test_every_setting_stands_with_its_value_and_where_it_came_from(plan: Command) -> None:
    settings = origins_of(plan("--json", "--set", "recipe.epochs=3"))
    assert settings["recipe.epochs"] == (3, "flag")
    assert settings["recipe.batch_size"] == (SmallCNN.presets["tiny"]["recipe"]["batch_size"], "preset tiny")
    assert settings["recipe.weight_decay"] == (SmallCNN().recipe.weight_decay, "default")
    assert {"preprocess.crop", "augment.flip", "init", "widths"} < set(settings)


def test_each_layer_is_stronger_than_the_one_below_it(
    plan: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [origins_of(plan("--json", "--preset", "paper"))["recipe.epochs"]]
    monkeypatch.setattr(SmallCNN, "by_dataset", {"bp4d": {"recipe": {"epochs": 11}}})
    seen.append(origins_of(plan("--json", "--preset", "paper"))["recipe.epochs"])
    monkeypatch.setattr(SmallCNN, "presets", {**SmallCNN.presets, "long": {"recipe": {"epochs": 12}}})
    words: tuple[object, ...] = ("--json", "--preset", "paper,long")
    seen.append(origins_of(plan(*words))["recipe.epochs"])
    config = tmp_path / "settings.toml"
    config.write_text("[model.recipe]\nepochs = 13\n")
    words = (*words, "--config", config)
    seen.append(origins_of(plan(*words))["recipe.epochs"])
    monkeypatch.setenv("AUHARNESS_SET__RECIPE__EPOCHS", "14")
    seen.append(origins_of(plan(*words))["recipe.epochs"])
    seen.append(origins_of(plan(*words, "--set", "recipe.epochs=15"))["recipe.epochs"])
    assert seen == [
        (20, "default"),
        (11, "by_dataset bp4d"),
        (12, "preset long"),
        (13, "file"),
        (14, "environment"),
        (15, "flag"),
    ]


def test_the_plan_is_that_of_the_run(plan: Command, run_mini: Callable[..., RunResult]) -> None:
    words = ("--json", "--set", "widths=[8]", "--set", "recipe.epochs=2", "--set", "recipe.batch_size=16")
    before = json.loads(plan(*words).out)
    assert [unit[1:] for unit in before["units"]] == [[fold, 0, 24, 12, "to do"] for fold in ("P1", "P2", "P3")]
    result = run_mini(folds=["P2"])
    after = json.loads(plan(*words).out)
    assert after["facts"]["run"] == before["facts"]["run"] == result.path.name
    assert [unit[-1] for unit in after["units"]] == ["to do", "finished", "to do"]
    assert after["facts"]["units"] == "3, 1 finished, 1 at once"
    assert after["facts"]["crops to make"].startswith("0 sequences, 0 MiB")
    assert "48 rows x 2 epochs" in after["facts"]["training"]


def test_a_plan_for_people_names_data_units_and_settings_and_does_nothing(
    plan: Command, bp4d_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    answer = plan("--limit", 5, "--max-steps", 2)
    assert answer.code == 0
    assert f"root of bp4d   {bp4d_mini}" in answer.out
    assert "crops to make  6 sequences" in answer.out
    line = next(line for line in answer.out.splitlines() if line.startswith("recipe.max_steps"))
    assert line.split() == ["recipe.max_steps", "2", "flag"]
    assert answer.out.rstrip().splitlines()[-1].split()[1:] == ["P3", "0", "5", "5", "to", "do"]
    assert not (tmp_path / "runs").exists() and not (tmp_path / "cache" / "crops").exists()


def test_a_model_with_a_training_of_its_own_is_planned_without_a_time(command: Command, bp4d_mini: Path) -> None:
    words = ("--model", "constant", "--protocol", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}")
    answer = command("plan", *words, "--json")
    assert json.loads(answer.out)["facts"]["training"].startswith("72 rows; time unknown")
