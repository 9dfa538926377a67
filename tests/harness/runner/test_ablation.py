"""Which runs `run --ablation` is made of; nothing is trained and no data is read here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from auharness.errors import UsageError
from auharness.runner import make_request
from auharness.runner.ablation import AblationPlan, plan_ablation

VARIANTS = ("f-high", "f-mid", "efp-minus", "prompt-learning", "all")
LLMS = ("deepseek-r1", "qwen2", "qwen2.5")
NOT_CROSSED = "not crossed with deepseek-r1, qwen2, qwen2.5"


def plan(*protocols: str, model: str = "au-llm", **options: Any) -> AblationPlan:
    named = protocols or ("casme2-loso",)
    return plan_ablation(make_request(model=model, protocol=named[0], **options), named)


def presets(made: AblationPlan, model: str = "au-llm") -> list[str]:
    return [",".join(request.presets) for request in made.requests if request.model == model]


def test_every_variant_and_control_runs_with_every_language_model_and_what_is_the_same_runs_once() -> None:
    made = plan(presets="paper")
    crossed = (*VARIANTS, "random-llm", "frozen-llm", "random-llm,frozen-llm")
    assert presets(made) == [*(f"paper,{llm},{name}" for llm in LLMS for name in crossed), "paper,no-llm"]
    assert presets(made, "cnn3d") == ["paper"]
    assert made.remarks == ()


def test_several_protocols_are_run_one_behind_the_other() -> None:
    made = plan("casme2-loso", "samm-loso", "casme2-loso", presets="paper")
    found = [request.protocol for request in made.requests]
    assert found == ["casme2-loso"] * 26 + ["samm-loso"] * 26


@pytest.mark.parametrize(
    ("options", "where", "base"),
    [
        ({}, "preset tiny", "tiny"),  # a stand-in
        ({"presets": ["paper", "qwen2"]}, "preset qwen2", "paper,qwen2"),
        ({"presets": "paper", "settings": {"backbone": "qwen2-1.5b"}}, "--set", "paper"),
    ],
)
def test_a_language_model_that_is_chosen_already_is_not_crossed(
    options: Mapping[str, Any], where: str, base: str
) -> None:
    made = plan(**options)
    assert made.remarks[0] == f"{where} sets backbone itself: {NOT_CROSSED}"
    assert presets(made)[:5] == [f"{base},{name}" for name in VARIANTS]


def test_a_control_that_changes_nothing_is_left_out_and_named() -> None:
    made = plan()
    assert presets(made)[5:] == ["tiny,frozen-llm", "tiny,no-llm"]
    assert made.remarks[1:] == (
        "control random-llm left out: with preset tiny it is the variant all",
        "control random-llm,frozen-llm left out: with preset tiny it is the control frozen-llm",
    )


def test_a_control_that_disagrees_with_the_presets_is_left_out_and_named() -> None:
    made = plan(presets=["tiny", "frozen-llm"])
    assert not any("no-llm" in name for name in presets(made))
    assert any(line.startswith("control no-llm left out: presets 'frozen-llm' and 'no-llm'") for line in made.remarks)


def test_another_model_gets_what_it_knows_of_the_settings() -> None:
    made = plan(presets=["tiny", "literal"], settings={"recipe": {"epochs": 2}, "lora_rank": 4})
    (request,) = (request for request in made.requests if request.model == "cnn3d")
    assert (request.presets, request.settings) == (("tiny",), {"recipe": {"epochs": 2}})
    assert made.remarks[-1] == "control cnn3d runs without literal, lora_rank, which it does not have"


def test_roots_go_to_the_protocols_that_read_them(tmp_path: Path) -> None:
    roots = {name: str(tmp_path) for name in ("casme2", "samm")}
    made = plan("casme2-loso", "samm-loso", data_roots=roots)
    assert {(request.protocol, *request.data_roots) for request in made.requests} == {
        ("casme2-loso", "casme2"),
        ("samm-loso", "samm"),
    }
    # licensed data: the paper's size, and so all language models
    assert presets(made)[0] == "paper,deepseek-r1,f-high"


def test_a_variant_that_does_not_fit_stops_everything_before_the_first_run() -> None:
    with pytest.raises(UsageError, match="learned prompts need a language model"):
        plan(presets=["tiny", "no-llm"])


def test_a_model_without_controls_runs_its_variants_alone() -> None:
    made = plan("bp4d-3fold", model="au-ttt", presets="tiny")
    assert presets(made, "au-ttt") == [
        f"tiny,{name}" for name in ("baseline", "original-ttt", "msp", "forward-ttt", "bi-ttt", "roi-ttt")
    ]
    assert (len(made.requests), made.remarks) == (6, ())


@pytest.mark.parametrize(
    ("model", "weights", "message"), [("constant", False, "names no variants"), ("au-llm", True, "leave --weights out")]
)
def test_what_cannot_be_ablated_is_refused(model: str, weights: bool, message: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    with pytest.raises(UsageError, match=message):
        plan(model=model, weights=file if weights else None)
