"""The formulas against three counts of the references: by what runs, by torch's counter and by fvcore's trace."""

import pkgutil

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import auharness.ops
from auharness.efficiency import fvcore_count
from auharness.efficiency.closed_form import Work, attention_work, selective_scan_work, ssd_work, ttt_linear_work
from auharness.efficiency.operators import OPERATORS, answer, reference


def test_every_operator_has_a_formula():
    packages = [module.name for module in pkgutil.iter_modules(auharness.ops.__path__) if module.ispkg]
    assert sorted(OPERATORS) == sorted(set(packages) - {"ttt"})  # what the two TTT operators share


def test_macs_agree_three_ways(operator_call, size):
    pytest.importorskip("fvcore")
    operator, make = operator_call
    call = make(*size)
    work, _ = answer(operator, *call.tensors, **call.options)
    expected = work.macs + dropped(operator, call).macs
    run, tensors = call.on(reference(operator))
    with FlopCounterMode(display=False) as counter:
        run(*tensors)
    assert counter.get_total_flops() == 2 * expected
    if operator != "fla_ttt":  # it returns no state, and a trace leaves out what nothing needs
        assert fvcore_count(run, tensors).macs == pytest.approx(expected, rel=0.01)


def test_flops_equal_those_of_the_reference_as_it_runs(operator_call, size, unrolled, monkeypatch):
    operator, make = operator_call
    call = make(*size)
    if operator == "selective_scan":
        # the formula itself, without the series that keeps it precise near 0
        monkeypatch.setattr("auharness.ops.selective_scan.reference._mean_decay", lambda x: torch.expm1(x) / x)
    work, _ = answer(operator, *call.tensors, **call.options)
    run, tensors = call.on(reference(operator))
    with unrolled() as counted:
        run(*tensors)
    assert counted.flops == work.flops + dropped(operator, call).flops


def dropped(operator, call):
    """Return what a reference computes and throws away."""
    tokens = call.tensors[0]
    if operator == "ttt_mlp":
        # the slope of GELU at the queries, 12 operations per hidden unit
        return Work(0, 12 * tokens[..., 0].numel() * call.tensors[5].shape[-1])
    if operator == "fla_ttt":
        # an outer product that gives the causal mask its shape
        full, rest = divmod(tokens.shape[-2], call.options["mini_batch"])
        pairs = tokens[..., 0, 0].numel() * (full * call.options["mini_batch"] ** 2 + rest**2)
        return Work(pairs, 2 * pairs)
    return Work()


def test_an_answer_has_the_shape_of_what_the_reference_returns(operator_call):
    operator, make = operator_call
    call = make(2, 7, 3)
    _, found = answer(operator, *call.tensors, **call.options)
    expected = reference(operator)(*call.tensors, **call.options)
    as_shapes = [[x.shape for x in (out if isinstance(out, tuple) else (out,))] for out in (found, expected)]
    assert as_shapes[0] == as_shapes[1]


@pytest.mark.parametrize(("zoh", "step"), [(False, 7), (True, 10)])
def test_a_step_of_the_selective_scan_costs_seven_and_zero_order_hold_three_more(zoh, step):
    small, large = (selective_scan_work(sequences=2, tokens=5, dim=3, state=n, zoh=zoh) for n in (4, 5))
    assert large.flops - small.flops == step * 2 * 5 * 3
    assert large.convention == 9 * 2 * 5 * 3 * 5


def test_the_convention_counts_skip_and_gate_as_published():
    # VMamba, flops_selective_scan_fn: 9 B L D N, + B D L with D, + B D L with z
    work = selective_scan_work(sequences=2, tokens=5, dim=3, state=4, skip=True, gate=True, softplus=True)
    assert work.convention == 9 * 120 + 30 + 30


def test_ttt_linear_costs_what_the_paper_states_per_token():
    # arXiv:2407.04620 and others count 6 d^2 per token and head for the state; the causal products come on top
    work = ttt_linear_work(chains=6, tokens=4096, d=64, mini_batch=16)
    assert work.macs == 4096 * 6 * (3 * 64**2 + 3 * 16 * 64)


def test_scans_grow_linearly_and_attention_quadratically():
    def ratio(work, **sizes):
        return work(tokens=8192, **sizes).macs / work(tokens=4096, **sizes).macs

    assert ratio(ttt_linear_work, chains=6, d=64, mini_batch=16) == 2
    assert ratio(selective_scan_work, sequences=1, dim=768, state=16) == 2
    assert ratio(ssd_work, sequences=1, heads=12, channels=64, state=128) == 2
    assert ratio(lambda tokens: attention_work(sequences=6, queries=tokens, keys=tokens, d=64)) == 4


def test_work_adds_up():
    assert Work(1, 2, 3) + Work(4, 5, 6) == Work(5, 7, 9)
