"""Weights against the constants that ME-GraphAU ships, and those of DFEW's first fold by hand."""

import csv
from importlib.resources import files

import pytest
import torch

from auharness.losses import class_weights, inverse_frequency

# test part P3, so the rates of P1 and P2: ME-GraphAU (IJCAI 2022), BP4D_weight_fold1.txt and DISFA_weight_fold1.txt
PUBLISHED = {
    "bp4d": (1.3430, 1.6897, 1.2481, 0.5614, 0.4330, 0.4359, 0.4573, 0.5410, 1.4081, 0.7228, 1.4931, 1.6667),
    "disfa": (1.4223, 2.3478, 0.3997, 0.7950, 1.8782, 0.4401, 0.1956, 0.5213),
}


def _training_rates(dataset, test_part):
    text = (files("auharness.data.synthetic") / "counts" / f"{dataset}_counts.csv").read_text()
    rows = [row for row in csv.DictReader(text.splitlines()) if row["part"] != test_part]
    frames = sum(int(row["frames"]) for row in rows)
    columns = [name for name in rows[0] if name.startswith("AU")]
    return [sum(int(row[name]) for row in rows) / frames for name in columns]


@pytest.mark.parametrize("dataset", sorted(PUBLISHED))
def test_weights_of_the_published_counts_are_the_published_weights(dataset):
    weights = class_weights(_training_rates(dataset, "P3"))
    torch.testing.assert_close(weights, torch.tensor(PUBLISHED[dataset]), rtol=0, atol=5.1e-5)


def test_weights_have_mean_one_and_fall_with_the_rate():
    weights = class_weights([0.1, 0.2, 0.4])
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    torch.testing.assert_close(weights[0] / weights[2], torch.tensor(4.0))


def test_an_output_that_never_occurs_weighs_as_the_rarest_one_that_does():
    weights = class_weights([0.0, 0.1, 0.2])
    torch.testing.assert_close(weights, torch.tensor([1.2, 1.2, 0.6]))


def test_an_output_that_is_never_coded_has_no_weight_and_does_not_change_the_others():
    weights = class_weights([float("nan"), 0.1, 0.2])
    torch.testing.assert_close(weights, torch.cat((torch.zeros(1), class_weights([0.1, 0.2]))))


def test_without_a_single_positive_all_coded_outputs_weigh_the_same():
    assert class_weights([0.0, 0.0, float("nan")]).tolist() == [1.0, 1.0, 0.0]


DFEW_FOLD1 = (1956, 1515, 2135, 1738, 1175, 116, 721)
"""Training clips: Happy, Sad, Neutral, Angry, Surprise, Disgust, Fear."""


@pytest.mark.parametrize(
    ("smoothing", "weights"),
    [
        ("none", (0.683, 0.882, 0.626, 0.769, 1.138, 10, 1.854)),
        ("sqrt", (0.827, 0.939, 0.791, 0.877, 1.067, 3.394, 1.362)),
    ],
)
def test_weights_of_dfew_fold_1(smoothing, weights):
    found = inverse_frequency(DFEW_FOLD1, smoothing=smoothing)
    torch.testing.assert_close(found, torch.tensor(weights, dtype=torch.float32), rtol=0, atol=5.1e-4)
    # as the paper says, these three weigh more than 1
    assert (found > 1).tolist() == [False] * 4 + [True] * 3


def test_added_counts_and_effective_numbers_by_hand():
    # half the mean size of 2 is added: sizes 4 and 2 with mean 3
    found = inverse_frequency((3, 1), smoothing="additive", added=0.5)
    torch.testing.assert_close(found, torch.tensor([3 / 4, 3 / 2]))
    # (1 - b) / (1 - b^n) is 1/1.75 for three samples and 1 for one
    found = inverse_frequency((3, 1), smoothing="effective_number", beta=0.5)
    rarest = 2 / (1 / 1.75 + 1)
    torch.testing.assert_close(found, torch.tensor([rarest / 1.75, rarest]))


def test_smoothing_holds_rare_classes_back_and_the_limits_come_last():
    rare = {name: float(inverse_frequency(DFEW_FOLD1, smoothing=name)[5]) for name in ("none", "additive", "sqrt")}
    assert rare["none"] == 10 and rare["sqrt"] < rare["additive"] < 10
    assert inverse_frequency((1000, 1, 0), limits=(0.5, 2.0)).tolist() == [0.5, 2.0, 2.0]
