import pickle
from pathlib import Path

import pytest
import torch

from auharness.errors import IntegrityError
from auharness.training.checkpoint import load_state, save_state

STATE = {"a": torch.arange(3), 1: [None, True, 2, 0.5, "x", (torch.eye(2), {})]}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_state(tmp_path / "c", STATE)
    back = load_state(tmp_path / "c")
    assert torch.equal(back["a"], STATE["a"]) and list(back) == list(STATE)
    assert back[1][:5] == [None, True, 2, 0.5, "x"]
    assert torch.equal(back[1][5][0], torch.eye(2)) and isinstance(back[1][5], tuple)


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot store object"):
        save_state(tmp_path / "c", object())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "pickle", "empty"])
def test_a_damaged_checkpoint_is_refused_and_nothing_in_it_runs(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c"
    save_state(path, STATE)
    content = path.read_bytes()
    if damage == "pickle":
        content = pickle.dumps(Bomb(str(tmp_path / "exploded")))
    path.write_bytes({"truncate": content[:-8], "flip": b"\xff" + content[1:], "empty": b""}.get(damage, content))
    with pytest.raises(IntegrityError, match="not a whole checkpoint"):
        load_state(path)
    assert not (tmp_path / "exploded").exists()


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, (self.path, "w"))  # type: ignore[return-value]  # what a hostile file would do
