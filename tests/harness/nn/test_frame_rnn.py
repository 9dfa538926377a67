import pytest
import torch
from torch import nn

from auharness.nn.frame_rnn import FrameRNN
from auharness.nn.resnet2d import ClipResNet


def built(cell="lstm", **settings):
    torch.manual_seed(0)
    settings = {"length": 5, "hidden": 6, **settings}
    return FrameRNN(ClipResNet(1, None, width=4), 3, cell=cell, **settings).eval()


def clip(frames=5):
    return torch.rand(2, frames, 1, 40, 40, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_last_state_is_that_of_torchs_cell_stepped_through_the_clip(cell):
    net = built(cell)
    made = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell](32, 6)
    made.load_state_dict({name.removesuffix("_l0"): value for name, value in net.rnn.state_dict().items()})
    state = None
    for frame in clip().unbind(1):
        state = made(net.frames(frame[:, None]), state)
    hidden = state[0] if cell == "lstm" else state
    torch.testing.assert_close(net(clip()), net.fc(hidden))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions_end_where_they_have_read_everything(cell, layers):
    net = built(cell, bidirectional=True, layers=layers)
    features = net.frames(clip().flatten(0, 1)[:, None]).unflatten(0, (2, 5))
    _, end = net.rnn(features)
    hidden = end[0] if cell == "lstm" else end
    torch.testing.assert_close(net(clip()), net.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)))


def test_the_mean_and_all_frames_are_read_when_asked_for():
    mean, flat = built(pool="mean"), built(pool="flatten")
    states = mean.rnn(mean.frames(clip().flatten(0, 1)[:, None]).unflatten(0, (2, 5)))[0]
    torch.testing.assert_close(mean(clip()), mean.fc(states.mean(1)))
    assert flat.fc.in_features == 5 * 6
    assert flat(clip()).shape == (2, 3)
    assert mean(clip(frames=8)).shape == (2, 3)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("pool", ["last", "mean", "flatten"])
def test_the_order_of_the_frames_matters(cell, pool):
    net = built(cell, pool=pool)
    assert (net(clip().flip(1)) - net(clip())).abs().max() > 1e-5


def test_the_state_forgets_no_frame():
    net = built()
    for frame in range(5):
        changed = clip()
        changed[:, frame] = 1 - changed[:, frame]
        assert (net(changed) - net(clip())).abs().max() > 1e-7
