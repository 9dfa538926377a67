import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.svm import SVC

from auharness.errors import UsageError
from auharness.records import Task
from auharness.settings import resolve
from auharness.testing import FakeUnit
from auharness_plugins.models import lbp_top
from auharness_plugins.models.lbp_top import LBPTOP

SIDE, SUBJECTS = 24, 5
OUTPUTS = ("AU1", "AU2", "AU4", "AU12")


class Source:
    """Clips of a few subjects; AU1 brightens a stripe over time, the other labels have nothing to do with them."""

    def __init__(self, rows=30, seed=0):
        random = torch.Generator().manual_seed(seed)
        self.targets = torch.randint(0, 2, (rows, len(OUTPUTS)), generator=random).to(torch.int8)
        self.targets[:, 2] = 0  # one class
        self.targets[::3, 3] = -1  # not always coded
        self.subjects = [f"S{row % SUBJECTS}" for row in range(rows)]
        faces = torch.randint(40, 200, (rows, 1, 1, SIDE, SIDE), generator=random).float()
        noise = torch.randint(0, 12, (rows, 10, 1, SIDE, SIDE), generator=random).float()
        self.clips = faces + noise
        rise = torch.arange(10.0)[None, :, None, None, None] * 4
        self.clips[..., 8:16] += rise * self.targets[:, 0].view(-1, 1, 1, 1, 1)
        self.clips = (self.clips / 255).clamp(0, 1)

    def __len__(self):
        return len(self.clips)

    def batches(self, size, *, generator=None, device=None):
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield {
                "clip": self.clips[part],
                "target": self.targets[part],
                "subject": self.subjects[part],
                "sample_id": [f"casme2/{subject}/{start}" for subject in self.subjects[part]],
            }


def plugin(*presets, **settings):
    small = {"preprocess": {"resize": SIDE, "crop": SIDE}, "blocks": (2, 2), **settings}
    return resolve(LBPTOP, presets=presets, layers=[("test", small)]).plugin


def unit(model, folder, source):
    task = Task(OUTPUTS, "clip-multilabel", "casme2", (1,) * 4, (len(source),) * 4, SIDE, 10)
    made = FakeUnit(model, task, folder=folder)
    made.train_data = source
    return made


def features(predictor, source):
    return predictor.module.features(source.clips).double().numpy()


def test_a_linear_machine_gives_scikit_learns_margins(tmp_path):
    source, other = Source(), Source(seed=1)
    model = plugin("paper", costs=(10.0,))
    predictor = model.fit(unit(model, tmp_path, source))
    scores = predictor({"clip": other.clips}).double().numpy()
    for column in (0, 1, 3):
        coded = source.targets[:, column] >= 0
        svm = SVC(C=10.0, kernel="linear", class_weight="balanced")
        svm.fit(features(predictor, source)[coded], source.targets[coded, column])
        np.testing.assert_allclose(scores[:, column], svm.decision_function(features(predictor, other)), atol=1e-4)


def test_the_preset_meb_is_scikit_learns_cubic_machine_on_raw_counts(tmp_path):
    source, other = Source(), Source(seed=1)
    model = plugin("meb")
    predictor = model.fit(unit(model, tmp_path, source))
    scores = predictor({"clip": other.clips}).double().numpy()
    seen = features(predictor, source)
    assert (seen == seen.round()).all() and seen.max() > 1
    svm = SVC(kernel="poly", gamma="scale").fit(seen, source.targets[:, 0])
    np.testing.assert_allclose(scores[:, 0], svm.decision_function(features(predictor, other)), atol=1e-3)


def test_an_au_with_one_class_gets_a_constant_margin(tmp_path):
    source = Source()
    source.targets[:, 1] = 1
    source.targets[:, 3] = -1
    model = plugin("paper")
    scores = model.fit(unit(model, tmp_path, source))({"clip": Source(seed=1).clips})
    assert scores[:, 1].unique().tolist() == [1.0]
    assert scores[:, 2].unique().tolist() == [-1.0]
    assert scores[:, 3].unique().tolist() == [-1.0]
    assert len(scores[:, 0].unique()) > 1


def test_a_movement_that_the_pixels_of_one_frame_do_not_show_is_found(tmp_path):
    source, other = Source(rows=40), Source(rows=40, seed=1)
    model = plugin("paper")
    scores = model.fit(unit(model, tmp_path, source))({"clip": other.clips})
    assert ((scores[:, 0] >= 0) == (other.targets[:, 0] == 1)).float().mean() > 0.9


def test_c_is_chosen_on_training_subjects_that_the_inner_machine_has_not_seen(tmp_path, monkeypatch):
    groups_of = []

    class Watched(GroupKFold):
        def split(self, X, y=None, groups=None):
            for train, held_out in super().split(X, y, groups):
                groups_of.append(({groups[i] for i in train}, {groups[i] for i in held_out}))
                yield train, held_out

    monkeypatch.setattr(lbp_top, "GroupKFold", Watched)
    model = plugin("paper", inner_folds=3)
    made = unit(model, tmp_path, Source())
    model.fit(made)
    chosen = {values["output"]: values["C"] for event, values in made.events if event == "svm"}
    assert set(chosen) == set(OUTPUTS) and set(chosen.values()) <= set(model.costs)
    assert len(groups_of) == 3 * len(OUTPUTS)
    for train, held_out in groups_of:
        assert held_out and not train & held_out
        assert all(name.startswith("casme2/S") for name in train)


def test_c_is_the_best_of_a_search_by_scikit_learn_and_the_smallest_of_equals():
    random = np.random.default_rng(0)
    labels = (random.uniform(size=60) < 0.3).astype(np.int8)
    groups = [f"s{row // 6}" for row in range(60)]
    model = plugin("paper", costs=(1e-3, 1e-2, 0.1, 1.0, 10.0))
    chosen = set()
    for shift in (0.5, 1.0, 1.5, 2.0, 20.0):
        points = random.normal(size=(60, 8)) + shift * labels[:, None] * (np.arange(8) < 2)
        scores = []
        for cost in model.costs:
            svm = SVC(C=cost, kernel="linear", class_weight="balanced")
            said = cross_val_predict(svm, points, labels, groups=groups, cv=GroupKFold(5))
            scores.append(f1_score(labels, said, average="macro"))
        found = model._cost(points @ points.T, labels, groups)
        assert found == model.costs[scores.index(max(scores))]
        chosen.add(found)
    assert len(chosen) > 2
    # without a second subject nothing can be left out
    assert model._cost(points @ points.T, labels, ["s0"] * 60) == 0.1


def test_the_state_is_tensors_that_a_fresh_module_takes(tmp_path):
    source = Source()
    for presets in (("paper",), ("meb",)):
        model = plugin(*presets)
        made = unit(model, tmp_path, source)
        predictor = model.fit(made)
        fresh = model.build(made.task)
        fresh.load_state_dict(predictor.state())
        torch.testing.assert_close(fresh(source.clips), predictor({"clip": source.clips}))


def test_a_margin_does_not_depend_on_the_batch(tmp_path):
    source = Source()
    model = plugin("paper")
    predictor = model.fit(unit(model, tmp_path, source))
    alone = torch.cat([predictor({"clip": source.clips[i : i + 1]}) for i in range(5)])
    torch.testing.assert_close(alone, predictor({"clip": source.clips})[:5], atol=1e-5, rtol=0)


def test_the_published_size_of_the_features():
    model = resolve(LBPTOP, presets=("meb",)).plugin
    task = Task(OUTPUTS, "clip-multilabel", "casme2", (1,) * 4, (2,) * 4, 112, 10)
    assert model.build(task).features(torch.rand(1, 10, 1, 112, 112)).shape == (1, 11328)


def test_what_cannot_be_computed_is_refused_with_the_setting_that_helps():
    task = Task(OUTPUTS, "clip-multilabel", "casme2", (1,) * 4, (2,) * 4, 112, 6)
    with pytest.raises(UsageError, match=r"need 7 frames of 14 px, got 6 of 112 px; set preprocess\.frames"):
        LBPTOP().build(task)
    with pytest.raises(ValueError, match="positive numbers in ascending order"):
        LBPTOP(costs=(1.0, 0.1))
