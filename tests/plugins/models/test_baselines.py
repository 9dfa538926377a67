"""The models that stand beside AU-TTT: what is special about each."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from auharness.errors import DataError, UsageError
from auharness.records import Task
from auharness_plugins.models.constant import Constant
from auharness_plugins.models.pixel_probe import PixelProbe
from auharness_plugins.models.small_cnn import SmallCNN
from auharness_plugins.models.vit_s16 import ViTS16


def _task(image_size=56, positives=(30, 60, 0), coded=(100, 100, 0)):
    return Task(("AU1", "AU2", "AU4"), "frame-multilabel", "bp4d", positives, coded, image_size=image_size)


def test_vit_s16_has_the_published_size():
    # DeiT-S, table 1: 22 M parameters with 1000 classes, so 22.05 M - 1000 x 385
    with torch.device("meta"):
        encoder = ViTS16().encoder(224)
        module = ViTS16().build(Task(("AU1",) * 12, "frame-multilabel", "bp4d", (1,) * 12, (2,) * 12))
    assert sum(p.numel() for p in encoder.parameters()) == 22_050_664 - 1000 * 385
    assert sum(p.numel() for p in module.parameters()) == 22_050_664 - 988 * 385


def test_vit_s16_reads_the_image_through_the_class_token():
    torch.manual_seed(0)
    module = ViTS16(patch=8, dim=16, depth=1, heads=2).build(_task(16))
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(module(image), module.class_head(module.encoder(image)[:, -1]))
    assert (module(image) - module(image.flip(0))).abs().max() > 1e-4


def test_vit_s16_on_licensed_data_without_weights_names_the_ways_out():
    with pytest.raises(DataError, match=r"auharness pretrain .*--weights FILE.*--set init=none"):
        ViTS16().check_ready(origin="licensed", weights=False)
    ViTS16(init="none").check_ready(origin="licensed", weights=False)


def test_small_cnn_has_the_parameters_that_its_docstring_states():
    with torch.device("meta"):
        module = SmallCNN().build(Task(("AU1",) * 12, "frame-multilabel", "bp4d", (1,) * 12, (2,) * 12))
    assert round(sum(p.numel() for p in module.parameters()) / 1e6, 1) == 0.5


def test_small_cnn_sees_neither_the_batch_nor_the_training_mode():
    torch.manual_seed(0)
    module = SmallCNN(widths=(8, 16)).build(_task(32))
    image = torch.randn(4, 3, 32, 32)
    trained = module.train()(image)
    torch.testing.assert_close(torch.cat([module.eval()(image[i : i + 1]) for i in range(4)]), trained)


def test_pixel_probe_is_logistic_regression_on_pixels():
    torch.manual_seed(0)
    module = PixelProbe(side=2).build(_task(4))
    image, label = torch.randn(60, 3, 4, 4), torch.arange(60) % 2
    image[label == 1, 0, :2, :2] += 1
    pixels = torch.nn.functional.avg_pool2d(image, 2).flatten(1)
    truth = LogisticRegression(C=1e6).fit(pixels.numpy(), label.numpy())
    with torch.no_grad():
        module[2].weight[0] = torch.from_numpy(truth.coef_[0])
        module[2].bias[0] = float(truth.intercept_[0])
        ours = module(image)[:, 0]
    torch.testing.assert_close(
        ours, torch.from_numpy(truth.decision_function(pixels.numpy())).float(), atol=1e-4, rtol=1e-4
    )


class _Unit:
    """A unit that cannot be trained."""

    def __init__(self, task):
        self.task = task


@pytest.mark.parametrize(
    ("value", "expected"),
    [("one", [10.0] * 3), ("zero", [-10.0] * 3), ("prior", [math.log(0.3 / 0.7), math.log(0.6 / 0.4), 0.0])],
)
def test_constant_answers_the_same_for_every_sample_without_training(value, expected):
    predictor = Constant(value=value).fit(_Unit(_task()))
    scores = predictor({"image": torch.randn(5, 3, 8, 8)})
    torch.testing.assert_close(scores, torch.tensor([expected] * 5))
    torch.testing.assert_close(predictor.state()["logits"], torch.tensor(expected))


def test_constant_prior_of_an_au_that_never_or_always_occurs_is_finite():
    scores = Constant(value="prior").build(_task(positives=(0, 100, 50), coded=(100, 100, 100))).logits
    torch.testing.assert_close(scores, torch.tensor([-10.0, 10.0, 0.0]))


def test_constant_answers_the_majority_class():
    task = Task(("Happy", "Sad"), "clip-multiclass", "x", (10, 30), (40, 40))
    for value in ("one", "prior"):
        assert Constant(value=value).build(task)(torch.zeros(2, 3, 4, 4)).argmax(-1).tolist() == [1, 1]
    with pytest.raises(UsageError, match="has no meaning for classes"):
        Constant(value="zero").build(task)


@pytest.mark.parametrize("plugin", [ViTS16, SmallCNN, PixelProbe, Constant])
def test_every_baseline_has_both_sizes(plugin):
    assert {"paper", "tiny"} <= plugin.presets.keys()
    assert plugin.presets["tiny"]["preprocess"]["crop"] in (56, 64)
