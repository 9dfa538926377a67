import torch

from auharness.nn.resnet3d import ResNet3D18
from auharness.nn.vision import import_torchvision


def test_with_colour_it_is_torchvisions_r3d_18():
    import_torchvision()
    from torchvision.models.video import r3d_18

    torch.manual_seed(0)
    theirs = r3d_18(weights=None, num_classes=8).eval()
    ours = ResNet3D18(8, channels=3).eval()
    ours.load_state_dict(theirs.state_dict())
    clip = torch.randn(1, 5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), theirs(clip.transpose(1, 2)))


def test_grey_clips_take_a_stem_of_one_channel():
    net = ResNet3D18(4, width=4)
    assert net.stem[0].weight.shape == (4, 1, 3, 7, 7)
    assert net(torch.rand(2, 5, 1, 48, 48)).shape == (2, 4)
