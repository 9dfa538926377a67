import pytest
import torch
from torch.nn import functional as F

from auharness.efficiency import count
from auharness.nn.mixers import Mamba, PlainSSM


def section_3(layer, x):
    """Follow the equations frame by frame."""
    padded = F.pad(x, (0, 0, 3, 0))
    kernel = layer.conv1d.weight[:, 0].T
    u = torch.stack([(padded[:, t : t + 4] * kernel).sum(1) for t in range(x.shape[1])], 1) + layer.conv1d.bias
    size = layer.A_log.shape[1]
    A = -layer.A_log.exp()
    h = x.new_zeros(len(x), x.shape[2], size)
    found = []
    for now in u.unbind(1):
        dt, B, C = layer.x_proj(now).split([layer.rank, size, size], -1)
        step = F.softplus(layer.dt_proj(dt))[..., None]
        h = (step * A).exp() * h + step * B[:, None] * now[..., None]
        found.append((h * C[:, None]).sum(-1) + layer.D * now)
    return torch.stack(found, 1)


def test_is_the_recurrence_of_section_3():
    torch.manual_seed(0)
    layer = PlainSSM(8, state_size=3, dt_rank=2).double()
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), section_3(layer, x))


def test_a_frame_hears_of_no_later_one():
    torch.manual_seed(0)
    layer, x = PlainSSM(8, backend="reference"), torch.randn(1, 6, 8)
    later = x.clone()
    later[:, 4:] += 1
    changed = (layer(x) != layer(later)).any(-1)[0]
    assert changed.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("make", "parameters", "gigamacs"),
    [
        (lambda: Mamba(1280), 10.4, 0.167),
        (lambda: Mamba(1280, expand=1), 5.2, 0.084),
        (lambda: PlainSSM(1280), 0.275, 0.0043),
    ],
    ids=["mamba", "mamba, no expansion", "plain"],
)
def test_cost_at_the_width_of_mamba_dfer(make, parameters, gigamacs):
    with torch.device("meta"):
        cost = count(make(), [torch.zeros(1, 16, 1280)])
    assert cost.parameters / 1e6 == pytest.approx(parameters, rel=0.005)
    assert cost.macs / 1e9 == pytest.approx(gigamacs, rel=0.015)
