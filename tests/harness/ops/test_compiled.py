"""The operators inside of a compiled model: the numbers and the backends that they have without torch.compile.

Tolerances are relative to the norm: 2e-6 for outputs, 1e-5 for gradients, a few roundings of float32.
"""

import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch

from auharness.ops.attention import attention
from auharness.ops.backends import recorded
from auharness.ops.selective_scan import selective_scan
from auharness.ops.ssd import ssd
from auharness.ops.ttt_linear import ttt_linear
from auharness.ops.ttt_mlp import ttt_mlp

# what torch.compile says of itself where it goes on after a break, and where it meets a check that is cached
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning"),
]
BATCH, HEADS, TOKEN, D, STATE = 2, 2, 18, 4, 3
BOTH = {"direction": "both", "suffix": 1}


def by_head(*axes):
    return torch.randn(2, *axes)


def ttt_arguments(*shapes):
    tokens = [by_head(BATCH, HEADS, TOKEN, D) for _ in range(3)]
    state = [0.3 * by_head(HEADS, *shape) for shape in shapes]
    return [*tokens, 0.1 * by_head(BATCH, HEADS, TOKEN).abs(), torch.ones(4), *state, *(by_head(HEADS, D),) * 2]


def scan_arguments():
    u, delta, z = (by_head(BATCH, TOKEN, D) for _ in range(3))
    B, C = (by_head(BATCH, TOKEN, STATE) for _ in range(2))
    return [u, delta, -by_head(D, STATE).abs(), B, C, by_head(D), z]


def ssd_arguments():
    B, C = (by_head(BATCH, TOKEN, 1, STATE) for _ in range(2))
    return [by_head(BATCH, TOKEN, HEADS, D), by_head(BATCH, TOKEN, HEADS).abs(), -by_head(HEADS).abs(), B, C]


OPERATORS = {
    "selective_scan": (partial(selective_scan, delta_softplus=True, **BOTH), scan_arguments),
    "ttt_linear": (partial(ttt_linear, mini_batch=4, **BOTH), partial(ttt_arguments, (D, D), (1, D))),
    "ttt_mlp": (
        partial(ttt_mlp, mini_batch=4, **BOTH),
        partial(ttt_arguments, (D, STATE), (1, STATE), (STATE, D), (1, D)),
    ),
    "ssd": (partial(ssd, **BOTH), ssd_arguments),
    "attention": (attention, lambda: [by_head(HEADS, TOKEN, D) for _ in range(3)]),
}
FAST = ("selective_scan", "ttt_linear", "ttt_mlp")


def run(model, arguments):
    """Return the output, the gradients of its square and the backends of a call."""
    given = [x.clone().requires_grad_() for x in arguments]
    with recorded() as used:
        out = model(*given)
    return out, torch.autograd.grad(out.square().sum(), given), used


@pytest.fixture
def compiled():
    """As `bench` compiles."""
    yield partial(torch.compile, dynamic=False)
    torch.compiler.reset()


@pytest.mark.parametrize("backend", [None, "torch"])
@pytest.mark.parametrize("name", FAST)
def test_a_fast_path_is_called_as_it_is(compiled, name, backend):
    operator, make = OPERATORS[name]
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        arguments = [x.to(dtype) for x in make()]
        out, gradients, backends = run(partial(operator, backend=backend), arguments)
        found, found_gradients, used = run(compiled(partial(operator, backend=backend)), arguments)
        assert used == backends and list(used) == [name]
        for value, truth in zip((found, *found_gradients), (out, *gradients), strict=True):
            torch.testing.assert_close(value, truth, rtol=0, atol=0)


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("name", OPERATORS)
def test_a_compiled_model_has_the_numbers_and_backends_of_an_eager_one(compiled, name):
    operator, make = OPERATORS[name]

    def model(first, *others):
        return operator(first.tanh(), *others).sigmoid()

    arguments = make()
    out, gradients, backends = run(model, arguments)
    found, found_gradients, used = run(compiled(model), arguments)
    assert used == backends and list(used) == [name]
    assert (found - out).norm() <= 2e-6 * out.norm()
    for value, truth in zip(found_gradients, gradients, strict=True):
        assert (value - truth).norm() <= 1e-5 * truth.norm()


@pytest.mark.parametrize("name", FAST)
def test_a_reference_alone_is_looked_into(name):
    operator, make = OPERATORS[name]
    arguments, graphs = make(), []

    def keep(graph, inputs):
        graphs.append(graph)
        return graph

    compile_ = partial(torch.compile, backend=keep)
    found = compile_(partial(operator, backend="reference"))(*arguments)
    assert graphs
    torch.testing.assert_close(found, operator(*arguments, backend="reference"))
    graphs.clear()
    compile_(operator)(*arguments)
    assert not graphs


def test_operators_leave_the_compiler_to_those_who_compile():
    code = "import sys, auharness.ops.catalogue; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
