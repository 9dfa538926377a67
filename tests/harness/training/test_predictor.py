import torch
from torch import nn

from auharness.training.predictor import ModulePredictor
from auharness.training.unit import make_fabric
from auharness_plugins.models.cnn3d import CNN3D


class Varying(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,3]` by what depends on mode and batch: batch statistics and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.drop(self.norm(clip.flatten(1))))
        return out


def test_a_clip_gets_the_same_logits_alone_and_among_64_and_leaves_no_trace_in_the_statistics() -> None:
    module = Varying()
    module.norm.running_mean = torch.arange(8.0)
    clips = torch.randn(64, 2, 1, 2, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    # as training leaves it
    predictor = ModulePredictor(module.train(), CNN3D(), make_fabric("cpu", "32-true"))
    scores = [torch.cat([predictor({"clip": part}) for part in torch.split(clips, size)]) for size in (1, 7, 64)]
    assert all(torch.equal(scores[0], other) for other in scores[1:])
    torch.testing.assert_close(scores[0], module(clips))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
