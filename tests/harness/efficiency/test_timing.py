import time

import pytest
import torch

from auharness.efficiency.timing import measure_time

CPU = torch.device("cpu")


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_time_of_a_call_is_its_processor_time():
    timing = measure_time(lambda: burn(0.004), device=CPU, seconds=0.05)
    assert timing.clock == "cpu time"
    assert timing.best_ms == pytest.approx(4, rel=0.1)
    assert timing.best_ms <= timing.p50_ms <= timing.p95_ms


def test_sleep_is_no_processor_time():
    assert measure_time(lambda: time.sleep(0.003), device=CPU, seconds=0, least=2).best_ms < 1


def test_short_calls_are_timed_several_at_once():
    calls = []
    timing = measure_time(lambda: calls.append(1), device=CPU, seconds=0.01, warm_up=0)
    assert len(calls) > 100 * timing.samples
    assert timing.best_ms < 0.01


def test_the_least_number_of_samples_is_taken_whatever_the_budget():
    calls = []
    timing = measure_time(lambda: (calls.append(1), burn(0.002)), device=CPU, seconds=0, least=4, warm_up=1)
    assert timing.samples == 4
    assert len(calls) == 5  # one to warm up
