"""AU-TTT: Vision Test-Time Training model for Facial Action Unit Detection.

Xing, Yuan, Yu, Liu, Kälviäinen; 2025; https://arxiv.org/abs/2503.23450. No original code is known.

Patch tokens and a class token pass blocks that add a bidirectional TTT-Linear layer, a TTT layer over one token per AU
and multi-scale convolutions; the class token and AU heatmaps give the logits. Parameters of `paper` with 12 AUs:

    part                                      one         12 blocks
    Bi-TTT: 2 x TTT-Linear 618,644       1,237,288       14,847,456
            linear 2D -> D                 295,296        3,543,552
    AU RoI TTT                             618,642        7,423,704
    MSP                                    159,360        1,912,320
    MLP, two LayerNorms                  1,183,104       14,197,248
    embedding, positions, CLS, last norm                    372,096
    class head, heatmap head, alpha                           9,241
    total                                                42,305,617   42.3 M (tied: 34,881,889, 34.9 M)

Where the paper is silent or the text allows two readings (setting = default):
 1. Mini-batch (`mini_batch = row`): the tokens of one feature row, 14 at 224 px; the class token is the remainder.
 2. Table III "Original TTT" (variant `original-ttt`): mini-batch 16, the layer's own default, forward only.
 3. Class token in the backward pass: stays last (eq. 6); only the patches are reversed and un-reversed.
 4. Weights of the two directions (`tied = False`): eq. 6 reads tied, Table III counts two parts.
 5. Rotary positions (`rope = True`): position modulo the mini-batch is the column; learned positions give the row.
 6. Residuals (`mlp_ratio = 4`): pre-norm; Z' = Z + Bi-TTT + RoI + MSP, then Z' + MLP(LN(Z')).
 7. MSP (`dilations = 1, 3, 5`): depthwise on the grid, summed, pointwise; the class token is left out.
 8. Masks (`roi_map = sum`, `roi_sigma = 20`, `centres = fg-net`): FG-Net's centres, unsigned, so free of labels.
 9. Landmarks are an input at test time (eq. 7); a missing face comes as the mean shape and is counted by the data.
10. Mean pooling (`roi_pool = area`): eq. 7 to the letter; `mask` divides by the sum of the mask.
11. AU RoI TTT: AUs in index order, one mini-batch of all AUs, forward only.
12. Adding AU tokens to all tokens (`roi_scatter = mask`): by the same masks; `mean` and `cls` are the options.
13. Input of the RoI branch: the LayerNorm output that Bi-TTT sees, without the class token.
14. Heatmap head (`heatmap_size = grid`): linear on the last patch tokens; a number of cells upsamples.
15. Heatmap target (`heatmap_target = signed`): FG-Net's, + present, - absent; `unsigned` shows the place alone.
16. Fusion (`fusion = sum`, `alpha = 1`): logit = linear(CLS) + alpha mean(heatmap), alpha learned from that value.
17. Eq. 10 (`mse_reduction = mean`): `squared-norm` is the equation to the letter.
18. lambdas of eq. 11 (`mdwa_weight = wdi_weight = mse_weight = 1`): not given.
19. Optimisation, augmentation, alignment (`recipe`, `augment`, `preprocess`): not given; ME-GraphAU's recipe on a
    256 px face crop cut to 224.
20. ImageNet-1K has no landmarks: pre-training leaves the RoI branch out; after loading, branch and heatmap head start
    from zero output.
21. Rates, weights and margin across domains: those of the training rows of the source.
22. DISFA starts from the same ImageNet weights as BP4D, not from a BP4D model.
Other mixers (`mixer = mamba`, `attention`, `linear`) are not the paper's: they stand in the place of Bi-TTT and of the
AU RoI TTT in the same frame, so that mixers are compared and nothing else. Mamba reads both ways as Vision Mamba does.
The gradient through p_m^gamma (`focusing = detached`) is not given either; the loss's ancestors hold it constant.
The preset `literal` ties the directions, takes the squared norm and attaches the focusing weight.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import Augment, ModelPlugin, Output, Preprocess, Recipe
from auharness.api.unit import Batch
from auharness.errors import DataError, UsageError
from auharness.hookspecs import hookimpl
from auharness.losses import heatmap_mse, mdwa, wdi
from auharness.nn.au_heatmap import Table, au_centres, au_heatmaps, signed_heatmaps
from auharness.nn.encoder import Encoder, Mlp, tokens_per_row
from auharness.nn.mixers import MIXERS, BiMamba, BiTTT, TTTLinear
from auharness.nn.msp import MSP
from auharness.nn.patch import Stem, make_stem
from auharness.nn.roi import RoiPool, RoiScatter, roi_pool, roi_scatter
from auharness.records import Task

FG_NET_GRID = 128
"""Cells per side on which FG-Net states its Gaussian."""
_SILENT = re.compile(r"^heatmap_head\.|\.roi\.mixer\.(o_|out_)?proj\.")
"""What is set to zero where pre-trained weights do not hold it (point 20)."""


class RoiBranch(nn.Module):
    """AU RoI TTT, `[B,J,D] -> [B,J+1,D]`: pool one token per AU, mix them, scatter back (eq. 7)."""

    def __init__(self, mixer: nn.Module, *, pool: RoiPool, scatter: RoiScatter) -> None:
        super().__init__()
        self.mixer = mixer
        self.pool: RoiPool = pool
        self.scatter: RoiScatter = scatter

    def forward(self, patches: Tensor, masks: Tensor) -> Tensor:
        tokens = self.mixer(roi_pool(patches, masks, divide=self.pool))
        return roi_scatter(tokens, masks, to=self.scatter)


class AUTTTBlock(nn.Module):
    """Z' = Z + mixer(N) + RoI(N) + MSP(N) with N = LN(Z), then Z' + MLP(LN(Z')); a branch may be None."""

    def __init__(
        self, dim: int, *, mixer: nn.Module, msp: nn.Module | None, roi: nn.Module | None, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.mixer = mixer
        self.msp = msp
        self.roi = roi
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, ratio=mlp_ratio)

    def forward(self, tokens: Tensor, masks: Tensor | None = None) -> Tensor:
        normed = self.norm1(tokens)
        patches = normed[:, :-1]
        mixed = self.mixer(normed)
        if self.msp is not None:
            mixed = mixed + F.pad(self.msp(patches), (0, 0, 0, 1))
        if self.roi is not None and masks is not None:
            mixed = mixed + self.roi(patches, masks)
        tokens = tokens + mixed
        return tokens + self.mlp(self.norm2(tokens))


class AUTTTNet(nn.Module):
    """Image `[B,3,S,S]` and landmarks `[B,68,2]` in pixels to logits `[B,A]` and heatmaps `[B,A,h,h]` (aux)."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        aus: tuple[int, ...],
        map_options: dict[str, Any],
        use_masks: bool,
        alpha: float | None,
        heatmap_size: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.aus = aus
        self.map_options = map_options
        self.use_masks = use_masks
        self.heatmap_size = heatmap_size
        self.class_head = nn.Linear(encoder.dim, len(aus))
        self.heatmap_head = nn.Linear(encoder.dim, len(aus))
        self.alpha = None if alpha is None else nn.Parameter(torch.tensor(alpha))

    def forward(self, image: Tensor, landmarks: Tensor) -> Output:
        grid = self.encoder.grid
        context = (au_heatmaps(landmarks, self.aus, grid=grid, **self.map_options),) if self.use_masks else ()
        tokens = self.encoder(image, *context)
        heatmap = self.heatmap_head(tokens[:, :-1]).transpose(1, 2).unflatten(2, (grid, grid))
        logits = self.class_head(tokens[:, -1])
        if self.alpha is not None:
            logits = logits + self.alpha * heatmap.mean(dim=(2, 3))
        if self.heatmap_size != grid:
            size = (self.heatmap_size, self.heatmap_size)
            heatmap = F.interpolate(heatmap, size=size, mode="bilinear", align_corners=False)
        return Output(logits, {"heatmap": heatmap})


_SCRATCH = {"init": "none"}  # sec. III-C: the ablation is without pre-training
_PLAIN = {**_SCRATCH, "msp": False, "roi": False}


class AUTTT(ModelPlugin):
    """Defaults are those of the paper, section III-A; where it gives none, see the list at the top of the file."""

    name = "au-ttt"
    paper = "Xing et al., AU-TTT: Vision Test-Time Training model for Facial Action Unit Detection, arXiv:2503.23450"
    inputs = ("image", "landmarks")
    pretrained_on = "ImageNet-1K"  # sec. III-A
    variants = ("baseline", "original-ttt", "msp", "forward-ttt", "bi-ttt", "roi-ttt")  # Table III
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "init": "none",
            "stem": "convolution",
            "dim": 64,
            "depth": 2,
            "heads": 2,
            "position_std": 2.0,
            "alpha": 10.0,
            "preprocess": {"resize": 68, "crop": 64},
            "augment": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
            "recipe": {"epochs": 9, "batch_size": 16, "lr": 2e-3, "warmup": 0.1, "grad_clip": 1.0},
        },
        "literal": {"tied": True, "mse_reduction": "squared-norm", "focusing": "attached"},
        "baseline": {**_PLAIN, "mixer": "linear"},
        "original-ttt": {**_PLAIN, "scan": "forward", "mini_batch": 16},
        "msp": {**_SCRATCH, "roi": False, "scan": "forward", "mini_batch": 16},
        "forward-ttt": {**_SCRATCH, "roi": False, "scan": "forward"},
        "bi-ttt": {**_SCRATCH, "roi": False},
        "roi-ttt": _SCRATCH,
    }
    by_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "bp4d": {"margin": 0.1},
        "disfa": {"margin": 0.15},
    }  # sec. III-A

    patch: int = Field(16, ge=1, description="side of a patch in pixels")  # sec. III-A
    stem: Stem = Field("linear", description="how patches become tokens; convolution learns from few images")
    dim: int = Field(384, ge=1, description="embedding dimension")  # sec. III-A
    depth: int = Field(12, ge=1, description="number of blocks")  # sec. III-A
    heads: int = Field(6, ge=1, description="number of heads")  # sec. III-A
    position_std: float = Field(0.02, ge=0, description="deviation of fresh position embeddings")  # ViT
    mlp_ratio: float = Field(4.0, gt=0, description="hidden width of the MLP / dim")  # ViT-S
    mixer: Literal["ttt", "mamba", "attention", "linear"] = Field(
        "ttt", description="token mixer of the main and RoI branch"
    )
    mini_batch: Literal["row"] | int = Field("row", description="TTT tokens per step; row: the tokens of one row")
    rope: bool = Field(True, description="rotary positions of the TTT layers, restarting with each mini-batch")
    scan: Literal["forward", "both"] = Field("both", description="scan directions of TTT and Mamba")
    tied: bool = Field(False, description="both directions share their weights")
    msp: bool = Field(True, description="multi-scale perception branch")
    dilations: tuple[int, ...] = Field((1, 3, 5), description="dilation rates of MSP")  # sec. III-A
    roi: bool = Field(True, description="AU RoI branch")
    roi_map: Literal["sum", "max"] = Field("sum", description="how the two Gaussians of a mask are joined")
    roi_sigma: float = Field(20.0, gt=0, description="deviation of the Gaussians in cells of a grid of 128")
    roi_pool: RoiPool = Field("area", description="what the masked sum is divided by")
    roi_scatter: RoiScatter = Field("mask", description="which tokens receive the AU tokens")
    centres: Table = Field("fg-net", description="table of AU centres")
    heatmap_size: Literal["grid"] | int = Field("grid", description="cells per side of the heatmap in the loss")
    heatmap_target: Literal["signed", "unsigned"] = Field("signed", description="sign of absent AUs in the target")
    fusion: Literal["sum", "cls"] = Field("sum", description="logit from the class token and the heatmap, or CLS alone")
    alpha: float = Field(1.0, description="initial weight of the mean heatmap in the logit")
    margin: float = Field(0.1, ge=0, le=1, description="truncation margin m of eq. 8")
    boundary_left: float = Field(1.0, description="B_L of eq. 8")  # sec. III-A
    boundary_right: float = Field(2.0, description="B_R of eq. 8")  # sec. III-A
    focusing: Literal["detached", "attached"] = Field("detached", description="gradient through p_m^gamma of eq. 8")
    smooth: float = Field(1.0, gt=0, description="epsilon of eq. 9")  # sec. III-A
    mse_reduction: Literal["mean", "squared-norm"] = Field("mean", description="reduction of eq. 10")
    mdwa_weight: float = Field(1.0, ge=0, description="lambda of MDWA in eq. 11")
    wdi_weight: float = Field(1.0, ge=0, description="lambda of WDI in eq. 11")
    mse_weight: float = Field(1.0, ge=0, description="lambda of MSE in eq. 11")

    init: Literal["weights", "none"] = Field("weights", description="starting weights: --weights FILE, or none")
    preprocess: Preprocess = Preprocess(align="ffhq", resize=256, crop=224)
    augment: Augment = Augment(flip=0.5, random_crop=True, brightness=0.4, contrast=0.4, saturation=0.4)
    recipe: Recipe = Recipe(
        optimiser="adamw", lr=1e-4, weight_decay=5e-4, schedule="cosine", epochs=20, batch_size=64
    )  # point 19

    def build(self, task: Task) -> nn.Module:
        if not task.aus or len(task.aus) != task.num_outputs:
            raise UsageError(f"au-ttt detects action units; expected outputs such as AU12, got {task.outputs[0]}")
        au_centres(torch.zeros(1, 68, 2), task.aus, table=self.centres)
        encoder = self.encoder(task.image_size, num_aus=task.num_outputs if self.roi else 0)
        return AUTTTNet(
            encoder,
            aus=task.aus,
            map_options=self._map_options(task.image_size, encoder.grid),
            use_masks=self.roi,
            alpha=self.alpha if self.fusion == "sum" else None,
            heatmap_size=encoder.grid if self.heatmap_size == "grid" else self.heatmap_size,
        )

    def encoder(self, image_size: int, *, num_aus: int = 0) -> Encoder:
        """Return the encoder for crops of `image_size` pixels; without `num_aus` it has no RoI branch (point 20)."""
        row = tokens_per_row(image_size, self.patch)
        mini_batch = row if self.mini_batch == "row" else self.mini_batch
        blocks = [
            AUTTTBlock(
                self.dim,
                mixer=self._mixer(mini_batch),
                msp=MSP(self.dim, dilations=self.dilations) if self.msp else None,
                roi=self._roi_branch(num_aus) if num_aus else None,
                mlp_ratio=self.mlp_ratio,
            )
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

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        target, heatmap = batch["target"], output.aux["heatmap"]
        options = self._map_options(task.image_size, heatmap.shape[-1])
        truth = au_heatmaps(batch["landmarks"], task.aus, grid=heatmap.shape[-1], **options)
        if self.heatmap_target == "signed":
            truth = signed_heatmaps(truth, target)
        classification = mdwa(
            output.logits,
            target,
            rates=task.rates,
            margin=self.margin,
            left=self.boundary_left,
            right=self.boundary_right,
            attached=self.focusing == "attached",
        )
        location = heatmap_mse(heatmap, truth, coded=target >= 0, reduction=self.mse_reduction)
        return {
            "mdwa": self.mdwa_weight * classification,
            "wdi": self.wdi_weight * wdi(output.logits, target, rates=task.rates, smooth=self.smooth),
            "mse": self.mse_weight * location,
        }

    def load_weights(self, module: nn.Module, weights: Mapping[str, Tensor]) -> Sequence[str]:
        missing = super().load_weights(module, weights)
        for name, parameter in module.named_parameters():
            if name in missing and _SILENT.search(name):
                nn.init.zeros_(parameter)
        return missing

    def check_ready(self, *, origin: str, weights: bool) -> None:
        if origin == "licensed" and self.init == "weights" and not weights:
            raise DataError(
                "au-ttt on licensed data starts from ImageNet-1K weights and got none; write them with "
                "'auharness pretrain --model au-ttt --data FOLDER --out FILE.safetensors' and give them with "
                "'--weights FILE.safetensors', or train from scratch with '--set init=none'"
            )

    def _map_options(self, image_size: int, grid: int) -> dict[str, Any]:
        sigma = self.roi_sigma * grid / FG_NET_GRID
        return {"image_size": image_size, "sigma": sigma, "combine": self.roi_map, "table": self.centres}

    def _mixer(self, mini_batch: int) -> nn.Module:
        if self.mixer == "ttt" and self.scan == "both":
            return BiTTT(self.dim, heads=self.heads, mini_batch=mini_batch, rope=self.rope, suffix=1, tied=self.tied)
        if self.mixer == "mamba" and self.scan == "both":
            return BiMamba(self.dim, suffix=1)
        return self._forward_mixer(mini_batch)

    def _forward_mixer(self, mini_batch: int) -> nn.Module:
        if self.mixer == "ttt":
            return TTTLinear(self.dim, heads=self.heads, mini_batch=mini_batch, rope=self.rope)
        return MIXERS[self.mixer](self.dim, heads=self.heads)

    def _roi_branch(self, num_aus: int) -> nn.Module:
        return RoiBranch(self._forward_mixer(num_aus), pool=self.roi_pool, scatter=self.roi_scatter)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return AUTTT
