import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional as F

from auharness.losses import attention_transfer, hint, similarity_preserving, soft_targets


def test_soft_targets_by_hand():
    # student p = sigmoid(ln 3 / 2) and teacher q = 3/4, 1/2 at temperature 2
    value = soft_targets(
        torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]]), temperature=2.0
    )
    p = 1 / (1 + 3**-0.5)
    first = -(0.75 * math.log(p) + 0.25 * math.log(1 - p))
    assert value.item() == pytest.approx((first + math.log(2)) / 2, rel=1e-6)


def test_sure_teachers_at_temperature_1_are_labels():
    logits = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])
    value = soft_targets(logits, 200.0 * labels - 100.0, temperature=1.0)
    expected = log_loss(labels.flatten().numpy(), torch.sigmoid(logits.double()).flatten().numpy())
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_a_hint_is_half_the_mean_square():
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    assert hint(student, teacher).item() == (1 + 9) / 2 / 2


def test_similarities_by_hand():
    # student rows (1, 0), (1, 1): G = [[1, 1], [1, 2]]; the teacher's are orthogonal: G = identity
    student = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(2, 2, 1, 1)
    teacher = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0]]).view(2, 1, 3, 1)
    r2, r5 = 2**-0.5, 5**-0.5
    expected = ((1 - r2) ** 2 + r2**2 + r5**2 + (1 - 2 * r5) ** 2) / 4
    assert similarity_preserving(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_similarities_ignore_scale_and_rotation():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5, 4, 2, 2, generator=generator)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    turned = 3 * (features.flatten(1) @ turn).view(5, 16, 1, 1)
    assert similarity_preserving(turned, features).item() == pytest.approx(0, abs=1e-10)


def test_attention_by_hand_is_summed_over_pairs():
    # mean squares over channels: (9 + 7, 0 + 9) / 2 = (8, 4.5) ~ (16, 9); teacher (0, 1)
    student = torch.tensor([[[[3.0, 0.0]], [[7**0.5, 3.0]]]])
    teacher = torch.tensor([[[[0.0, 2.0]]]])
    length = (16**2 + 9**2) ** 0.5
    one = ((16 / length) ** 2 + (1 - 9 / length) ** 2) / 2
    assert attention_transfer([student], [teacher]).item() == pytest.approx(one, rel=1e-6)
    assert attention_transfer([student] * 3, [teacher] * 3).item() == pytest.approx(3 * one, rel=1e-6)


def test_attention_looks_at_places_and_not_at_channels():
    features = torch.randn(3, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    assert attention_transfer([features[:, [3, 1, 0, 5, 2, 4]]], [-2 * features]).item() == pytest.approx(0, abs=1e-12)
    assert attention_transfer([features.flip(-1)], [features]).item() > 1e-4


@pytest.mark.parametrize(
    "loss",
    [
        lambda one, other: soft_targets(one, other, temperature=3.0),
        hint,
        similarity_preserving,
        lambda one, other: attention_transfer([one], [other]),
    ],
)
def test_only_the_student_learns(loss):
    student, teacher = (torch.randn(3, 2, 4, 4, requires_grad=True) for _ in range(2))
    loss(student, teacher).backward()
    assert student.grad.abs().max() > 0
    assert teacher.grad is None


def test_dead_maps_have_finite_gradients():
    student = torch.zeros(3, 2, 4, 4, requires_grad=True)
    value = similarity_preserving(F.relu(student), torch.ones(3, 2, 4, 4)) + attention_transfer(
        [F.relu(student)], [torch.ones(3, 2, 4, 4)]
    )
    value.backward()
    assert student.grad.isfinite().all()
