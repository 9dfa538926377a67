"""Counts of shipped models at the size of their papers, and of plugins that refuse or break."""

import pytest
import torch
from torch import nn

from auharness import registry
from auharness.api import ModelPlugin, Preprocess
from auharness.bench import case as cases
from auharness.bench.case import Case
from auharness.bench.counting import count_case
from auharness.leaderboard.cost.home import home

# `efficiency/test_shipped_models` counts all of them in every run of the tests; here all nightly
FAST = ("au-ttt", "mamba-dfer", "vit-s16", "lbp-top", "constant")
NAMES = [pytest.param(n, marks=[pytest.mark.nightly] * (n not in FAST)) for n in registry.names("model")]


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_model_is_covered_at_the_size_of_its_paper(name):
    count = count_case(Case(name, ("paper",), home(name, ("paper",))))
    assert (count.status, count.note) == ("ok", "")
    assert count.coverage >= 0.99
    assert count.trainable <= count.parameters
    assert count.flops >= 2 * count.macs >= 0
    assert count.peak_bytes >= count.weight_bytes
    assert count.input_bytes > 0


# parameters and GMACs as the authors or torchvision publish them
@pytest.mark.parametrize(
    ("name", "dataset", "parameters", "gmacs"),
    [
        ("vit-s16", "bp4d", 22e6, 4.6),  # DeiT-S: arXiv:2012.12877, table 5
        ("r3d-18", "dfew", 33.17e6, 40.70),  # torchvision 0.28, r3d_18 with 7 classes
        ("former-dfer", "dfew", 18.03e6, 8.30),  # its public code
        ("resnet3d-18", "dfew", 33.2e6, 8.32),  # dfew_5fold.reported.json
    ],
)
def test_counts_are_the_published_ones(name, dataset, parameters, gmacs):
    count = count_case(Case(name, ("paper",), dataset))
    assert count.parameters == pytest.approx(parameters, rel=0.02)
    assert count.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_the_memory_without_a_device_is_what_a_cpu_holds():
    from auharness.bench.timing import time_module

    case = Case("small-cnn", ("tiny",), "bp4d")
    subject = case.subject()
    timed = time_module(subject.module("cpu"), subject.inputs("cpu"), dtype="float32", mode="eager", seconds=0.0)
    assert timed["peak_bytes"] == count_case(case).peak_bytes
    # the input alone, as a hand counts it: 3 x 56 x 56 float32
    assert count_case(case).input_bytes == 4 * 3 * 56 * 56


def test_a_convolution_grows_with_the_pixels():
    small, large = (count_case(Case("resnet18", ("paper",), "casme2", side=side)) for side in (64, 128))
    assert large.macs / small.macs == pytest.approx(4, rel=0.01)
    assert large.input_bytes == 4 * small.input_bytes


class Odd(nn.Module):
    """Sorts, which no rule covers, or looks at a number, which `meta` does not have."""

    def __init__(self, what):
        super().__init__()
        self.what, self.linear = what, nn.Linear(3 * 16 * 16, 12)

    def forward(self, image):
        x = image.flatten(1)
        if self.what == "looks" and x.sum().item() == 0.5:
            return self.linear(-x)
        if self.what == "sorts":
            x = torch.sort(x).values
        if self.what == "breaks":
            raise ValueError("nothing\nworks")
        return self.linear(x)


def odd(what):
    class OddPlugin(ModelPlugin):
        name = "odd"
        preprocess: Preprocess = Preprocess(resize=16, crop=16)

        def build(self, task):
            return Odd(what)

    return OddPlugin


@pytest.fixture
def plugin(monkeypatch):
    load = registry.load

    def use(made):
        monkeypatch.setattr(cases.registry, "load", lambda kind, name: made if name == "odd" else load(kind, name))
        return Case("odd", (), "bp4d")

    return use


def test_a_model_that_looks_at_numbers_is_counted_on_the_cpu(plugin):
    count = count_case(plugin(odd("looks")))
    assert (count.status, count.macs) == ("ok", 12 * 768)


def test_a_count_below_the_coverage_is_not_published(plugin):
    count = count_case(plugin(odd("sorts")))
    assert (count.status, count.macs, count.flops) == ("uncovered", None, None)
    assert count.uncounted == ("aten.sort",)
    assert "aten.sort have none; the count is not published" in count.note
    assert count.parameters == 12 * 769  # no rule is needed for these


def test_a_model_that_breaks_is_one_line(plugin):
    count = count_case(plugin(odd("breaks")))
    assert (count.status, count.note) == ("failed", "ValueError: nothing works")


def test_a_size_that_a_model_refuses_says_why():
    count = count_case(Case("vit-s16", ("paper",), "bp4d", side=100))
    assert count.status == "refused"
    assert "no multiple of the patch of 16 px" in count.note
