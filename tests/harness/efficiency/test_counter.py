"""Counts of whole modules, against hand counts, published numbers and the same maths written another way."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from auharness.efficiency import count
from auharness.efficiency.closed_form import Work, attention_work, selective_scan_work, ttt_linear_work
from auharness.efficiency.operators import reference
from auharness.errors import UsageError
from auharness.nn.mixers import MIXERS
from auharness.nn.vision import import_torchvision
from auharness.ops.attention import attention
from auharness.ops.backends import Backend, choose, intercepted
from auharness.ops.selective_scan import selective_scan


@pytest.mark.skipif(find_spec("torchvision") is None, reason="needs the extra `vision`")
def test_the_published_count_of_resnet18_comes_out():
    models = import_torchvision().models
    with torch.device("meta"):
        cost = count(models.resnet18(), [torch.zeros(1, 3, 224, 224)])
    # torchvision's page of the weights: 11,689,512 parameters, 1.81 GFLOPS, which are MACs
    assert cost.parameters == 11_689_512
    assert cost.macs == 1_814_073_344
    assert cost.coverage == 1


def test_the_published_count_of_a_transformer_layer_comes_out():
    # 12 B L d^2 + 2 B L^2 d MACs with a hidden layer of 4 d (arXiv:2001.08361, sec. 2.1, in MACs and for all tokens)
    layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
    assert count(layer, [torch.zeros(2, 50, 64)]).macs == 12 * 100 * 64**2 + 2 * 2 * 50**2 * 64


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bias", [True, False])
def test_a_recurrent_layer_counts_the_same_as_one_kernel_and_step_by_step(make, bias):
    sizes = {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": bias}
    fused = count(make(5, 7, **sizes), [torch.zeros(2, 9, 5)])
    with torch.device("meta"):
        unrolled = count(make(5, 7, **sizes), [torch.zeros(2, 9, 5)])
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[make]
    assert fused.macs == unrolled.macs == 2 * 9 * gates * 7 * 2 * ((5 + 7) + (14 + 7))
    assert fused.flops == unrolled.flops
    assert fused.coverage == unrolled.coverage == 1


def test_the_recurrent_kernel_of_cuda_counts_as_its_steps():
    layer = nn.LSTM(5, 7, num_layers=2, bidirectional=True, device="meta")
    x, state = torch.zeros(9, 2, 5, device="meta"), torch.zeros(4, 2, 7, device="meta")

    def kernel(x):
        weights, options = layer._flat_weights, (2, 7, 0, 2, False, 0.0, False, True, [], None)
        return torch.ops.aten._cudnn_rnn(x, weights, 4, None, state, state, *options)

    fused, unrolled = count(kernel, [x]), count(layer, [x])
    assert (fused.macs, fused.flops, fused.coverage) == (unrolled.macs, unrolled.flops, 1)


@pytest.mark.parametrize("causal", [False, True])
def test_torch_attention_on_the_cpu_counts_as_its_formula(causal):
    q, k = torch.zeros(2, 3, 8, 4), torch.zeros(2, 3, 8, 4)
    fused = count(lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=causal), [q, k])
    work = attention_work(sequences=6, queries=8, keys=8, d=4, causal=causal)
    assert (fused.macs, fused.flops, fused.coverage) == (work.macs, work.flops, 1)


def test_a_bias_costs_the_same_inside_and_outside_a_product():
    x, w, b = torch.zeros(6, 5), torch.zeros(5, 4), torch.zeros(4)
    inside, outside = count(torch.addmm, [b, x, w]), count(lambda b, x, w: x @ w + b, [b, x, w])
    assert inside.flops == outside.flops == 2 * 120 + 24
    conv, image = nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8)
    assert count(conv, [image]).flops == 2 * 27 * 4 * 36 + 4 * 36


def test_a_normalisation_costs_five_per_element_fused_or_written_out():
    def written_out(x):
        return (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.var(-1, keepdim=True, correction=0) + 1e-5)

    x = torch.zeros(10, 64)
    assert count(nn.LayerNorm(64), [x]).flops == 5 * 640
    assert count(written_out, [x]).flops == 5 * 640 + 2 * 10  # eps and root of each row


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_a_mixer_costs_what_runs_when_its_operators_run_as_their_references(name, unrolled):
    mixer, x = MIXERS[name](24, heads=2).eval(), torch.randn(2, 13, 24)
    cost = count(mixer, [x])
    references = intercepted(lambda operator, *tensors, **options: reference(operator)(*tensors, **options))
    with torch.no_grad(), references, unrolled() as counted:
        mixer(x)
    # the reference of TTT-MLP also computes the slope of GELU at the queries, 12 per hidden unit, and drops it
    dropped = 12 * 2 * 13 * (4 * 24) if name == "ttt-mlp" else 0
    assert cost.macs == counted.macs
    assert cost.flops == counted.flops - dropped
    assert cost.coverage == 1
    assert cost.parameters == sum(p.numel() for p in mixer.parameters())


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_a_mixer_costs_the_same_whichever_backend_it_names(name):
    costs = []
    for backend in (None, "reference"):
        mixer = MIXERS[name](24, heads=2)
        for part in mixer.modules():
            if hasattr(part, "backend"):
                part.backend = backend
        costs.append(count(mixer, [torch.zeros(2, 13, 24)]))
    assert costs[0] == costs[1]


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_a_mixer_costs_on_meta_what_it_costs_on_the_cpu(name):
    mixer = MIXERS[name](24, heads=2)
    assert count(mixer, [torch.zeros(2, 13, 24)]) == count(mixer.to("meta"), [torch.zeros(2, 13, 24, device="meta")])


def test_ttt_costs_its_projections_and_its_formula():
    cost = count(MIXERS["ttt"](24, heads=2, mini_batch=5), [torch.zeros(3, 13, 24)])
    inner = ttt_linear_work(chains=6, tokens=13, d=12, mini_batch=5)
    assert cost.mixers == {"ttt_linear": inner}
    assert cost.macs == inner.macs + 39 * (4 * 24 * 24 + 24 * 2)


def test_the_convention_differs_by_the_scan_alone():
    u = torch.zeros(1, 5, 3, device="meta")
    A, B = torch.zeros(3, 4, device="meta"), torch.zeros(1, 5, 4, device="meta")
    cost = count(lambda u: torch.exp(selective_scan(u, u, A, B, B)), [u])
    work = selective_scan_work(sequences=1, tokens=5, dim=3, state=4)
    assert (cost.flops, cost.convention) == (work.flops + 15, 9 * 60 + 15)


def test_a_length_that_no_memory_holds_is_counted():
    q = torch.zeros(1, 6, 1 << 20, 64, device="meta")
    work = attention_work(sequences=6, queries=1 << 20, keys=1 << 20, d=64)
    assert count(lambda q: attention(q, q, q), [q]).mixers == {"attention": work}


def test_calls_of_one_operator_add_up():
    q = torch.zeros(1, 1, 4, 8)
    once, twice = (count(f, [q]) for f in (lambda q: attention(q, q, q), lambda q: attention(attention(q, q, q), q, q)))
    assert twice.mixers["attention"] == once.mixers["attention"] + once.mixers["attention"] != Work()


def test_counting_changes_nothing():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    model[1].eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    count(model, [torch.randn(8, 4)])
    assert [part.training for part in model.modules()] == [True, True, False, True]
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()
    for name, x in model.state_dict().items():
        torch.testing.assert_close(x, before[name], rtol=0, atol=0)
    with pytest.raises(RuntimeError):
        count(model, [torch.randn(8, 5)])
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_operator_without_a_formula_is_named():
    def call(x):
        return choose("fancy", {"plain": Backend(abs)}, x, None).run(x)

    with pytest.raises(UsageError, match="no closed form for the operator 'fancy'"):
        count(call, [torch.zeros(1)])
