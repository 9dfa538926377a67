"""Teacher and student through the training loop, on clips made by hand."""

import cv2
import numpy as np
import pytest
import torch

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.data.cache import CropCache, CropSettings
from auharness.data.clips import frames_of
from auharness.losses import similarity_preserving
from auharness.nn.resnet2d import ClipResNet
from auharness.records import ClipRecord, Media, Task
from auharness.training.clip_source import ClipSource
from auharness.training.distillation import StudentPredictor, TeacherStudent, distil, train_hints, train_teacher
from auharness.training.source import Rows
from auharness.training.unit import TrainingUnit, make_fabric

SIDE, FRAMES, CLIPS = 33, 3, 6
TASK = Task(("AU1", "AU2"), "clip-multilabel", "casme2", (3, 3), (CLIPS, CLIPS), SIDE, FRAMES)


class Student(ModelPlugin):
    name = "student"
    inputs = ("clip",)
    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=SIDE,
        crop=SIDE,
        frames=FRAMES,
        channels=1,
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    augment: Augment = Augment(flip=0, random_crop=False, brightness=0.2, contrast=0, saturation=0)
    recipe: Recipe = Recipe(epochs=2, batch_size=3, lr=1e-2)

    def build(self, task):
        return net(18)

    def pair(self, task):
        return TeacherStudent(net(18), net(34))

    def fit(self, unit):
        teacher = train_teacher(unit, self, lambda task: net(34))
        return distil(unit, self, self.pair, transfer=self.transfer, weights=teacher)

    def transfer(self, aux):
        return {"similarity": similarity_preserving(aux["student3"], aux["teacher3"])}


def net(depth):
    return ClipResNet(FRAMES, 2, depth=depth, width=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    random, cache, records = np.random.default_rng(0), CropCache(root / "cache"), []
    for number in range(CLIPS):
        media = tuple(Media(f"{number}-{frame}.png") for frame in range(FRAMES))
        for item in media:
            cv2.imwrite(str(root / item.path), random.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
        record = ClipRecord("casme2", f"{number}", f"{number}/EP", tuple(range(FRAMES)), media)
        cache.prepare_sequence(root, record.sequence, frames_of(record), CropSettings("none", SIDE, "mean-shape"))
        records.append(record)
    numbers = np.empty(CLIPS, object)
    numbers[:] = [np.arange(FRAMES)] * CLIPS
    rows = Rows(
        sample_ids=[record.id for record in records],
        subjects=[record.subject for record in records],
        datasets=["casme2"] * CLIPS,
        sequences=[record.sequence for record in records],
        frames=numbers,
        time_s=np.zeros(CLIPS),
    )
    targets = np.array([[1, 0], [0, 1]] * (CLIPS // 2), np.int8)
    plugin = Student()
    return ClipSource(rows, {"casme2": cache}, targets=targets, preprocess=plugin.preprocess, augment=plugin.augment)


@pytest.fixture
def unit(source, tmp_path):
    return make_unit(source, tmp_path / "unit")


def make_unit(source, folder):
    folder.mkdir(exist_ok=True)
    events = []
    fabric = make_fabric("cpu", "32-true")
    unit = TrainingUnit(
        TASK, source, None, fabric=fabric, seed=1, folder=folder, log=lambda event, **values: events.append(values)
    )
    unit.events = events
    return unit


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_while_training_both_networks_are_seen_and_the_teacher_stays_as_it_is():
    torch.manual_seed(0)
    pair = TeacherStudent(net(18), net(34), guided=1).train()
    before = {name: value.clone() for name, value in pair.teacher.state_dict().items()}
    clip = torch.rand(4, FRAMES, 1, SIDE, SIDE)
    output = pair(clip)
    for who, network in (("student", pair.student), ("teacher", pair.teacher)):
        assert [output.aux[f"{who}{stage}"].shape[1] for stage in range(4)] == list(network.widths)
    torch.testing.assert_close(output.aux["teacher_logits"], net_eval(pair.teacher, clip))
    assert output.aux["regressed"].shape == output.aux["teacher1"].shape
    assert output.logits is output.aux["student_logits"]
    (output.logits.sum() + output.aux["regressed"].sum() + output.aux["teacher_logits"].sum()).backward()
    assert all(value.grad is None for value in pair.teacher.parameters())
    assert pair.student.conv1.weight.grad.abs().max() > 0
    assert same(before, pair.teacher.state_dict())  # running statistics too


def net_eval(network, clip):
    with torch.no_grad():
        return network.eval()(clip)


def test_after_training_the_teacher_is_not_called():
    torch.manual_seed(0)
    pair = TeacherStudent(net(18), net(34)).eval()
    clip = torch.rand(2, FRAMES, 1, SIDE, SIDE)
    pair.teacher.stages = None  # calling it would fail
    output = pair(clip)
    assert not output.aux
    torch.testing.assert_close(output.logits, pair.student(clip))


def test_the_teacher_is_trained_first_and_the_student_stands_alone_afterwards(source, unit, tmp_path):
    seen = []
    unit.observe = lambda epoch, model: seen.append((epoch, type(model.module)))
    predictor = Student().fit(unit)
    assert isinstance(predictor, StudentPredictor)
    epochs = [event for event in unit.events if "epoch" in event]
    assert [(event.get("stage", ""), event["epoch"]) for event in epochs] == [
        ("teacher", 1),
        ("teacher", 2),
        ("", 1),
        ("", 2),
    ]
    assert [event.get("similarity", 0) > 0 for event in epochs] == [False, False, True, True]
    assert seen == [(1, TeacherStudent), (2, TeacherStudent)]
    # to the last bit the teacher that was trained, and nothing that the student's stage changed
    taught = train_teacher(make_unit(source, tmp_path / "alone"), Student(), lambda task: net(34))
    had = predictor._pair.module.teacher.state_dict()
    assert same(taught, {f"teacher.{name}": value for name, value in had.items()})
    alone = net(18)
    alone.load_state_dict(predictor.state())
    (batch,) = unit.train_data.batches(CLIPS)
    torch.testing.assert_close(net_eval(alone, batch["clip"]), predictor(batch))
    assert (predictor.chosen_epoch, predictor.epochs) == (2, 2)


def test_a_unit_killed_in_the_second_stage_goes_on_to_the_same_weights(source, unit, tmp_path, monkeypatch):
    whole = Student().fit(unit).state()
    killed = make_unit(source, tmp_path / "killed")
    killed.checkpoint_s = 0.0

    def stop(epoch, model):
        raise KeyboardInterrupt

    killed.observe = stop
    with pytest.raises(KeyboardInterrupt):
        Student().fit(killed)
    assert (tmp_path / "killed" / "teacher" / "checkpoint.safetensors").is_file()
    again = make_unit(source, tmp_path / "killed")
    assert same(whole, Student().fit(again).state())
    assert sum("batch" in event for event in again.events) == 2  # both stages resumed


def test_hints_train_the_student_up_to_the_guided_stage_only(unit):
    plugin = Student()
    torch.manual_seed(0)
    teacher = train_teacher(unit, plugin, lambda task: net(34))
    pairs = []

    def guided(task):
        pairs.append(TeacherStudent(net(18), net(34), guided=1))
        pairs.append({name: value.clone() for name, value in pairs[0].student.named_parameters()})
        return pairs[0]

    weights = train_hints(
        unit, plugin, guided, transfer=lambda aux: {"hint": aux["regressed"].square().mean()}, epochs=1, teacher=teacher
    )
    assert all(name.startswith("student.") for name in weights)
    changed = {name for name, value in pairs[1].items() if not torch.equal(value, weights[f"student.{name}"])}
    assert changed and all(name.startswith(("conv1", "bn1", "layer1", "layer2")) for name in changed)
    assert {"layer1.0.conv1.weight", "layer2.1.conv2.weight"} <= changed
    assert [event["epoch"] for event in unit.events if event.get("stage") == "hints" and "epoch" in event] == [1]
