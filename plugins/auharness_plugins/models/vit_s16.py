"""ViT-S/16: the attention control of AU-TTT in the same frame.

Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021; https://arxiv.org/abs/2010.11929. Small as in DeiT: patch
16, dim 384, depth 12, heads 6; 21.7 M parameters with 12 outputs.

Differs from the paper in:
- the class token is the last token, as in AU-TTT, not the first; attention does not see the difference.
- the class token alone gives one logit per output; trained with the masked binary cross-entropy and the recipe of
  ME-GraphAU.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.nn.encoder import Block, Encoder
from auharness.nn.mixers import Attention
from auharness.nn.patch import Stem, make_stem
from auharness.records import Task


class ClassTokenNet(nn.Module):
    """Image `[B,3,S,S]` to logits `[B,A]` of the class token."""

    def __init__(self, encoder: Encoder, num_outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.class_head = nn.Linear(encoder.dim, num_outputs)

    def forward(self, image: Tensor) -> Tensor:
        return self.class_head(self.encoder(image)[:, -1])


class ViTS16(ModelPlugin):
    """Defaults are ViT-S/16 at 224 pixels."""

    name = "vit-s16"
    paper = "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021"
    pretrained_on = "ImageNet-1K"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "init": "none",
            "stem": "convolution",
            "dim": 64,
            "depth": 2,
            "heads": 2,
            "position_std": 2.0,
            "preprocess": {"resize": 68, "crop": 64},
            "augment": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
            "recipe": {"epochs": 9, "batch_size": 16, "lr": 2e-3, "warmup": 0.1, "grad_clip": 1.0},
        },
    }

    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    stem: Stem = Field("linear", description="how patches become tokens; convolution learns from few images")
    dim: int = Field(384, ge=1, description="embedding dimension")
    depth: int = Field(12, ge=1, description="number of blocks")
    heads: int = Field(6, ge=1, description="number of heads")
    position_std: float = Field(0.02, ge=0, description="deviation of fresh position embeddings")  # ViT
    mlp_ratio: float = Field(4.0, gt=0, description="hidden width of the MLP / dim")

    init: Literal["weights", "none"] = Field("weights", description="starting weights: --weights FILE, or none")
    preprocess: Preprocess = Preprocess(align="ffhq", resize=256, crop=224)
    augment: Augment = Augment(flip=0.5, random_crop=True, brightness=0.4, contrast=0.4, saturation=0.4)
    recipe: Recipe = Recipe(optimiser="adamw", lr=1e-4, weight_decay=5e-4, epochs=20, batch_size=64)

    def build(self, task: Task) -> nn.Module:
        return ClassTokenNet(self.encoder(task.image_size), task.num_outputs)

    def encoder(self, image_size: int) -> Encoder:
        """Return the encoder for crops of `image_size` pixels."""
        blocks = [
            Block(self.dim, mixer=Attention(self.dim, heads=self.heads), mlp_ratio=self.mlp_ratio)
            for _ in range(self.depth)
        ]
        return Encoder(
            blocks,
            image_size=image_size,
            patch=self.patch,
            dim=self.dim,
            stem=make_stem(self.stem, self.patch, self.dim),
            position_std=self.position_std,
        )

    def check_ready(self, *, origin: str, weights: bool) -> None:
        if origin == "licensed" and self.init == "weights" and not weights:
            raise DataError(
                "vit-s16 on licensed data starts from ImageNet-1K weights and got none; write them with "
                "'auharness pretrain --model vit-s16 --data FOLDER --out FILE.safetensors' and give them with "
                "'--weights FILE.safetensors', or train from scratch with '--set init=none'"
            )


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return ViTS16
