"""The counts of one ViT-S sized operator, worked out by hand from the published formulas."""

import pytest

from auharness.scaling.floors import Work, attention_work, scan_work, ssd_work, ttt_linear_work
from auharness.scaling.records import Peaks

H200 = Peaks(flops=790e12, bytes=4.3e12, exps=3.7e12)
TOKENS = 32 * 4096
SIX = {"heads": 6, "d": 64, "mini_batch": 16, "size": 2}


def microseconds(work: Work) -> float:
    return 1e3 * (work * TOKENS).floor(H200)[0]


@pytest.mark.parametrize(
    ("work", "bound", "expected"),
    [
        (ttt_linear_work("forward", **SIX), "memory", 94),
        (ttt_linear_work("training", **SIX), "memory", 284),
        (scan_work("forward", channels=768, state=16, size=2), "exp", 435),
        (scan_work("training", channels=768, state=16, size=2), "exp", 869),
        (attention_work("forward", length=4096, channels=384, size=2), "compute", 1044),
        (attention_work("training", length=4096, channels=384, size=2), "compute", 3653),
    ],
)
def test_the_floors_of_32_sequences_of_4096_tokens_are_those_worked_out(work, bound, expected):
    assert (work * TOKENS).floor(H200)[1] == bound
    assert microseconds(work) == pytest.approx(expected, rel=0.01)


def test_the_state_space_dual_form_counts_five_operations_per_state_element():
    assert ssd_work("forward", heads=12, width=64, state=128, size=2).flops == 5 * 12 * 64 * 128


def test_the_floor_is_the_largest_of_the_three_times():
    peaks = Peaks(flops=1e3, bytes=1e3, exps=1e3)
    assert Work(5, 3, 2).floor(peaks) == (5, "compute")
    assert Work(1, 3, 2).floor(peaks) == (3, "memory")
    assert Work(1, 1, 2).floor(peaks) == (2, "exp")
