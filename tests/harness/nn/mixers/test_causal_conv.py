import pytest
import torch
from torch import nn

from auharness.nn.mixers.causal_conv import causal_conv
from auharness.ops.scan import scan_positions


def slide(x, weight, bias, *, reverse, suffix):
    """Go through the tokens as the scan reads them, with a window of the last ones."""
    length, channels = x.shape[1:]
    width = weight.shape[-1]
    order = scan_positions(length, reverse=reverse, suffix=suffix).argsort().tolist()
    out = torch.empty_like(x)
    for sample in range(x.shape[0]):
        window = [torch.zeros(channels, dtype=x.dtype)] * width
        for token in order:
            window = [*window[1:], x[sample, token]]
            out[sample, token] = bias + sum(weight[:, 0, k] * window[k] for k in range(width))
    return out


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize(("reverse", "suffix"), [(False, 0), (False, 1), (True, 0), (True, 1), (True, 3), (True, 99)])
@pytest.mark.parametrize("length", [1, 3, 5, 11])
def test_is_a_window_over_the_tokens_as_they_are_read(length, reverse, suffix, width):
    suffix = min(suffix, length)
    generator = torch.Generator().manual_seed(length)
    x, weight, bias = (
        torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)
        for size in ((2, length, 3), (3, 1, width), (3,))
    )
    truth = slide(x, weight, bias, reverse=reverse, suffix=suffix)
    out = causal_conv(x, weight, bias, reverse=reverse, suffix=suffix)
    torch.testing.assert_close(out, truth)
    along = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    gradients = (torch.autograd.grad((y * along).sum(), (x, weight, bias)) for y in (out, truth))
    torch.testing.assert_close(*gradients)


def test_equals_a_padded_conv1d():
    layer, x = nn.Conv1d(6, 6, 4, groups=6, padding=3), torch.randn(2, 9, 6)
    torch.testing.assert_close(causal_conv(x, layer.weight, layer.bias), layer(x.mT)[..., :9].mT)
    torch.testing.assert_close(causal_conv(x, layer.weight, None), layer(x.mT)[..., :9].mT - layer.bias)
