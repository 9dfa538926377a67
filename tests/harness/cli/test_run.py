import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.results.store import RunFolder
from auharness_plugins.models.small_cnn import SmallCNN

Command = Callable[..., Any]


@pytest.fixture
def run(command: Command, bp4d_mini: Path, tmp_path: Path) -> Command:
    """`auharness run` of the constant on the mini root, or of another model."""

    def call(*words: object, model: str = "constant") -> Any:
        what = ("run", "--model", model, "--protocol", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}")
        return command(*what, "--runs", tmp_path / "runs", "--jobs", 1, "--device", "cpu", *words)

    return call


def test_a_run_ends_with_its_result_its_folder_and_its_page(run: Command, tmp_path: Path) -> None:
    answer = run("--folds", "P1")
    assert answer.code == 0
    result, folder, looks, page = answer.out.splitlines()
    assert result.startswith("constant on bp4d-3fold: F1 ")
    assert folder.startswith(f"run: {tmp_path / 'runs' / 'bp4d-3fold' / 'constant'}/")
    assert folder.endswith("(0 units kept, 1 done)")
    assert looks == "test part looked at 1 time (constant 1)"
    assert page == f"page: {tmp_path / 'runs' / 'leaderboard' / 'bp4d-3fold.md'}"
    assert "fold P1 seed 0: finished" in answer.err


def test_json_is_one_document_and_quiet_says_nothing_else(run: Command) -> None:
    answer = run("--folds", "P1", "--json")
    (result,) = json.loads(answer.out)
    assert (result["kept"], result["done"], answer.err) == (0, 1, "")
    again = run("--folds", "P1", "--quiet")
    assert (again.code, again.err) == (0, "") and "(1 units kept, 0 done)" in again.out


def test_the_progress_shows_epochs_losses_and_the_running_score(run: Command) -> None:
    answer = run("--folds", "P1", "--set", "recipe.epochs=1", model="small-cnn")
    assert "units: 1 in all, 0 finished before" in answer.err
    line = next(line for line in answer.err.splitlines() if line.startswith("fold P1 seed 0: finished"))
    assert " bce 0." in line and " train F1 " in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", 1, "--seeds", 2), "--seed and --seeds: give one of them"),
        (("--seeds", 0), "--seeds 0: expected at least 1"),
        (("--data-root", "bp4d"), "--data-root bp4d: expected dataset=PATH"),
        (("--set", "value"), "--set value: expected KEY=VALUE"),
        (("--set", "value=two"), "value is 'two' (flag), expected 'zero', 'one' or 'prior'"),
        (("--folds", "P9"), "bp4d-3fold has no fold 'P9'"),
        (("--preset", "zero,one"), "presets 'zero' and 'one' of 'constant' disagree on value"),
        (("--limit", 0), "limit: expected at least 1, got 0"),
        (("--ablation",), "--ablation: model 'constant' names no variants"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_one_line_and_exit_2(run: Command, words: tuple[object, ...], message: str) -> None:
    answer = run(*words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert message in answer.err


def test_a_run_without_a_model_says_what_to_name(command: Command) -> None:
    answer = command("run", "--protocol", "bp4d-3fold")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "no model given; name one with --model" in answer.err


def test_options_may_stand_in_a_file_and_flags_are_stronger(command: Command, bp4d_mini: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'[run]\nmodel = "constant"\nprotocol = "bp4d-3fold"\nfolds = ["P1", "P2"]\nruns = "{tmp_path}/runs"\n'
        f'[model]\nvalue = "prior"\n[data_roots]\nbp4d = "{bp4d_mini}"\n'
    )
    answer = command("run", "--config", config, "--folds", "P2", "--json")
    (result,) = json.loads(answer.out)
    (unit,) = RunFolder(Path(result["run"])).finished()
    assert unit.fold == "P2" and unit.settings["value"] == "prior"


def test_seeds_and_one_seed_are_asked_for_by_number(run: Command) -> None:
    (result,) = json.loads(run("--folds", "P1", "--seed", 3, "--json").out)
    (more,) = json.loads(run("--folds", "P1", "--seeds", 2, "--json").out)
    assert more["run"] == result["run"] and (more["kept"], more["done"]) == (0, 2)
    assert [ref.seed for ref in RunFolder(Path(more["run"])).record.units] == [0, 1, 3]


def test_the_end_of_a_run_says_how_often_the_test_part_was_looked_at(run: Command) -> None:
    assert "test part looked at 1 time (constant 1)" in run().out.splitlines()
    second = run("--set", "value=prior")
    assert "test part looked at 2 times (constant 2)" in second.out.splitlines()
    # a run that is answered, extended or repeated asks nothing new
    for words in ((), ("--seeds", 2), ("--fresh",)):
        assert run("--set", "value=prior", *words).out.splitlines()[-2] == second.out.splitlines()[-2]
    (result,) = json.loads(run("--set", "value=prior", "--json").out)
    assert result["looks"] == {"constant": 2}


def test_a_smoke_run_is_marked(run: Command) -> None:
    (result,) = json.loads(run("--folds", "P1", "--limit", 6, "--json").out)
    folder = RunFolder(Path(result["run"]))
    (unit,) = folder.finished()
    assert folder.record.smoke and unit.smoke
    assert (unit.n_train, unit.n_frames) == (6, 6)


def test_an_ablation_runs_every_variant_and_writes_its_page(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = {"plain": {"augment": {"flip": 0.0}}, "flipped": {"augment": {"flip": 0.5}}}
    monkeypatch.setattr(SmallCNN, "presets", {**SmallCNN.presets, **variants})
    monkeypatch.setattr(SmallCNN, "variants", tuple(variants))
    answer = run("--ablation", "--set", "recipe.epochs=1", "--set", "widths=[8]", "--json", model="small-cnn")
    assert answer.code == 0, answer.err
    results = json.loads(answer.out)
    presets = [RunFolder(Path(result["run"])).record.preset for result in results]
    assert presets == ["tiny,plain", "tiny,flipped"]
    page = next(line for line in answer.err.splitlines() if line.startswith("ablation page: "))
    text = Path(page.removeprefix("ablation page: ")).read_text(encoding="utf-8")
    assert all(variant in text for variant in variants)
