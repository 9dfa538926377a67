"""The model contract passes a good plugin, and each planted fault fails exactly the check that names it."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from auharness import ModelPlugin, Output, Preprocess, Task
from auharness.errors import UsageError
from auharness.losses.default import default_loss
from auharness.testing import FakeUnit, check_model, fake_batch, fake_task
from auharness.testing.fake import FakePredictor

SIDE = 16


class Sound(ModelPlugin):
    name = "sound"
    presets: ClassVar = {"tiny": {"preprocess": {"crop": SIDE}}, "wide": {"width": 4}}
    variants = ("wide",)

    width: int = 2
    preprocess: Preprocess = Preprocess(resize=32, crop=32)

    def build(self, task: Task) -> nn.Module:
        return self.body(task)

    def body(self, task: Task) -> nn.Module:
        inner = (task.image_size - 2) ** 2 * self.width
        return nn.Sequential(nn.Conv2d(3, self.width, 3), nn.Flatten(), nn.Linear(inner, task.num_outputs))


class Wrapped(nn.Module):
    """A module with something wrong around a right one."""

    def __init__(self, inner, change=lambda logits: logits):
        super().__init__()
        self.inner = inner
        self.change = change

    def forward(self, *inputs):
        return self.change(self.inner(*inputs))


def failed(plugin) -> dict[str, str]:
    return {check.name: check.message for check in check_model(plugin) if not check.passed}


def test_a_sound_plugin_passes_every_check():
    assert failed(Sound) == {}
    assert len(check_model(Sound)) == 18


def changed(**members):
    return type("Changed", (Sound,), {"__module__": __name__, **members})


class Spare(Wrapped):
    def __init__(self, inner):
        super().__init__(inner)
        self.spare = nn.Linear(2, 2)


class Noted(Wrapped):
    def get_extra_state(self):
        return {"note": "a pickle"}

    def set_extra_state(self, state):
        pass


def bce(logits, target):
    return nn.functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")


FAULTS = {
    "name": (changed(name="My_Net"), "the name is lower case with hyphens"),
    "mutable setting": (
        changed(__annotations__={"sizes": list}, sizes=[1]),
        "settings are frozen",
    ),
    "preset": (changed(presets={"tiny": {"widht": 3}}, variants=()), "every preset and by_dataset entry resolves"),
    "variant": (changed(variants=("gone",)), "every preset and by_dataset entry resolves"),
    "by_dataset": (changed(by_dataset={"x": {"width": "a"}}), "every preset and by_dataset entry resolves"),
    "inputs": (changed(inputs=("picture",)), "inputs are known batch keys"),
    "score kind": (changed(score_kind="score"), "score_kind is logit, probability or margin"),
    "no module": (changed(build=lambda self, task: 3), "build returns a module"),
    "shape": (changed(build=lambda s, t: Wrapped(s.body(t), lambda x: x[:, :1])), "logits are [B,A], finite"),
    "nan": (changed(build=lambda s, t: Wrapped(s.body(t), lambda x: x / 0 * 0)), "logits are [B,A], finite"),
    "range": (changed(score_kind="probability"), "logits are [B,A], finite"),
    "variant build": (
        changed(build=lambda s, t: s.body(t) if s.width == 2 else Wrapped(s.body(t), lambda x: x * torch.nan)),
        "every variant gives logits",
    ),
    "crossed": (changed(crossed=("gone",)), "crossed presets and controls of the ablation exist"),
    "control": (changed(controls=("tiny", "no-such-model")), "crossed presets and controls of the ablation exist"),
    "uncrossed": (changed(uncrossed=("tiny",)), "crossed presets and controls of the ablation exist"),
    "seed": (
        changed(build=lambda s, t: seeded_by_clock(s.body(t))),
        "the same seed gives the same weights",
    ),
    "groups": (
        changed(parameter_groups=lambda s, m: [{"params": list(m.parameters())[1:]}]),
        "each trainable parameter is in exactly one optimiser group",
    ),
    "two groups": (
        changed(parameter_groups=lambda s, m: [{"params": list(m.parameters())}, {"params": [m[0].weight]}]),
        "each trainable parameter is in exactly one optimiser group",
    ),
    "loss shape": (
        changed(loss=lambda s, o, b, t: {"bce": default_loss(o.logits, b["target"], t)["bce"][None]}),
        "loss terms are finite scalars, also where nothing is coded",
    ),
    "loss of nothing": (
        changed(loss=lambda s, o, b, t: {"bce": o.logits[b["target"] >= 0].mean()}),
        "loss terms are finite scalars, also where nothing is coded",
    ),
    "unmasked": (
        changed(loss=lambda s, o, b, t: {"bce": bce(o.logits, b["target"]).mean()}),
        "a label that is not coded gives no gradient",
    ),
    "spare": (
        changed(build=lambda s, t: Spare(s.body(t))),
        "every gradient is finite, or its parameter is declared unused",
    ),
    "batch": (
        changed(build=lambda s, t: Wrapped(s.body(t), lambda x: x - x.mean(0))),
        "the batch size changes no logit",
    ),
    "state": (changed(build=lambda s, t: Noted(s.body(t))), "the state holds tensors only"),
    "fit": (
        changed(fit=lambda s, u: FakePredictor(Wrapped(s.body(u.task), lambda x: x[0]), ("image",))),
        "fit returns a predictor",
    ),
}

CLOCK = iter(range(1000))


def seeded_by_clock(module):
    with torch.no_grad():
        module[0].weight.fill_(float(next(CLOCK)))
    return module


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_check_alone(fault):
    plugin, check = FAULTS[fault]
    found = failed(plugin)
    assert list(found) == [check]
    assert found[check]


def test_a_declared_unused_parameter_has_no_gradient():
    spare = {"build": lambda s, t: Spare(s.body(t))}
    assert failed(changed(**spare, unused=property(lambda s: ("spare.*",)))) == {}
    found = failed(changed(**spare, unused=property(lambda s: ("*",))))
    assert list(found) == ["every gradient is finite, or its parameter is declared unused"]
    assert "has a gradient; expected none, as it is named in `unused`" in next(iter(found.values()))


def test_an_error_in_the_plugin_names_its_line():
    def build(self, task):
        raise KeyError("lost")

    message = failed(changed(build=build))["build returns a module"]
    line = build.__code__.co_firstlineno + 1
    assert message == f"KeyError: 'lost' (test_models.py:{line})"


def test_a_plugin_may_refuse_the_kinds_it_does_not_do():
    def build(self, task):
        if task.kind != "clip-multiclass":
            raise UsageError("classes only")
        return self.body(task)

    assert failed(changed(build=build)) == {}


class Heard(Sound):
    inputs = ("clip", "audio", "landmarks", "frame_s")
    per_frame = True
    preprocess: Preprocess = Preprocess(resize=32, crop=32, frames=4)

    def build(self, task):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(3, task.num_outputs)

            def forward(self, clip, audio, landmarks, frame_s):
                assert clip.shape[1:] == (4, 3, SIDE, SIDE) and landmarks.shape[1:] == (4, 68, 2)
                assert (frame_s > 0).all() and (16_000 * frame_s < audio.shape[1]).all()
                means = clip.mean(dim=(3, 4)) + audio.mean(1)[:, None, None] + landmarks.mean(dim=(2, 3))[..., None]
                return Output(self.head(means), {"means": means})

        return Net()


class HeardOnce(Heard):
    per_frame = False


def test_a_model_of_windows_answers_for_each_frame():
    assert failed(Heard) == {}


def test_sound_goes_only_to_models_of_windows():
    assert "KeyError: 'audio'" in failed(HeardOnce)["logits are [B,A], finite"]


def test_landmarks_lie_inside_the_crop():
    model = Heard()
    batch = fake_batch(model, fake_task(model), size=4)
    assert batch["landmarks"].min() > 0 and batch["landmarks"].max() < model.preprocess.crop


def test_a_fake_unit_trains_one_step(tmp_path):
    model = Sound()
    task = fake_task(model)
    unit = FakeUnit(model, task, folder=tmp_path)
    torch.manual_seed(0)
    before = model.build(task).state_dict()
    torch.manual_seed(0)
    predictor = unit.train(model)
    assert any(not torch.equal(before[name], tensor) for name, tensor in predictor.state().items())
    assert sum(len(batch["sample_id"]) for batch in unit.train_data.batches(5)) == len(unit.train_data)
