import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.leaderboard import memory as memory_module
from auharness.results.store import RunFolder
from auharness.runner import execute as execute_module
from auharness.runner.spec import UnitSpec
from auharness_plugins.models.constant import Constant

Command = Callable[..., Any]


@pytest.fixture
def run(command: Command, bp4d_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`auharness run` of the constant, with two variants, each in batches of two sizes, and two controls."""
    crossed = {"large": {"recipe": {"eval_batch_size": 32}}, "little": {"recipe": {"eval_batch_size": 16}}}
    monkeypatch.setattr(Constant, "presets", {**Constant.presets, **crossed})
    monkeypatch.setattr(Constant, "variants", ("zero", "one"))
    monkeypatch.setattr(Constant, "crossed", tuple(crossed))
    monkeypatch.setattr(Constant, "controls", ("prior", "pixel-probe"))
    monkeypatch.setattr(Constant, "uncrossed", ("prior",))
    # how many draws an interval has does not matter here
    interval, test = memory_module.headline_interval, memory_module.swap_test
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=100))
    monkeypatch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=100))

    def call(*words: object, protocol: str = "bp4d-3fold") -> Any:
        what = ("run", "--model", "constant", "--protocol", protocol, "--data-root", f"bp4d={bp4d_mini}")
        where = ("--runs", tmp_path / "runs", "--jobs", 1, "--device", "cpu", "--preset", "tiny")
        return command(*what, *where, *words)

    return call


def counts(answer: Any) -> list[tuple[int, int]]:
    assert answer.code == 0, answer.err
    return [(result["kept"], result["done"]) for result in json.loads(answer.out)]


def test_an_ablation_goes_on_where_it_was_interrupted(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    execute, started = execute_module.execute, []

    def killed(spec: UnitSpec) -> str | None:
        started.append(spec.unit_id)
        if len(started) == 5:
            raise KeyboardInterrupt
        return execute(spec)

    monkeypatch.setattr(execute_module, "execute", killed)
    assert run("--ablation").code == 130
    monkeypatch.setattr(execute_module, "execute", execute)
    # done before: the first run, and one fold of the second
    assert counts(run("--ablation", "--json")) == [(3, 0), (1, 2), (0, 3), (0, 3), (0, 3), (0, 3)]
    assert counts(run("--ablation", "--json")) == [(3, 0)] * 6


def test_an_ablation_under_two_protocols_has_a_page_for_each(run: Command, disfa_mini: Path, tmp_path: Path) -> None:
    answer = run("--ablation", "--data-root", f"disfa={disfa_mini}", "--json", protocol="bp4d-3fold,disfa-3fold")
    results = [RunFolder(Path(result["run"])).record for result in json.loads(answer.out)]
    rows = ["tiny,large,zero", "tiny,large,one", "tiny,little,zero", "tiny,little,one", "tiny,prior", "tiny"]
    assert [(record.protocol, record.preset) for record in results] == [
        (protocol, row) for protocol in ("bp4d-3fold", "disfa-3fold") for row in rows
    ]
    for protocol in ("bp4d-3fold", "disfa-3fold"):
        page = tmp_path / "runs" / "leaderboard" / f"{protocol}.constant.ablation.md"
        assert f"ablation page: {page}" in answer.err
        text = page.read_text(encoding="utf-8")
        sections = text.split("\n## ")[1:]
        assert ["tiny,large" in sections[0], "tiny,little" in sections[1]] == [True, True]
        for section in sections:
            # the control that is the same for both stands in both
            assert [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")] == [
                *("variant", "zero", "one", "prior", "pixel-probe")
            ]


def test_without_ablation_there_is_one_protocol(run: Command) -> None:
    answer = run(protocol="bp4d-3fold,disfa-3fold")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "--protocol bp4d-3fold,disfa-3fold: several protocols go with 'run --ablation' only; give one" in answer.err
