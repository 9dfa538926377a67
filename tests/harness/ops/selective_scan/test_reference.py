"""The definition against the literal recurrence, one number at a time, and against Mamba as others have written it."""

import math

import pytest
import torch
from torch.nn import functional as F

from auharness.ops.selective_scan import selective_scan

BACKENDS = ["reference", "torch"]


def one_by_one(x, *, softplus, zoh):
    """Follow every channel through time on its own, by the equations of the paper."""
    batch, token, dim = x["u"].shape
    y, state = torch.empty_like(x["u"]), torch.empty(batch, dim, x["A"].shape[1], dtype=x["u"].dtype)
    for b in range(batch):
        for d in range(dim):
            h = x["initial_state"][b, d] if "initial_state" in x else torch.zeros_like(x["A"][d])
            for t in range(token):
                dt = x["delta"][b, t, d] + (x["delta_bias"][d] if "delta_bias" in x else 0)
                if softplus:
                    dt = torch.log(1 + torch.exp(dt))
                weight = (torch.exp(dt * x["A"][d]) - 1) / x["A"][d] if zoh else dt
                h = torch.exp(dt * x["A"][d]) * h + weight * x["B"][b, t] * x["u"][b, t, d]
                answer = (x["C"][b, t] * h).sum()
                if "D" in x:
                    answer = answer + x["D"][d] * x["u"][b, t, d]
                if "z" in x:
                    answer = answer * x["z"][b, t, d] / (1 + torch.exp(-x["z"][b, t, d]))
                y[b, t, d] = answer
            state[b, d] = h
    return y, state


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
@pytest.mark.parametrize(("token", "dim", "state", "full"), [(1, 3, 4, True), (7, 8, 1, False), (7, 3, 16, True)])
def test_equals_the_recurrence_one_number_at_a_time(problem, results, token, dim, state, full, discretization, backend):
    def operator(x):
        options = {"discretization": discretization, "backend": backend, "delta_softplus": full}
        return selective_scan(**x, **options, return_state=True)

    arguments = problem(2, token, dim, state, full=full)
    truth = results(lambda x: one_by_one(x, softplus=full, zoh=discretization == "zoh"), arguments)
    for name, value in results(operator, arguments).items():
        assert (value - truth[name]).norm() <= 1e-12 * truth[name].norm(), name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_gradients_are_those_of_finite_differences_also_where_nothing_decays(problem, discretization, backend):
    arguments = problem(1, 3, 2, 2, lead=(2,))
    with torch.no_grad():
        arguments["A"][0, 0] = torch.tensor([0.0, 1e-9])
    names = list(arguments)

    def operator(*tensors):
        options = {"discretization": discretization, "backend": backend, "delta_softplus": True}
        named = dict(zip(names, tensors, strict=True))
        return selective_scan(**named, **options, direction="both", suffix=1, return_state=True)

    assert torch.autograd.gradcheck(operator, tuple(arguments.values()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_order_hold_is_the_differential_equation_with_the_input_held(problem, backend):
    # h' = A h + B u has the exact step that zoh claims: many short Euler steps with the same input approach it
    x = {name: value.detach() for name, value in problem(1, 2, 3, 4, full=False).items()}
    parts = 4096
    short = {name: value.repeat_interleave(parts, 1) if value.ndim == 3 else value for name, value in x.items()}
    short["delta"] = short["delta"] / parts
    _, truth = selective_scan(**short, discretization="euler", backend=backend, return_state=True)
    _, state = selective_scan(**x, discretization="zoh", backend=backend, return_state=True)
    _, euler = selective_scan(**x, discretization="euler", backend=backend, return_state=True)
    assert (state - truth).norm() < 1e-3 * truth.norm()
    assert (euler - truth).norm() > 0.1 * truth.norm()


@pytest.mark.parametrize("backend", BACKENDS)
def test_discretisations_agree_where_nothing_decays(problem, backend):
    x = problem(1, 20, 3, 4)
    with torch.no_grad():
        x["A"].zero_()
    zoh, euler = (selective_scan(**x, discretization=kind, backend=backend) for kind in ("zoh", "euler"))
    torch.testing.assert_close(zoh, euler, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_mamba_block_of_transformers(mamba, backend):
    config = mamba.MambaConfig(hidden_size=12, state_size=5, num_hidden_layers=1, vocab_size=8)
    mixer = mamba.MambaMixer(config, layer_idx=0)
    hidden = torch.randn(2, 37, 12)
    u, z = mixer.in_proj(hidden).chunk(2, -1)
    u = F.silu(mixer.conv1d(u.mT)[..., :37]).mT
    rank = config.time_step_rank
    step, B, C = mixer.x_proj(u).split([rank, 5, 5], -1)
    y = selective_scan(
        *(u, F.linear(step, mixer.dt_proj.weight), -torch.exp(mixer.A_log), B, C, mixer.D, z, mixer.dt_proj.bias),
        delta_softplus=True,
        backend=backend,
    )
    truth = mixer.eval()(hidden)
    assert (mixer.out_proj(y) - truth).norm() < 1e-5 * truth.norm()


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_scan_of_mamba_ssm(problem, backend):
    interface = pytest.importorskip(
        "mamba_ssm.ops.selective_scan_interface", reason="mamba-ssm is not installed", exc_type=ImportError
    )
    x = problem(2, 37, 8, 16, dtype=torch.float32)
    del x["initial_state"]
    first = {name: value.mT if value.ndim == 3 else value for name, value in x.items()}
    truth, last = interface.selective_scan_ref(**first, delta_softplus=True, return_last_state=True)
    y, state = selective_scan(**x, delta_softplus=True, backend=backend, return_state=True)
    assert (y - truth.mT).norm() < 1e-5 * truth.norm()
    assert (state - last).norm() < 1e-5 * last.norm()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("discretization", ["euler", "zoh"])
def test_a_constant_input_settles_at_its_closed_form(discretization, backend):
    # one channel, A = -1, dt = ln 2: the state halves each step and takes in dt (Euler) or 1/2 (hold)
    one = torch.ones(1, 60, 1, dtype=torch.float64)
    A = -torch.ones(1, 1, dtype=torch.float64)
    y = selective_scan(one, math.log(2) * one, A, one, one, discretization=discretization, backend=backend)
    taken = math.log(2) if discretization == "euler" else 0.5
    steps = torch.arange(1, 61, dtype=torch.float64)
    torch.testing.assert_close(y[0, :, 0], 2 * taken * (1 - 0.5**steps), rtol=1e-12, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_token_never_sees_a_later_one(problem, backend):
    arguments = {name: x.detach() for name, x in problem(1, 40, 3, 4).items()}
    before = selective_scan(**arguments, delta_softplus=True, backend=backend)
    changed = {name: x.clone() for name, x in arguments.items()}
    for name in ("u", "delta", "B", "C", "z"):
        changed[name][:, 20:] *= -2
    after = selective_scan(**changed, delta_softplus=True, backend=backend)
    torch.testing.assert_close(after[:, :20], before[:, :20], rtol=0, atol=0)
    assert (after[:, 20:] - before[:, 20:]).abs().min() > 1e-6
