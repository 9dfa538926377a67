import pytest
import torch

from auharness.ops.threads import over_threads


@pytest.mark.parametrize(("threads", "chains"), [(1, 5), (2, 5), (4, 3), (3, 0)])
def test_every_chain_is_worked_on_once(threads, chains, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    ranges = []
    over_threads(lambda start, stop: ranges.append((start, stop)), chains)
    assert sorted(i for start, stop in ranges for i in range(start, stop)) == list(range(chains))
    assert len(ranges) == max(1, min(threads, chains))


def test_a_failure_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        over_threads(lambda start, stop: 1 // start, 4)
