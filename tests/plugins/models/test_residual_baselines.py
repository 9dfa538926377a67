"""ResNet-18 and 34, ResNet18-LED, and the three students: what is special about each."""

import sys

import pytest
import torch

from auharness.errors import DataError, UsageError
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.resnet3d import ResNet3D18
from auharness.records import Task
from auharness.settings import resolve
from auharness.testing import FakeUnit, fake_batch
from auharness_plugins.models.kd_at import AttentionTransfer
from auharness_plugins.models.kd_fitnet import FitNet
from auharness_plugins.models.kd_sp import SimilarityPreserving
from auharness_plugins.models.resnet18 import ResNet18
from auharness_plugins.models.resnet18_led import ResNet18LED
from auharness_plugins.models.resnet34 import ResNet34

CASME2 = tuple(f"AU{au}" for au in (1, 2, 4, 7, 12, 14, 15, 17))
STUDENTS = (SimilarityPreserving, AttentionTransfer, FitNet)


def task(side=64, frames=6):
    return Task(CASME2, "clip-multilabel", "casme2", (30,) * 8, (240,) * 8, side, frames)


def built(plugin, *presets, **settings):
    with torch.device("meta"):
        return resolve(plugin, presets=presets, layers=[("test", settings)]).plugin.build(task())


def size(module):
    return sum(value.numel() for value in module.parameters())


def test_parameters_are_those_that_the_docstrings_state():
    # torchvision's counts with 1000 classes and 3 channels, less what the head and the stem of a grey clip save
    assert size(built(ResNet18)) == 11_689_512 - 992 * 513 + 3 * 49 * 64 == 11_190_024
    assert size(built(ResNet34)) == 21_797_672 - 992 * 513 + 3 * 49 * 64 == 21_298_184
    # r3d_18 has 33,371,472 with 400 classes
    assert size(built(ResNet18LED)) == 33_371_472 - 392 * 513 - 2 * 3 * 49 * 64 + 3 == 33_151_563
    assert size(built(ResNet18LED, "stack")) == size(built(ResNet18)) - 49 * 64 + 3 == 11_186_891


def test_a_student_is_the_network_of_resnet18_and_trains_under_its_recipe():
    plain = ResNet18()
    for plugin in STUDENTS:
        model = plugin()
        assert isinstance(built(plugin), ClipResNet) and size(built(plugin)) == size(built(ResNet18))
        assert (model.recipe, model.augment, model.preprocess) == (plain.recipe, plain.augment, plain.preprocess)
    for other in (ResNet34(), ResNet18LED()):
        assert (other.recipe, other.augment, other.preprocess) == (plain.recipe, plain.augment, plain.preprocess)


@pytest.mark.parametrize("plugin", STUDENTS)
def test_a_student_has_a_resnet34_for_a_teacher_and_its_own_loss_term(plugin, tmp_path):
    model = resolve(plugin, presets=("tiny",)).plugin
    at = Task(CASME2, "clip-multilabel", "casme2", (3,) * 8, (12,) * 8, 40, 6)
    made = FakeUnit(model, at, folder=tmp_path)
    stages = []

    def watched(learner, *, stage="", weights=None):
        torch.manual_seed(len(stages))
        module = learner.build(at)
        batch = fake_batch(model, at)
        output = module.train()(batch["clip"])
        terms = learner.loss(output, batch, at) if stage != "teacher" else {}
        stages.append((stage, module, set(terms), sorted(weights or [])))
        return FakeUnit.train(made, learner, stage=stage, weights=weights)

    made.train = watched
    predictor = model.fit(made)
    assert isinstance(predictor.module, ClipResNet)
    names = [stage for stage, *_ in stages]
    assert names == (["teacher", "hints", ""] if plugin is FitNet else ["teacher", ""])
    assert [len(stages[0][1].get_submodule(f"layer{n}")) for n in range(1, 5)] == [3, 4, 6, 3]
    term = {SimilarityPreserving: "similarity", AttentionTransfer: "attention", FitNet: "soft"}[plugin]
    assert stages[-1][2] == {"bce", term}
    assert any(name.startswith("teacher.layer4") for name in stages[-1][3])
    if plugin is FitNet:
        assert stages[1][2] == {"hint"} and stages[1][1].regressor is not None
        assert any(name.startswith("student.layer1") for name in stages[-1][3])


def test_resnet18_led_has_two_forms():
    assert isinstance(built(ResNet18LED).net, ResNet3D18)
    stack = built(ResNet18LED, "stack").net
    assert isinstance(stack, ClipResNet) and stack.conv1.in_channels == 5


@pytest.mark.parametrize("form", ["video", "stack"])
def test_resnet18_led_sees_no_still_face(form):
    torch.manual_seed(0)
    module = ResNet18LED(width=4, form=form).build(task()).eval()
    still = module(torch.rand(2, 1, 1, 64, 64).expand(-1, 6, -1, -1, -1))
    torch.testing.assert_close(still[0], still[1])
    moving = module(torch.rand(2, 6, 1, 64, 64))
    assert (moving[0] - moving[1]).abs().max() > 1e-3


def test_resnet18_led_learns_its_constants_faster():
    model = ResNet18LED(width=4)
    groups = model.parameter_groups(model.build(task()))
    assert [group.get("lr_scale", 1.0) for group in groups] == [1.0, 1000.0]
    assert len(groups[1]["params"]) == 3


def test_one_frame_cannot_be_filtered():
    with pytest.raises(UsageError, match=r"LED needs 2 frames, got 1; set preprocess\.frames"):
        ResNet18LED().build(task(frames=1))


@pytest.mark.parametrize("plugin", [ResNet18, ResNet34, ResNet18LED, *STUDENTS])
def test_a_run_without_torchvision_is_refused_before_it_starts(plugin, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"pip install 'auharness\[vision\]'"):
        plugin().check_ready(origin="synthetic", weights=False)
