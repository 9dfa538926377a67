import pytest
import torch

from auharness.errors import UsageError
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.vision import import_torchvision


def published(depth):
    import_torchvision()
    from torchvision import models

    return getattr(models, f"resnet{depth}")


@pytest.mark.parametrize("depth", [18, 34])
def test_one_colour_frame_makes_it_torchvisions_network(depth):
    torch.manual_seed(0)
    theirs = published(depth)(num_classes=8).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
    ours = ClipResNet(1, 8, depth=depth, channels=3).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image[:, None]), theirs(image))


@pytest.mark.parametrize("depth", [18, 34])
def test_it_is_drawn_as_torchvision_draws_it(depth):
    torch.manual_seed(0)
    with torch.no_grad():
        ours, theirs = ClipResNet(1, 8, depth=depth, channels=3), published(depth)(num_classes=8)
        for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            if one.numel() > 1000:
                assert float(one.std() / other.std()) == pytest.approx(1, abs=0.06), name
            elif "fc" not in name:
                assert torch.equal(one, other), name


def test_the_difference_view_hides_the_still_face():
    torch.manual_seed(0)
    net = ClipResNet(4, 2, width=4, view="difference").eval()
    face, movement = torch.rand(1, 1, 1, 40, 40), torch.rand(1, 4, 1, 40, 40)
    assert net.conv1.in_channels == 3
    torch.testing.assert_close(net(face + movement), net(movement), atol=1e-5, rtol=1e-4)
    stack = ClipResNet(4, 2, width=4).eval()
    assert stack.conv1.in_channels == 4
    assert (stack(face + movement) - stack(movement)).abs().max() > 1e-3


def test_stages_give_the_maps_that_the_logits_come_from():
    torch.manual_seed(0)
    net = ClipResNet(2, 3, width=4).eval()
    clip = torch.rand(2, 2, 1, 64, 64)
    maps = net.stages(clip)
    assert [tuple(found.shape[1:]) for found in maps] == [(4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]
    torch.testing.assert_close(net.classify(maps[-1]), net(clip))


def test_without_a_last_layer_it_gives_the_features_of_torchvisions_network():
    torch.manual_seed(0)
    theirs = published(18)().eval()
    theirs.fc = torch.nn.Identity()
    ours = ClipResNet(1, None, channels=3).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images[:, None]), theirs(images))
    assert ours.features == 512


def test_bottlenecks_are_torchvisions_with_the_stride_of_the_paper():
    import_torchvision()
    from torchvision.models.resnet import Bottleneck, ResNet

    torch.manual_seed(0)
    theirs = ResNet(Bottleneck, [2, 2, 2, 2], num_classes=5).eval()
    ours = ClipResNet(1, 5, channels=3, block="bottleneck").eval()
    ours.load_state_dict(theirs.state_dict())
    for number in (2, 3, 4):
        first = theirs.get_submodule(f"layer{number}.0")
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image[:, None]), theirs(image))
    assert (ours.features, ours.widths) == (2048, (256, 512, 1024, 2048))


def test_one_frame_has_no_difference():
    with pytest.raises(UsageError, match=r"view=difference needs 2 frames, got 1; set preprocess\.frames"):
        ClipResNet(1, 2, view="difference")
