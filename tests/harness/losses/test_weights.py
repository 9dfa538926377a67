"""Class weights against the constants that ME-GraphAU ships."""

import csv
from importlib.resources import files

import pytest
import torch

from auharness.losses import class_weights

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
