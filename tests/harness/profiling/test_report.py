import csv
import json
import sys

import pytest
import torch

from auharness import registry
from auharness.errors import DataError, UsageError
from auharness.profiling import Options, profile_model
from auharness.settings import resolve

CPU = torch.device("cpu")


def small(name="small-cnn", **settings):
    return resolve(registry.load("model", name), presets=("tiny",), layers=[("test", settings)]).plugin


def test_the_folder_holds_what_the_summary_says(profiled):
    summary = json.loads((profiled.folder / "profile.json").read_text())
    assert summary == json.loads(json.dumps(profiled.profile.summary))
    assert {path.name for path in profiled.folder.iterdir()} == {*summary["files"].values(), "profile.json"}
    assert (summary["model"], summary["preset"], summary["phase"], summary["batch"]) == (
        "au-ttt",
        "tiny",
        "training",
        1,
    )
    assert summary["step_ms"] > 0 and len(summary["recorded_step_ms"]) == summary["steps"] == 2
    with (profiled.folder / "top_ops.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row.name for row in profiled.profile.rows]
    assert (profiled.folder / "top_ops.md").read_text().count("\n") == 22


def test_a_forward_pass_has_no_gradient_and_no_update(tmp_path):
    found = profile_model(small(), Options("forward", CPU, 2, 1, "tiny"), tmp_path)
    names = {row.name for row in found.rows}
    assert {"auharness::forward", "aten::convolution"} <= names
    assert not [name for name in names if "ackward" in name or "_fused_adam" in name]


def test_training_updates_as_the_recipe_says(profiled):
    names = {row.name for row in profiled.profile.rows}
    assert small("au-ttt").recipe.optimiser == "adamw"
    assert "aten::_fused_adamw_" in names and any(name.endswith("Backward0") for name in names)


def test_without_matplotlib_there_is_no_picture_and_the_summary_says_why(tmp_path, monkeypatch):
    (tmp_path / "memory.png").write_bytes(b"of an earlier profile")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = profile_model(small(), Options("forward", CPU, 1, 1, "tiny"), tmp_path)
    assert "auharness[viz]" in found.summary["no_picture"]
    assert "memory_picture" not in found.summary["files"] and not (tmp_path / "memory.png").exists()


@pytest.mark.parametrize("part", ["make_step", "record_steps"])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_one_line(tmp_path, monkeypatch, part, error):
    def too_large(*_, **__):
        raise error

    monkeypatch.setattr(f"auharness.profiling.report.{part}", too_large)
    with pytest.raises(DataError, match=r"profile small-cnn: cpu has too little memory for --batch 64; lower it"):
        profile_model(small(), Options("forward", CPU, 64, 1, "tiny"), tmp_path)


def test_a_model_that_learns_without_gradients_cannot_be_profiled_in_training(tmp_path):
    plugin = registry.load("model", "constant")()
    with pytest.raises(
        UsageError, match="profile constant: no parameter of it learns by gradients; take --phase forward"
    ):
        profile_model(plugin, Options("training", CPU, 1, 1, "paper"), tmp_path)
