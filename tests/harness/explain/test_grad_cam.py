"""Grad-CAM against hand-computed numbers and against the maps of another implementation."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auharness.api import Output
from auharness.errors import UsageError
from auharness.explain.grad_cam import frame_places, grad_cam, normalised, on_frames
from auharness.nn.vision import import_torchvision

GOLDEN = Path(__file__).with_name("golden") / "grad_cam_3d.npz"


def net_3d(*, inplace: bool = False) -> nn.Sequential:
    """The network behind the golden maps."""
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1, stride=(1, 2, 2)),
        nn.BatchNorm3d(4),
        nn.ReLU(inplace=inplace),
        nn.Conv3d(4, 5, (2, 3, 3)),
        nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool3d(2),
        nn.Flatten(),
        nn.Linear(40, 3),
    ).eval()


class Frames(nn.Module):
    """The frames of a clip one by one; logit a is the sum over t of `weights[a, t]` times the mean of frame t."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.weights = torch.tensor(weights)

    def forward(self, clip: Tensor) -> Tensor:
        seen = self.layer(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])
        return torch.einsum("bt,at->ba", seen.mean(dim=(2, 3, 4)), self.weights)


class Volume(nn.Module):
    """Logit a is the sum over c of `weights[a, c]` times the mean of channel c over all places and times."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.weights = torch.tensor(weights)

    def forward(self, clip: Tensor) -> Output:
        means = self.layer(clip.transpose(1, 2)).mean(dim=(2, 3, 4))
        return Output(means @ self.weights.T, {"means": means})


def test_a_volume_has_one_weight_per_channel_as_computed_by_hand() -> None:
    clip = torch.tensor([[[[[1.0, 2.0]], [[3.0, 1.0]]], [[[0.0, 4.0]], [[2.0, 2.0]]]]])  # [B=1,T=2,C=2,H=1,W=2]
    module = Volume([[0.0, 0.0], [2.0, -1.0]])
    found = grad_cam(module, [clip], layers={"all": module.layer}, outputs=torch.tensor([1]))
    # 4 places: w = (2, -1) / 4; frame 0: (2*1-3, 2*2-1) / 4, frame 1: (0-2, 8-2) / 4, negative ones become 0
    torch.testing.assert_close(found.cells["all"], torch.tensor([[[[0.0, 0.75]], [[0.0, 1.5]]]]))
    torch.testing.assert_close(found.output.logits, torch.tensor([[0.0, 2 * 1.75 - 2.0]]))
    assert list(found.output.aux) == ["means"] and not found.output.aux["means"].requires_grad


def test_frames_have_weights_of_their_own_as_computed_by_hand() -> None:
    clip = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1, 1).expand(2, 3, 1, 2, 2)
    module = Frames([[1.0, 0.0, -1.0], [0.0, 4.0, 8.0]])
    found = grad_cam(module, [clip], layers={"all": module.layer}, outputs=torch.tensor([0, 1]))
    # the mean over 4 places has gradient u_t / 4 at each
    wanted = torch.tensor([[0.25, 0.0, 0.0], [0.0, 2.0, 6.0]])
    torch.testing.assert_close(found.cells["all"], wanted[:, :, None, None].expand(2, 3, 2, 2))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("layer", "place"), [("conv", 3), ("relu", 4)])
def test_a_3d_network_has_the_maps_of_grad_cam_1_5_5(layer: str, place: int, inplace: bool) -> None:
    # origin: `GradCAM.get_cam_image` of the package grad-cam 1.5.5 (J. Gildenblat) with torch 2.13, then ReLU; random
    # weights and clip of seed 0 lie in the file, the outputs are 2 and 0
    golden = np.load(GOLDEN)
    module = net_3d(inplace=inplace)
    state = {name.removeprefix("weights."): golden[name] for name in golden if name.startswith("weights.")}
    module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    found = grad_cam(
        module, [torch.from_numpy(golden["clip"])], layers={layer: module[place]}, outputs=torch.tensor([2, 0])
    )
    wanted = torch.from_numpy(golden[f"cam_{layer}"])
    assert wanted.max() > 1e-3
    torch.testing.assert_close(found.cells[layer], wanted, rtol=1e-4, atol=1e-7)


def test_a_patch_that_appears_in_frame_9_lights_up_there_and_not_before() -> None:
    torch.manual_seed(0)
    clip = torch.zeros(1, 16, 3, 32, 32)
    clip[:, 9:, :, 4:12, 20:28] = 1.0
    layer = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.ReLU())
    nn.init.constant_(layer[0].weight, 0.1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, seen: Tensor) -> Tensor:
            return self.layer(seen.flatten(0, 1)).unflatten(0, seen.shape[:2]).mean(dim=(1, 3, 4))

    module = Net()
    cells = grad_cam(module, [clip], layers={"layer": layer}, outputs=torch.tensor([2])).cells["layer"]
    maps = normalised(on_frames(cells, frames=16, size=32))[0]
    assert maps[:9].abs().max() == 0 and maps[9:].amax(dim=(1, 2)).min() == 1
    outside = maps.clone()
    outside[:, 2:15, 18:31] = 0
    assert outside.max() == 0


def test_only_the_scale_of_the_clip_leaves_frames_comparable() -> None:
    maps = torch.tensor([1.0, 2.0, 4.0, 0.0]).view(1, 4, 1, 1)
    assert normalised(maps).flatten().tolist() == [0.25, 0.5, 1.0, 0.0]
    assert normalised(maps, per_frame=True).flatten().tolist() == [1.0, 1.0, 1.0, 0.0]
    unseen = torch.cat((maps.new_full((1, 1, 1, 1), float("nan")), maps), dim=1)
    assert normalised(unseen)[0, 1:].flatten().tolist() == [0.25, 0.5, 1.0, 0.0]
    assert normalised(unseen).isnan().sum() == 1


def test_cells_are_spread_over_the_frames_that_reach_the_layer() -> None:
    cells = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    maps = on_frames(cells, frames=6, size=8, first=1)
    assert maps.shape == (1, 6, 8, 8) and maps[:, 0].isnan().all() and not maps[:, 1:].isnan().any()
    # what lies at frame_places is the cell itself: the map is linear between the outer centres
    shown = maps[0, 1:, 0, 0].numpy()
    wanted = np.interp(np.arange(1, 6), frame_places(4, 6, first=1), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(shown, wanted, rtol=1e-6)
    assert on_frames(cells[:, :1], frames=3, size=4).unique().tolist() == [1.0]


def test_an_output_that_does_not_depend_on_a_layer_has_an_empty_map() -> None:
    module = nn.ModuleDict({"side": nn.Conv2d(1, 1, 1)})

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = module

        def forward(self, image: Tensor) -> Output:
            return Output(image.mean(dim=(2, 3)), {"side": self.parts["side"](image)})

    image = torch.rand(2, 1, 4, 4)
    found = grad_cam(Net(), [image], layers={"side": module["side"]}, outputs=torch.tensor([0, 0]))
    assert found.cells["side"].shape == (2, 1, 4, 4) and not found.cells["side"].any()


def test_answers_per_frame_are_averaged_and_parameters_keep_no_gradient() -> None:
    lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    conv = nn.Conv2d(1, 4, 3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lstm = conv, lstm

        def forward(self, clip: Tensor) -> Tensor:
            means = self.conv(clip.flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, clip.shape[:2])
            states: Tensor = self.lstm(means)[0]
            return states

    module = Net().train()
    found = grad_cam(module, [torch.rand(2, 5, 1, 6, 6)], layers={"conv": conv}, outputs=torch.tensor([5, 0]))
    assert found.output.logits.shape == (2, 6) and found.cells["conv"].shape == (2, 5, 4, 4)
    assert found.cells["conv"].max() > 0
    assert all(value.grad is None for value in module.parameters()) and not conv._forward_hooks


class Odd(nn.Module):
    """Uses its layers in ways that cannot be mapped."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.twice, self.flat = nn.Identity(), nn.Identity(), nn.Flatten()
        self.frozen, self.pair = nn.Conv2d(1, 1, 1).requires_grad_(False), Pair()

    def forward(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            still = self.frozen(image.detach())
        pair: tuple[Tensor, Tensor] = self.pair(image)
        return self.flat(self.twice(self.twice(pair[0] + still))).sum(dim=1, keepdim=True)


class Pair(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * image, image


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("unused", "layer 'unused' is used 0 times"),
        ("twice", "layer 'twice' is used 2 times"),
        ("frozen", "layer 'frozen' is computed without gradients"),
        ("flat", r"layer 'flat' gives \[2, 9\] for a batch of 2; expected \[B,C,T,H,W\]"),
    ],
)
def test_a_layer_that_cannot_be_mapped_is_refused(layer: str, message: str) -> None:
    module = Odd()
    with pytest.raises(UsageError, match=message):
        grad_cam(module, [torch.rand(2, 1, 3, 3)], layers={layer: getattr(module, layer)}, outputs=torch.tensor([0, 0]))


def test_of_a_tuple_the_first_entry_counts() -> None:
    module = Odd()
    image = torch.rand(1, 1, 3, 3)
    found = grad_cam(module, [image], layers={"pair": module.pair}, outputs=torch.tensor([0]))
    torch.testing.assert_close(found.cells["pair"], 2 * image[:, 0:1, :, :])


def test_the_package_agrees_where_it_is_installed() -> None:
    import_torchvision()
    package = pytest.importorskip("pytorch_grad_cam", exc_type=ImportError)
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    torch.manual_seed(3)
    module = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 6, 3), relu=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(3), flat=nn.Flatten())
    )
    image = torch.rand(2, 3, 12, 12)
    theirs = package.GradCAM(model=module, target_layers=[module.relu])(
        input_tensor=image, targets=[targets.ClassifierOutputTarget(k) for k in (4, 50)]
    )
    cells = grad_cam(module, [image], layers={"relu": module.relu}, outputs=torch.tensor([4, 50])).cells["relu"]
    for ours, other in zip(normalised(on_frames(cells, frames=1, size=12))[:, 0], theirs, strict=True):
        assert np.corrcoef(ours.numpy().ravel(), other.ravel())[0, 1] > 0.98
