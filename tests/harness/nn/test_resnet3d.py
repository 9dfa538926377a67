import pytest
import torch
from torch import nn

from auharness.nn.resnet3d import ResNet3D18, factored_channels, wide_stem
from auharness.nn.vision import import_torchvision


def published(name):
    import_torchvision()
    from torchvision.models import video

    return getattr(video, name)


@pytest.mark.parametrize(("form", "name"), [("r3d", "r3d_18"), ("r2plus1d", "r2plus1d_18")])
def test_with_colour_it_is_torchvisions_network(form, name):
    torch.manual_seed(0)
    theirs = published(name)(weights=None, num_classes=8).eval()
    ours = ResNet3D18(8, channels=3, form=form).eval()
    ours.load_state_dict(theirs.state_dict())
    clip = torch.randn(1, 5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), theirs(clip.transpose(1, 2)))


def test_the_wide_form_has_a_stem_and_a_pool_before_the_same_stages():
    torch.manual_seed(0)
    theirs = published("r3d_18")(weights=None, num_classes=8).eval()
    ours = ResNet3D18(8, channels=3, form="wide").eval()
    kept = {name: value for name, value in theirs.state_dict().items() if not name.startswith("stem")}
    # the released network of Hara et al.: kernel 7, stride 1 over time and 2 over the image, then a pool of 3 by 2
    stem = nn.Sequential(
        nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False), nn.BatchNorm3d(64), nn.ReLU(), nn.MaxPool3d(3, 2, 1)
    ).eval()
    ours.load_state_dict(kept | {f"stem.{name}": value for name, value in stem.state_dict().items()})
    theirs.stem = stem
    clip = torch.randn(1, 6, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), theirs(clip.transpose(1, 2)))
        assert wide_stem(3, 4)(clip.transpose(1, 2)).shape == (1, 4, 3, 12, 12)


@pytest.mark.parametrize(("before", "after", "time", "side"), [(64, 64, 3, 3), (64, 128, 3, 3), (3, 64, 3, 7)])
def test_a_factored_convolution_has_nearly_the_weights_of_the_whole(before, after, time, side):
    between = factored_channels(before, after, time=time, side=side)
    whole = time * side**2 * before * after

    def weights(channels):
        return side**2 * before * channels + time * channels * after

    assert weights(between) <= whole < weights(between + 1)


def test_by_the_rule_both_convolutions_of_a_block_have_their_own_channels():
    with torch.device("meta"):
        shared, ruled = (ResNet3D18(7, channels=3, form=form) for form in ("r2plus1d", "r2plus1d-rule"))
    assert [shared.layer2[0].conv1[0][0].out_channels, shared.layer2[0].conv2[0][0].out_channels] == [230, 230]
    assert [ruled.layer2[0].conv1[0][0].out_channels, ruled.layer2[0].conv2[0][0].out_channels] == [230, 288]
    assert (shared.stem[0].out_channels, ruled.stem[0].out_channels) == (45, 83)


def test_without_a_last_layer_it_gives_what_that_layer_reads():
    torch.manual_seed(0)
    whole = ResNet3D18(4, width=4).eval()
    trunk = ResNet3D18(None, width=4).eval()
    trunk.load_state_dict({name: value for name, value in whole.state_dict().items() if not name.startswith("fc")})
    clip = torch.rand(2, 5, 1, 32, 32)
    assert trunk.features == 32
    torch.testing.assert_close(whole.fc(trunk(clip)), whole(clip))


@pytest.mark.parametrize("form", ["r3d", "wide", "r2plus1d", "r2plus1d-rule"])
def test_grey_clips_take_a_stem_of_one_channel_and_time_matters(form):
    torch.manual_seed(0)
    net = ResNet3D18(4, width=4, form=form).eval()
    assert net.stem[0].weight.shape[1] == 1
    clip = torch.rand(2, 8, 1, 48, 48)
    out = net(clip)
    assert out.shape == (2, 4)
    assert (net(clip.flip(1)) - out).abs().max() > 1e-5
