"""Every shipped network can be mapped at the layers that its plugin names, and those without a place say so."""

import pytest
import torch
from torch import nn

from auharness import registry
from auharness.api import ModelPlugin
from auharness.errors import UsageError
from auharness.explain.grad_cam import grad_cam, normalised, on_frames
from auharness.records import Task
from auharness.settings import default_preset, resolve
from auharness.testing import fake_batch, fake_task

FLAT = {"constant", "lbp-top", "pixel-probe"}
"""Models without a convolution over the image."""


def built(plugin: ModelPlugin) -> tuple[nn.Module, Task]:
    """Build for AUs, or for classes where the model knows nothing else."""
    torch.manual_seed(0)
    task = fake_task(plugin, "clip-multilabel" if "clip" in plugin.inputs else "frame-multilabel")
    try:
        return plugin.build(task), task
    except UsageError:
        task = fake_task(plugin, "clip-multiclass")
        return plugin.build(task), task


MAPPED = [name for name in registry.names("model") if not registry.load("model", name).per_frame]
"""`explain` refuses models that answer for each frame of a window."""


@pytest.mark.parametrize("name", MAPPED)
def test_the_named_layers_of_a_model_can_be_mapped(name: str) -> None:
    model = registry.load("model", name)
    plugin: ModelPlugin = resolve(model, presets=(default_preset(model, synthetic=True),)).plugin
    module, task = built(plugin)
    layers = plugin.cam_layers(module)
    assert bool(layers) == (name not in FLAT)
    batch = fake_batch(plugin, task, size=2)
    found = grad_cam(module, [batch[key] for key in plugin.inputs], layers=layers, outputs=torch.tensor([1, 0]))
    assert list(found.cells) == list(layers)
    first = plugin.cam_first_frame
    for cells in found.cells.values():
        maps = normalised(on_frames(cells, frames=task.frames, size=task.image_size, first=first))
        assert maps.shape == (2, task.frames, task.image_size, task.image_size)
        assert bool(maps[:, :first].isnan().all()) and not bool(maps[:, first:].isnan().any())
        assert float(maps[:, first:].min()) >= 0 and float(maps[:, first:].max()) <= 1 + 1e-6
    for entry in plugin.traces:
        assert found.output.aux[entry].ndim == 3
