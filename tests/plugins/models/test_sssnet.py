import pytest
import torch

from auharness.errors import UsageError
from auharness.records import Task
from auharness_plugins.models.sssnet import SSSNet, flow_image, lucas_kanade

CASME2 = tuple(f"AU{au}" for au in (1, 2, 4, 7, 12, 14, 15, 17))
TASK = Task(CASME2, "clip-multilabel", "casme2", (30,) * 8, (240,) * 8, 64, 6)
INNER = (..., slice(8, -8), slice(8, -8))


def _texture(right=0.0, down=0.0, side=48):
    """A smooth pattern, moved by a part of a pixel."""
    y, x = torch.meshgrid(torch.arange(side) - down, torch.arange(side) - right, indexing="ij")
    waves = [(0.31, 0.12, 0.3), (-0.17, 0.35, 1.1), (0.08, -0.29, 2.0)]
    return (0.5 + sum(torch.sin(a * x + b * y + c) for a, b, c in waves) / 8)[None, None].double()


def test_it_has_1_350_536_parameters_with_8_aus():
    with torch.device("meta"):
        module = SSSNet().build(TASK)
    assert sum(value.numel() for value in module.parameters()) == 1_350_536


@pytest.mark.parametrize(("right", "down"), [(0.3, 0.0), (0.0, -0.4), (-0.2, 0.25)])
def test_the_motion_of_a_pattern_is_found_to_3_percent_of_a_pixel(right, down):
    u, v = lucas_kanade(_texture(), _texture(right, down))[INNER].unbind(1)
    assert (u - right).abs().max() < 0.03 and (v - down).abs().max() < 0.03


def test_where_nothing_is_seen_nothing_moves():
    flat = torch.full((1, 1, 20, 20), 0.5)
    assert lucas_kanade(flat, flat + 0.1).abs().max() == 0


def test_the_flow_leads_to_the_frame_that_differs_most():
    frames = [_texture(right) for right in (0.0, 0.1, 0.4, 0.2, 0.1, 0.0)]
    clip = torch.stack(frames, dim=1)
    assert torch.equal(flow_image(clip), flow_image(clip[:, [0, 2]]))
    assert not torch.equal(flow_image(clip), flow_image(clip[:, [0, 1]]))
    # in a batch each clip has its own
    both = torch.cat((clip, clip[:, [0, 1, 1, 1, 3, 1]]))
    torch.testing.assert_close(flow_image(both)[1:], flow_image(clip[:, [0, 3]]))


def test_motion_and_strain_are_scaled_to_their_range():
    # the motion grows from left to right: the strain is its slope, the same everywhere
    side = 48
    y, x = torch.meshgrid(torch.arange(side).double(), torch.arange(side).double(), indexing="ij")

    def picture(x, y):
        return (0.5 + (torch.sin(0.31 * x + 0.12 * y) + torch.sin(0.35 * y - 0.17 * x)) / 6)[None, None]

    clip = torch.stack((picture(x, y), picture(x - 0.3 * x / side, y)), dim=1)
    image = flow_image(clip)
    assert image.shape == (1, 3, side, side) and image.amin().item() == 0 and image.amax().item() == 1
    assert (image.amax(dim=(2, 3)) - image.amin(dim=(2, 3))).min().item() == pytest.approx(1.0)
    u = image[0, 0][8:-8, 8:-8]
    assert torch.corrcoef(torch.stack((u.flatten(), x[8:-8, 8:-8].flatten())))[0, 1] > 0.99
    motion = lucas_kanade(clip[:, 0], clip[:, 1])[0, 0, 20, 10:40]
    assert (motion[-1] - motion[0]).item() / 29 == pytest.approx(0.3 / side, rel=0.2)


def test_a_still_clip_gives_zero():
    assert flow_image(_texture().expand(1, 1, -1, -1).unsqueeze(1).repeat(1, 6, 1, 1, 1)).abs().max() == 0


def test_colour_is_refused():
    plugin = SSSNet.model_validate({"preprocess": {**SSSNet().preprocess.model_dump(), "channels": 3}})
    with pytest.raises(UsageError, match=r"expected preprocess\.channels=1, got 3"):
        plugin.build(TASK)


def test_clips_that_leave_nothing_are_refused():
    with pytest.raises(UsageError, match="needs crops of 16 px and 2 frames, got 15 px and 6"):
        SSSNet().build(Task(CASME2, "clip-multilabel", "casme2", (1,) * 8, (2,) * 8, 15, 6))
