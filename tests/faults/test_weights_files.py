"""Files given by `--weights` that are damaged, hostile or of another network: refused before any unit starts."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

KINDS = ("cut", "header bits", "length", "pickle", "torch", "zip", "tar", "json", "huge", "names", "shapes", "few")


@pytest.fixture
def sound(one_trained_fold: Path) -> dict[str, torch.Tensor]:
    """Weights that fit."""
    (path,) = one_trained_fold.rglob("weights.safetensors")
    return load_file(path)


def spoiled(sound: dict[str, torch.Tensor], bomb: Any, kind: str, chance: np.random.Generator) -> bytes:
    """Return the content of a bad file."""
    content = bytearray(save(sound))
    header = int.from_bytes(content[:8], "little")
    if kind == "cut":
        return bytes(content[: chance.integers(len(content))])
    if kind == "header bits":
        content[int(chance.integers(8, 8 + header // 2))] ^= 1 << int(chance.integers(8))
        return bytes(content)
    if kind == "length":
        content[:8] = struct.pack("<Q", int(chance.choice([0, 1, header - 1, header + 1, 2**31, 2**63])))
        return bytes(content)
    if kind == "pickle":
        return pickle.dumps(bomb, protocol=int(chance.integers(6)))
    if kind in ("torch", "zip", "tar"):
        return _container(kind, bomb)
    if kind == "json":
        depth = int(chance.integers(100, 100_000))
        text = b'{"a":' * depth if depth % 2 else b'{"__metadata__":{"format":1}}'
        return struct.pack("<Q", len(text)) + text
    if kind == "huge":
        entry = {"dtype": "F32", "shape": [int(chance.integers(2**20, 2**31))] * 2, "data_offsets": [0, 8]}
        text = json.dumps({"0.weight": entry}).encode()
        return struct.pack("<Q", len(text)) + text + bytes(8)
    if kind == "names":
        return bytes(save({f"x{number}.{name}": value for number, (name, value) in enumerate(sound.items())}))
    if kind == "shapes":
        return bytes(save({name: torch.zeros(3, *value.shape) for name, value in sound.items()}))
    kept = str(chance.choice(list(sound)))
    others = {f"layer{number}.weight": torch.zeros(3) for number in range(int(chance.integers(4, 40)))}
    return bytes(save({kept: sound[kept], **others}))


def _container(kind: str, bomb: Any) -> bytes:
    stream = io.BytesIO()
    if kind == "torch":
        torch.save({"0.weight": bomb}, stream)
    elif kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("../exploded", "x")
    else:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(str(bomb.path)))
    return stream.getvalue()


@pytest.mark.cases("weights files", *KINDS)
def test_weights_that_are_none_or_of_another_network_stop_before_the_units(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    sound: dict[str, torch.Tensor],
    bomb: Any,
    tmp_path: Path,
    kind: str,
    chance: np.random.Generator,
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(spoiled(sound, bomb, kind, chance))
    answer = command(*run_words("small-cnn", "--folds", "P1", "--max-steps", 1, "--weights", path))
    if kind == "header bits" and answer.code == 0:
        return  # a changed letter of one name: all other tensors fit
    said = refused(answer, 3)
    assert "weights" in said and "fold P1" not in said
    assert not list(tmp_path.rglob("exploded")) and not list((tmp_path / "runs").rglob("units"))


@pytest.mark.parametrize("kind", ["gone", "folder", "unreadable device"])
def test_a_path_that_holds_no_file_is_a_wrong_flag(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    tmp_path: Path,
    kind: str,
) -> None:
    path = {"gone": tmp_path / "gone", "folder": tmp_path, "unreadable device": Path("/dev/null")}[kind]
    refused(command(*run_words("small-cnn", "--weights", path)), 2)


def test_weights_of_which_half_fit_are_taken(
    command: Callable[..., Any],
    run_words: Callable[..., list[object]],
    sound: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    head = next(name for name in sound if name.endswith("bias"))
    save_file({**sound, head: torch.zeros(999)}, tmp_path / "w.safetensors")
    answer = command(*run_words("small-cnn", "--folds", "P1", "--weights", tmp_path / "w.safetensors"))
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("model", "assignment"),
    [
        ("au-ttt", "heads=3"),
        ("au-ttt", "patch=7"),
        ("vit-s16", "dim=10"),
        ("small-cnn", "widths=[9]"),
        ("small-cnn", "widths=[]"),
        ("small-cnn", "widths=[-8]"),
    ],
)
def test_settings_that_fit_no_network_stop_before_the_units(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    tmp_path: Path,
    model: str,
    assignment: str,
) -> None:
    said = refused(command(*run_words(model, "--set", assignment)), 2)
    assert "fold" not in said and not list((tmp_path / "runs").rglob("units"))


def test_half_precision_on_a_cpu_is_refused_rather_than_recorded_under_a_wrong_name(
    command: Callable[..., Any], refused: Callable[..., str], run_words: Callable[..., list[object]]
) -> None:
    said = refused(command(*run_words("small-cnn", "--set", "recipe.precision=16-mixed")), 2)
    assert "bf16-mixed" in said
