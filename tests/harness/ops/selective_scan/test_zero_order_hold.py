"""Zero-order hold is exact: the solution of h' = A h + B u where u stays as it is for the length of a step."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm

from auharness.ops.selective_scan import selective_scan

BACKENDS = ("reference", "torch")


def step(x, *, kind, backend="reference"):
    """The state after all tokens."""
    return selective_scan(**x, discretization=kind, backend=backend, return_state=True)[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_state_is_that_of_the_matrix_exponential(problem, backend):
    x = {name: value.detach() for name, value in problem(2, 5, 3, 4, full=False).items()}
    found = step(x, kind="zoh", backend=backend).numpy()
    given = {name: value.numpy() for name, value in x.items()}
    wanted = np.zeros_like(found)
    for batch, channel in np.ndindex(found.shape[:2]):
        state = np.zeros(4)
        for token in range(5):
            # exp of [[A, b], [0, 0]] holds both the decay and the integral of what is taken in
            system = np.zeros((5, 5))
            system[:4, :4] = np.diag(given["A"][channel])
            system[:4, 4] = given["B"][batch, token] * given["u"][batch, token, channel]
            whole = expm(given["delta"][batch, token, channel] * system)
            state = whole[:4, :4] @ state + whole[:4, 4]
        wanted[batch, channel] = state
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_tends_to_eulers_step_as_the_step_tends_to_0(problem, backend):
    x = {name: value.detach() for name, value in problem(1, 1, 3, 4, full=False).items()}
    away = []
    for power in range(1, 5):
        small = {**x, "delta": x["delta"] * 10.0**-power}
        euler, zoh = (step(small, kind=kind, backend=backend) for kind in ("euler", "zoh"))
        away.append(float((zoh - euler).norm() / euler.norm()))
    # zoh / euler = expm1(delta A) / (delta A) = 1 + delta A / 2 + ..., so ten times nearer each time
    assert away[-1] < 1e-3
    for before, after in pairwise(away[1:]):
        assert after == pytest.approx(before / 10, rel=0.02)
