"""What is measured of a case: a wrong operator gets no time, a full memory is a result."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from auharness.scaling import measure as module
from auharness.scaling.case import Case
from auharness.scaling.machine import describe
from auharness.scaling.measure import Bench, measure, relative_error
from auharness.scaling.records import Peaks
from auharness.scaling.subjects import OPERATORS, build, missing, mixer_names

CPU = torch.device("cpu")
PEAKS = Peaks(flops=1e9, bytes=1e9, exps=1e9)
WAYS = [("forward", "eager"), ("training", "eager")]


@pytest.fixture
def bench():
    return Bench(CPU, describe(CPU), peaks=lambda: PEAKS, seconds=0)


@pytest.mark.parametrize("mixer", [name for name in OPERATORS if OPERATORS[name].missing() is None])
def test_every_operator_equals_its_reference_and_gives_gradients_to_all_its_inputs(mixer, bench):
    case = Case("op", mixer, "length", 20, mini_batch=7)
    assert relative_error(case, bench) < 1e-5
    subject = build(case, CPU)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in subject.training())


@pytest.mark.parametrize("mixer", mixer_names("layer"))
def test_every_layer_keeps_the_shape_and_trains(mixer):
    subject = build(Case("layer", mixer, "length", 20, batch=2), CPU)
    assert subject.forward().shape == (2, 20, 384)
    assert all(gradient is not None for gradient in subject.training())
    assert subject.work("training").flops == 3 * subject.work("forward").flops > 0


@pytest.mark.parametrize("mixer", mixer_names("model"))
def test_a_model_takes_images_of_the_asked_size(mixer):
    subject = build(Case("model", mixer, "frames", 17, frames=2), CPU)
    assert subject.forward().shape[0] == 2
    assert subject.module.encoder.grid == 4  # 16 patches and the class token


def test_a_case_gives_time_memory_and_floor_for_each_pass(bench):
    forward, training = measure(Case("op", "attention", "length", 32), bench, WAYS)
    assert (forward.phase, training.phase) == ("forward", "training")
    assert forward.status == training.status == "ok"
    assert forward.saved_bytes is None and training.saved_bytes > 0
    assert training.peak_bytes > forward.peak_bytes > 0
    assert training.floor_ms > forward.floor_ms > 0
    assert list(forward.backend) == ["attention"]


def test_a_wrong_operator_gets_no_time(bench, monkeypatch):
    monkeypatch.setattr(module, "relative_error", lambda case, bench: float("nan"))
    points = list(measure(Case("op", "ttt", "length", 32), bench, WAYS))
    assert [(p.status, p.best_ms) for p in points] == [("wrong", None)] * 2
    assert "expected at most 2e-03" in points[0].note


def test_a_full_memory_is_a_point_and_the_next_pass_is_measured(bench, monkeypatch):
    def full(subject, which, mode):
        if which == "forward":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")
        return subject.training

    monkeypatch.setattr(module, "_call", full)
    points = list(measure(Case("op", "attention", "length", 32), bench, WAYS))
    assert [p.status for p in points] == ["out of memory", "ok"]
    assert points[0].note == "CUDA out of memory"


def test_times_are_taken_in_turns(bench):
    events = []

    @contextmanager
    def turn():
        events.append("begin")
        yield
        events.append("end")

    for _ in measure(Case("op", "attention", "length", 8), replace(bench, alone=turn), WAYS):
        events.append("point")
    assert events == ["begin", "point", "point", "end"]


def test_peers_that_are_missing_say_why():
    assert missing("op", "ttt") is None
    if not torch.cuda.is_available():
        assert "flash_attn is not installed" in missing("op", "flash-attn")
        assert missing("op", "fla-ttt") in (
            "no CUDA device",
            'fla is not installed: pip install "auharness[gpu]"',
        )


def test_a_full_memory_of_the_cpu_is_a_point_too(bench):
    (found,) = measure(Case("op", "attention", "length", 10**10), bench, WAYS[:1])
    assert (found.status, found.best_ms) == ("out of memory", None)


def test_only_what_is_asked_for_is_measured(bench):
    (found,) = measure(Case("op", "attention", "length", 8), bench, WAYS[1:])
    assert found.phase == "training"
