import torch
from torch.nn import functional as F

from auharness.ops.ttt_mlp.gelu import gelu, gelu_curve, gelu_slope


def test_gelu_and_both_derivatives_are_those_of_torch():
    x = torch.cat((torch.linspace(-40, 40, 2001), torch.tensor([0.0, 1e-30]))).double().requires_grad_()
    truth = F.gelu(x, approximate="tanh")
    (slope,) = torch.autograd.grad(truth.sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), x)
    # where the gate is almost 1 both sides lose 1 - gate to rounding, times x s^2 < 1000
    x, close = x.detach(), {"rtol": 0, "atol": 1e-12}
    gate, spare = torch.empty_like(x), torch.empty_like(x)
    torch.testing.assert_close(gelu(x, gate=gate, out=torch.empty_like(x)), truth.detach(), **close)
    torch.testing.assert_close(gelu_slope(x, gate, spare=spare, out=torch.empty_like(x)), slope.detach(), **close)
    torch.testing.assert_close(gelu_curve(x, gate, spare=spare, out=torch.empty_like(x)), curve, **close)
