import torch

from auharness.api import Output
from auharness.losses import asl
from auharness.records import Task
from auharness.settings import resolve
from auharness.testing import fake_batch
from auharness_plugins.models.au_llm import AULLM
from auharness_plugins.models.cnn3d import CNN3D

CASME2 = tuple(f"AU{au}" for au in (1, 2, 4, 7, 12, 14, 15, 17))
TASK = Task(CASME2, "clip-multilabel", "casme2", (30,) * 8, (240,) * 8, 64, 6)


def test_it_has_the_parameters_that_the_docstring_states():
    with torch.device("meta"):
        module = CNN3D().build(TASK)
    assert sum(value.numel() for value in module.parameters()) == 2_694_472


def test_recipe_clips_and_loss_are_those_of_au_llm():
    for presets in (("paper",), ("tiny",)):
        ours, theirs = (resolve(plugin, presets=presets).plugin for plugin in (CNN3D, AULLM))
        assert (ours.recipe, ours.augment, ours.preprocess) == (theirs.recipe, theirs.augment, theirs.preprocess)
        assert (ours.widths, ours.high, ours.dropout, ours.clip) == (
            theirs.widths,
            theirs.high,
            theirs.dropout,
            theirs.clip,
        )
    plugin = CNN3D()
    batch = fake_batch(plugin, TASK, size=4)
    logits = torch.randn(4, 8)
    found, wanted = (model.loss(Output(logits), batch, TASK)["asl"] for model in (plugin, AULLM()))
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found, asl(logits, batch["target"]))


def test_it_sees_the_still_face_that_led_hides():
    torch.manual_seed(0)
    module = CNN3D(widths=(3, 4), high=8).build(TASK).eval()
    faces = torch.rand(2, 1, 1, 64, 64).expand(-1, 6, -1, -1, -1)
    logits = module(faces)
    assert (logits[0] - logits[1]).abs().max() > 1e-4
