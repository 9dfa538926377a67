import pytest
import torch

from auharness.nn.mixers import BiTTT, TTTLinear
from auharness.ops.scan import reverse_tokens


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("tied", [False, True])
def test_is_equation_6(tied):
    torch.manual_seed(0)
    layer = BiTTT(16, heads=2, mini_batch=4, tied=tied)
    x = tokens(2, 10, 16)
    there, back = layer.scans[0], layer.scans[-1]
    parts = there(x), reverse_tokens(back(reverse_tokens(x, suffix=1)), suffix=1)
    torch.testing.assert_close(layer(x), layer.proj(torch.cat(parts, -1)))


def test_reversing_the_patches_swaps_the_directions_of_tied_weights():
    torch.manual_seed(0)
    layer = BiTTT(16, heads=2, mini_batch=4, tied=True)
    x = tokens(2, 10, 16)
    swapped = BiTTT(16, heads=2, mini_batch=4, tied=True)
    swapped.load_state_dict(layer.state_dict())
    swapped.proj.weight.data = layer.proj.weight.data.roll(16, 1)
    torch.testing.assert_close(reverse_tokens(swapped(reverse_tokens(x, suffix=1)), suffix=1), layer(x))


def test_cls_stays_last_and_sees_every_patch_in_both_directions():
    layer = BiTTT(16, heads=2, mini_batch=4)
    x = tokens(1, 10, 16).requires_grad_()
    for half in layer.proj.weight.data.chunk(2, 1):
        kept = half.clone()
        half.zero_()  # look at the other direction alone
        (seen,) = torch.autograd.grad(layer(x)[0, -1].sum(), x)
        assert (seen[0].abs().amax(-1) > 0).all()
        (seen_by_patch,) = torch.autograd.grad(layer(x)[0, 4].sum(), x)
        assert seen_by_patch[0, -1].abs().max() == 0
        half.copy_(kept)


@pytest.mark.parametrize(("tied", "layers"), [(False, 2), (True, 1)])
def test_parameters_are_those_of_its_parts(tied, layers):
    count = sum(p.numel() for p in BiTTT(384, heads=6, mini_batch=14, tied=tied).parameters())
    one = sum(p.numel() for p in TTTLinear(384, heads=6, mini_batch=14).parameters())
    assert count == layers * one + 295_296  # 768 x 384 + 384, the projection of eq. 6
    assert count == {2: 1_532_584, 1: 913_940}[layers]


@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_gets_a_finite_gradient(tied):
    layer = BiTTT(24, heads=3, mini_batch=4, tied=tied)
    layer(tokens(2, 10, 24)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name
