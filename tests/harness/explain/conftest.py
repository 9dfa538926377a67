"""A stranger's package with clips of three classes, a two-fold protocol and a network that learns them in seconds."""

import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent

import cv2
import numpy as np
import pytest

import auharness
from auharness.runner import RunResult

FRAMES, SIDE = 12, 32
COLOURS = {"Happy": (230, 60, 60), "Sad": (60, 230, 60), "Surprise": (60, 60, 230)}
"""Colour (BGR) of the patch of 8 px that makes the class; its place is random, and it appears in frame 6."""
ONSET = 6
MISLEADING = (5, 16)
"""Clips with the patch of another class: whoever learns the others gets them wrong."""

SOURCES = {
    "patch_set": '''
        """Twenty-four clips of noise in which a coloured patch appears."""
        from typing import ClassVar

        from auharness import DatasetPlugin, hookimpl
        from auharness.records import ClipRecord, Media

        class PatchSet(DatasetPlugin):
            name = "patch-set"
            kind: ClassVar[str] = "clip-multiclass"
            classes: ClassVar[tuple[str, ...]] = ("Happy", "Sad", "Surprise")

            def records(self):
                for line in (self.root / "labels.csv").read_text().splitlines():
                    clip, label = line.split(",")
                    media = tuple(Media(f"clips/{clip}/{frame}.png") for frame in range(12))
                    yield ClipRecord(self.name, clip, clip, tuple(range(12)), media, label=label)

        @hookimpl
        def auharness_dataset():
            return PatchSet
        ''',
    "patch_2fold": '''
        """Even clips against odd ones."""
        from auharness import ProtocolPlugin, hookimpl
        from auharness.records import Fold

        class Patch2Fold(ProtocolPlugin):
            name = "patch-2fold"
            train_on = ("patch-set",)
            test_on = ("patch-set",)
            score_labels = ("Happy", "Sad", "Surprise")
            metrics = ("uar", "war")
            headline = "uar"
            cluster = "clip"
            key = "clip"

            def folds(self, index):
                keys = [("patch-set", clip) for clip in index.clips("patch-set")]
                halves = [frozenset(keys[start::2]) for start in (0, 1)]
                return [Fold("even", halves[1], halves[0]), Fold("odd", halves[0], halves[1])]

        @hookimpl
        def auharness_protocol():
            return Patch2Fold
        ''',
    "patch_net": '''
        """A convolution on every frame, means of what it sees, and a linear layer."""
        from typing import ClassVar

        import torch
        from torch import nn

        from auharness import Augment, ModelPlugin, Output, Preprocess, Recipe, hookimpl

        class Net(nn.Module):
            def __init__(self, outputs):
                super().__init__()
                self.early = nn.Sequential(nn.Conv2d(3, 3, 2, stride=2, bias=False), nn.ReLU(inplace=True))
                self.late = nn.Sequential(nn.AvgPool2d(2), nn.ReLU(inplace=True))
                self.head = nn.Linear(3, outputs)
                nn.init.zeros_(self.head.weight)
                # a channel for each colour, so that seconds of training are enough
                self.early[0].weight.data = (1.5 * torch.eye(3) - 0.5)[..., None, None].expand(3, 3, 2, 2) / 4

            def forward(self, clip):
                found = self.late(self.early(clip.flatten(0, 1)))
                means = found.mean(dim=(2, 3)).unflatten(0, clip.shape[:2])
                return Output(self.head(20 * means.mean(dim=1)), {"pooled": means.transpose(1, 2)})

        class PatchNet(ModelPlugin):
            name = "patch-net"
            inputs = ("clip",)
            traces: ClassVar[dict] = {"pooled": "mean activation of the last layer"}
            preprocess: Preprocess = Preprocess(
                align="none", landmarks="mean-shape", resize=32, crop=32, frames=12, mean=(0, 0, 0), std=(1, 1, 1)
            )
            augment: Augment = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0)
            recipe: Recipe = Recipe(epochs=10, batch_size=6, lr=5e-2, save_epoch_predictions=True)

            def build(self, task):
                return Net(task.num_outputs)

            def cam_layers(self, module):
                return {"early": module.early, "late": module.late}

        @hookimpl
        def auharness_model():
            return PatchNet
        ''',
}
POINTS = {"datasets": {"patch-set": "patch_set"}, "protocols": {"patch-2fold": "patch_2fold"}}
POINTS |= {"models": {"patch-net": "patch_net"}}


@pytest.fixture(scope="session")
def patch_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the package and return the root of its data."""
    site = tmp_path_factory.mktemp("patch-site")
    info = site / "patch_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: patch-plugins\nVersion: 1.0\n")
    entries = [
        f"[auharness.{group}]\n{name} = {module}\n" for group, own in POINTS.items() for name, module in own.items()
    ]
    (info / "entry_points.txt").write_text("".join(entries))
    for module, source in SOURCES.items():
        (site / f"{module}.py").write_text(dedent(source))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        invalidate_caches()
        yield _write_clips(tmp_path_factory.mktemp("patch-data"))
    for module in SOURCES:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def patch_run(patch_package: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The finished run of both folds. Not to be changed; write pictures elsewhere."""
    return auharness.run(
        "patch-net",
        "patch-2fold",
        data_roots={"patch-set": str(patch_package)},
        runs=tmp_path_factory.mktemp("patch-runs"),
        device="cpu",
        jobs=1,
    )


def _write_clips(root: Path) -> Path:
    random = np.random.default_rng(0)
    lines = []
    for number in range(24):
        colour = label = tuple(COLOURS)[number // 2 % 3]
        if number in MISLEADING:
            colour = tuple(COLOURS)[(number // 2 + 1) % 3]
        y, x = random.integers(2, SIDE - 10, 2)
        folder = root / "clips" / f"{number:02}"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            image = random.integers(60, 100, (SIDE, SIDE, 3), np.uint8)
            if frame >= ONSET:
                image[y : y + 8, x : x + 8] = COLOURS[colour]
            cv2.imwrite(str(folder / f"{frame}.png"), image)
        lines.append(f"{number:02},{label}\n")
    (root / "labels.csv").write_text("".join(lines))
    return root
