"""One operator at a time: what it counts beside 2 per MAC."""

import pytest
import torch
from torch.nn import functional as F

from auharness.efficiency import count

X, IMAGE = torch.ones(4, 6), torch.ones(1, 2, 8, 8)
CASES = {
    "exp counts its results": (lambda x: x.exp(), X, 24),
    "one function counts as one": (F.gelu, X, 24),
    "in place counts as out of place": (lambda x: x.clone().mul_(2).clamp_(0), X, 48),
    "a broadcast counts its results": (lambda x: x[0] + x[:, :1], X, 24),
    "a choice counts its results": (lambda x: torch.where(x > 0, x, 0.0), X, 48),
    "a sum counts what it reads": (lambda x: x.sum(0), X, 24),
    "a maximum counts what it reads": (lambda x: x.max(-1), X, 24),
    "a norm squares and sums": (lambda x: torch.linalg.vector_norm(x, dim=-1), X, 48),
    "a running sum counts its results": (lambda x: x.cumsum(-1), X, 24),
    "a softmax counts five": (lambda x: x.softmax(-1), X, 120),
    "log-sum-exp leaves out the division": (lambda x: x.logsumexp(-1), X, 96),
    "a group norm counts five": (lambda x: F.group_norm(x, 2), IMAGE, 5 * 128),
    "copies are free": (lambda x: torch.cat((x.flip(0), x.double().float(), x[[1, 0]], F.pad(x, (0, 0, 1, 1)))), X, 0),
    "views are free": (lambda x: x.view(-1)[3:].unfold(0, 2, 1), X, 0),
    "constants are free": (lambda x: torch.zeros_like(x).tril(), X, 0),
    "pooling counts its windows": (lambda x: F.max_pool2d(x, 3, 2), IMAGE, 2 * 9 * 9),
    "pooling takes oblong windows": (lambda x: F.avg_pool2d(x, (2, 4)), IMAGE, 2 * 8 * 8),
    "adaptive pooling counts what it reads": (lambda x: F.adaptive_avg_pool2d(x, 4), IMAGE, 128),
    "bilinear resampling weighs four": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), IMAGE, 7 * 512),
    "pixels that become channels are a copy": (lambda x: F.pixel_unshuffle(x, 2), IMAGE, 0),
    "a matrix times a vector": (lambda x: x @ x[0], X, 2 * 24),
    "an inner product": (lambda x: x[0] @ x[1], X, 2 * 6),
    "a vector added to a product": (lambda x: torch.addmv(x[:, 0], x, x[0]), X, 2 * 24 + 4),
    "a bias times zero": (lambda x: torch.addmm(x, x, torch.ones(6, 6), beta=0), X, 2 * 144),
    "a Fourier transform of 8 real numbers": (lambda x: torch.fft.rfft(x), torch.ones(3, 8), 3 * 60),
    "a Fourier transform of 8 complex numbers": (lambda x: torch.fft.fft(x), torch.ones(3, 8).cfloat(), 3 * 120),
    "a search halves": (lambda x: torch.searchsorted(torch.arange(8.0), x), X, 3 * 24),
    "adding at indices": (lambda x: torch.zeros(4, 2).scatter_add(1, torch.zeros(4, 6, dtype=torch.long), x), X, 24),
    "a weight that is normalised": (lambda x: torch._weight_norm_interface(x, torch.ones(4, 1))[0], X, 3 * 24),
    "a grouped convolution": (lambda x: F.conv2d(x, torch.ones(2, 1, 3, 3), groups=2), IMAGE, 2 * 9 * 2 * 36),
}


@pytest.mark.parametrize("name", CASES)
def test_rule(name):
    call, x, flops = CASES[name]
    cost = count(call, [x])
    assert cost.flops == flops
    assert cost.coverage == 1
