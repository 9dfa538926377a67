import pytest
import torch
from sklearn.metrics import log_loss

from auharness.losses import default_loss
from auharness.records import Task


def _task(kind, outputs=("AU1", "AU2")):
    return Task(outputs, kind, "bp4d", (1,) * len(outputs), (2,) * len(outputs))


def test_multi_label_loss_is_the_log_loss_of_the_coded_entries():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 2, generator=generator)
    target = torch.randint(-1, 2, (20, 2), generator=generator)
    coded = target >= 0
    expected = log_loss(target[coded].numpy(), torch.sigmoid(logits[coded].double()).numpy())
    terms = default_loss(logits, target, _task("frame-multilabel"))
    assert list(terms) == ["bce"]
    assert terms["bce"].item() == pytest.approx(expected, rel=1e-5)


def test_frame_predictions_of_a_clip_are_averaged_over_coded_frames():
    logits, target = torch.zeros(2, 3, 2), torch.zeros(2, 3, 2, dtype=torch.int64)
    target[0, 0] = -1
    value = default_loss(logits, target, _task("clip-multilabel"))["bce"]
    assert value.item() == pytest.approx(0.6931472)


def test_class_loss_is_the_log_loss_of_the_coded_rows():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 3, generator=generator)
    target = torch.randint(-1, 3, (20,), generator=generator)
    coded = target >= 0
    expected = log_loss(target[coded].numpy(), logits[coded].double().softmax(-1).numpy(), labels=[0, 1, 2])
    terms = default_loss(logits, target, _task("clip-multiclass", ("Happy", "Sad", "Neutral")))
    assert terms["cross_entropy"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["frame-multilabel", "clip-multiclass"])
def test_nothing_coded_gives_zero_with_a_gradient(kind):
    logits = torch.randn(3, 2, requires_grad=True)
    target = torch.full((3,) if kind == "clip-multiclass" else (3, 2), -1)
    (value,) = default_loss(logits, target, _task(kind)).values()
    value.backward()
    assert value.item() == 0.0
    assert logits.grad.abs().max() == 0


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.full((4096, 16), 20.0, dtype=torch.float16)
    value = default_loss(logits, torch.zeros(4096, 16, dtype=torch.int8), _task("frame-multilabel"))["bce"]
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(20.0)  # the sum 1.3e6 does not fit float16
