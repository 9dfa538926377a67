"""Damaged and foreign checkpoints of a unit that was stopped: refused by name, never run, and nothing finished lost."""

import json
import math
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import auharness.training.unit
from auharness.errors import UnitsFailedError
from auharness.results.store import iter_runs
from auharness.training.checkpoint import load_state, save_state
from auharness.training.loop import Loop

KINDS = ("cut", "bits", "zeros", "pickle", "torch", "header", "tree", "shape", "fold", "seed", "empty", "missing")


@pytest.fixture(scope="session")
def stopped(one_trained_fold: Path, bp4d_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: fold P1 finished, P2 and P3 with a checkpoint after the first step. Not to be changed."""
    runs = Path(shutil.copytree(one_trained_fold, tmp_path_factory.mktemp("stopped") / "runs"))

    def stop(self: Loop, batch: Any) -> Any:
        if self.step == 1:
            raise RuntimeError("stopped by the test")
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        step = Loop._step
        patch.setattr(Loop, "_step", stop)
        patch.setattr(auharness.training.unit, "CHECKPOINT_S", 0.0)
        with pytest.raises(UnitsFailedError):
            auharness.run(
                "small-cnn",
                "bp4d-3fold",
                presets="tiny",
                settings={"widths": [8], "recipe": {"epochs": 1}},
                data_roots={"bp4d": str(bp4d_mini)},
                device="cpu",
                jobs=1,
                runs=runs,
            )
    assert len(list(runs.rglob("checkpoint.safetensors"))) == 2
    return runs


def spoil(path: Path, other: Path, bomb: Any, kind: str, chance: np.random.Generator) -> None:
    """Damage a checkpoint in place; `other` is one of another fold."""
    content = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(content[: chance.integers(1, len(content))])
    elif kind == "bits":
        for place in chance.integers(len(content), size=chance.integers(1, 9)):
            content[place] ^= 1 << chance.integers(8)
        path.write_bytes(content)
    elif kind == "zeros":
        size = int(chance.integers(1, len(content) // 2))
        start = int(chance.integers(8, len(content) - size))
        content[start : start + size] = bytes(size)
        path.write_bytes(content)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif kind == "torch":
        torch.save({"module": bomb}, path)
    elif kind == "header":
        header = json.dumps({"t0": {"dtype": "F32", "shape": [2**60, 2**60], "data_offsets": [0, 2**62]}}).encode()
        path.write_bytes(struct.pack("<Q", chance.choice([len(header), 2**40, 3])) + header)
    elif kind == "tree":
        depth = int(chance.integers(1, 5000))
        node: dict[str, Any] = {"list": []} if depth % 2 else {"tuple": "x"}
        text = '{"list": [' * depth + json.dumps(node) + "]}" * depth
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("auharness.training.checkpoint.json.dumps", lambda *_: text)
            save_state(path, {})
    elif kind == "shape":
        state = load_state(path)
        name = str(chance.choice(list(state["module"])))
        state["module"][name] = torch.zeros(7, *state["module"][name].shape)
        save_state(path, state)
    elif kind == "fold":
        shutil.copyfile(other, path)
    elif kind == "seed":
        state = load_state(path)
        save_state(path, {**state, "owner": state["owner"].replace("seed 0", "seed 1")})
    elif kind == "empty":
        path.write_bytes(b"" if chance.integers(2) else struct.pack("<Q", 2) + b"{}")
    else:
        missing = str(chance.choice(["module", "optimiser", "place", "best", "rng", "precision"]))
        state = load_state(path)
        save_state(path, {name: value for name, value in state.items() if name != missing})


@pytest.mark.cases("checkpoints", *KINDS)
def test_a_spoiled_checkpoint_is_refused_by_name_and_never_run(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    stopped: Path,
    bomb: Any,
    tmp_path: Path,
    kind: str,
    chance: np.random.Generator,
) -> None:
    shutil.copytree(stopped, tmp_path / "runs")
    finished = finished_marks(tmp_path / "runs")
    (run,) = iter_runs(tmp_path / "runs")
    second, third = (
        run.scratch(ref.unit_id) / "checkpoint.safetensors" for ref in run.record.units if ref.fold in ("P2", "P3")
    )
    spoil(second, third, bomb, kind, chance)
    said = refused(command(*run_words("small-cnn", "--folds", "P2")), 4)
    assert f"{second}: " in said and "delete it to train this unit anew" in said
    if kind in ("fold", "seed"):
        assert f"a checkpoint of fold {'P3' if kind == 'fold' else 'P2'}" in said and "expected one of fold P2" in said
    assert not list(tmp_path.rglob("exploded"))
    assert finished_marks(tmp_path / "runs") == finished


def test_what_was_refused_trains_anew_once_it_is_deleted(
    command: Callable[..., Any],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    stopped: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(stopped, tmp_path / "runs")
    checkpoints = sorted((tmp_path / "runs").rglob("checkpoint.safetensors"))
    checkpoints[0].write_bytes(b"cut")
    answer = command(*run_words("small-cnn"))
    # the unit whose checkpoint is sound goes on all the same
    assert answer.code == 4 and len(finished_marks(tmp_path / "runs")) == 2
    checkpoints[0].unlink()
    assert command(*run_words("small-cnn")).code == 0
    assert len(finished_marks(tmp_path / "runs")) == 3


@pytest.mark.parametrize("value", [torch.tensor(math.nan), torch.zeros(0), torch.tensor(1.0, dtype=torch.bfloat16)])
def test_the_digest_takes_every_kind_of_tensor(tmp_path: Path, value: torch.Tensor) -> None:
    save_state(tmp_path / "c", {"a": value})
    back = load_state(tmp_path / "c")["a"]
    assert torch.equal(back, value) or bool(value.isnan().all())
