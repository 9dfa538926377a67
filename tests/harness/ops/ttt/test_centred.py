"""The derivatives for rows of mean zero against autograd through torch's LayerNorm."""

import torch
from torch.nn import functional as F

from auharness.ops.ttt.centred import reconstruction_gradient, row_scale, through_reconstruction
from auharness.ops.ttt.inner_loss import reconstruction_gradient as plain_gradient


def test_first_and_second_derivative_of_the_inner_loss_are_those_of_autograd():
    z, target, d_g = (torch.randn(2, 4, 6, dtype=torch.float64) for _ in range(3))
    z -= z.mean(-1, keepdim=True)
    weight, bias = (torch.randn(6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    z.requires_grad_()
    target.requires_grad_()
    loss = 0.5 * (F.layer_norm(z, (6,), weight, bias, 1e-3) - target).square().sum()
    (truth,) = torch.autograd.grad(loss, z, create_graph=True)
    d_truth = torch.autograd.grad((truth * d_g).sum(), (z, target, weight, bias))

    found = plain_gradient(z, target, weight, bias, 1e-3)
    torch.testing.assert_close(found, truth)
    torch.testing.assert_close(torch.autograd.grad((found * d_g).sum(), (z, target, weight, bias)), d_truth)

    with torch.no_grad():
        scale, zero = row_scale(z, torch.tensor(1e-3, dtype=torch.float64)), torch.zeros(2, 4, 1, dtype=torch.float64)
        constants = (scale, target, weight.expand(2, 1, 6), bias.expand(2, 1, 6), zero)
        g = reconstruction_gradient(z, *constants)
        torch.testing.assert_close(g, truth)
        d_z, d_weight = torch.empty_like(z), torch.zeros_like(z)
        d_error = through_reconstruction(d_g, g, z, *constants, d_z=d_z, d_weight=d_weight)
    # LayerNorm does not see the mean of z, so that the derivative by z has mean zero on both sides
    torch.testing.assert_close((d_z, -d_error, d_weight.sum((0, 1)), d_error.sum((0, 1))), d_truth)
