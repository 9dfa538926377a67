"""Dynamic Facial Expression Recognition in the Wild Using Mamba-Style Selective SSM and Facial Attention Mechanism.

Pratama, Pandin, Hsieh; National Taiwan University of Science and Technology. No original code is known.

Sixteen frames pass an EfficientNetV2-S; facial attention (channels, eight regions, places; then landmarks; then an
enhancer) acts on its maps; their means are a sequence that two state-space blocks and one attention layer mix; the mean
over frames is classified. The paper prints 15.2 "FLOPs (G)", which are multiply-accumulates; ours, for one clip:

    preset                     parameters    GMAC    of the backbone
    paper (128 pixels)         51,842,137   15.82              14.92
    literal (128 pixels)       31,630,937   15.50              14.92
    input-112                  51,842,137   13.04              12.15
    paper at 224 pixels        51,842,137   47.35              45.58
    Mamba's block, one of two  10,383,360    0.17
    literal's, one of two         277,760    0.004

Where the paper is silent or the text allows two readings (setting = default):
 1. Side of the frames (`preprocess.crop = 128`): the backbone alone has the printed 15.2 at 128 pixels by the counter
    thop, which adds the norms; 112 and 224 are excluded. `input-112` is for the table with other models, which see 112.
 2. The backbone learns with all else, its batch norms too (`backbone_norms = trained`).
 3. Channel attention: CBAM's, with its reduction (`channel_ratio = 16`).
 4. Region attention: eight 1x1 maps with a sigmoid (`region_gate = sigmoid`), each times the mask of its region, added
    to 1 as their mean: brows, eyes and cheeks on each side, nose, mouth. Without landmarks the masks are 1.
 5. Masks (`landmark_mask = gaussian`): Gaussians around the landmarks with `mask_sigma = 0.5` cells of the 4x4 map; a
    hard mask would be too coarse. `facial_at = early` acts on the 8x8 map, of 160 channels, instead.
 6. Landmarks (`preprocess.landmarks = haar`): the paper names a detector of faces and none of points. The mean shape in
    the box that Haar's cascade finds is the least that gives points; frames without a face count as without landmarks.
 7. Spatial attention: the logits of the three kernels are averaged before one sigmoid.
 8. "A landmark-constrained attention block" between CBAM and enhancer (`landmark_attention = true`) has no equation:
    one map for the whole face, masked by all landmarks, beside the CBAM's map per region.
 9. The enhancer (`enhancer = true`) is only named: a residual depthwise and pointwise convolution that starts at 0.
10. The projection has a norm and dropout behind it (`dropout = 0.1`, also in the attention over frames).
11. "Mamba-style" (`ssm = mamba`): Mamba's block with its sizes (`expand = 2`, `conv = 4`, `state_size = 16`, SiLU gate,
    rank 80), in a pre-norm residual. The equations have neither expansion nor gate; `ssm = plain` is what they say.
12. B is discretised by Euler's step, as in Mamba's code (`discretization = euler`); `zoh` is exact.
13. The scan is causal; `mixer = mamba-bi` scans both ways, as in Vision Mamba.
14. Attention has 8 heads and no code of the frame's number (`positions = none`): the scan gives the order. With
    `mixer = attention` nothing would, so that preset has sines.
15. Classifier: norm, GELU and dropout 0.3 between its layers (`classifier_dropout`), nothing behind the last.
16. "Smoothed" class weights: the square root of the inverse frequencies (`smoothing = sqrt`), then the limits, which it
    never reaches. With `none`, exactly Disgust does, at 10. Both leave Surprise, Disgust and Fear above 1, as the paper
    says.
17. The focal loss is the mean over clips (`focal_reduction = mean`); labels are not smoothed.
18. A Dice loss appears in the results alone: it is logged, and trains with `dice_weight` above 0.
19. OneCycle with torch's defaults: a rise over 30 % of 200 epochs, whose peak is the rate given. By those the paper's
    run stopped at its peak, epoch 60. A last batch that is not full is kept: 1,170 steps in an epoch of fold 1.
20. EMA of 0.999 with a short memory at first; the statistics of norms are copied.
21. "Validation" is the test part of fold 1 in the paper. Here 15 % of the training clips select (`recipe.selection`).
22. Preprocessing and augmentation: customary values, in both splits alike. The text enhances frames (CLAHE, bilateral,
    unsharp) before training but has "only CLAHE" in validation, which would shift the test; `literal` does so.
23. Frames: one drawn from each of 16 segments in training, their middles in tests, as in DFER-CLIP; `literal` spreads
    them evenly.
24. AU scores "for interpretability and re-weighting, without altering the main feature flow" (`au_weight = 0`, off):
    clips that show the AUs of their class may weigh more in the loss. No logit changes, and the dice loss does not.

The paper has no ablation. The variants add the rows of its table 1 one by one, in its order; controls swap the mixer.
In `tiny` fixed edges and one convolution stand in the backbone's place: a free network learns the faces of a few
hundred clips and stays at chance on others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Output, Preprocess, Recipe
from auharness.api.unit import Batch
from auharness.errors import DataError, UsageError
from auharness.features.au_weights import EMOTION_AUS, clip_weights
from auharness.hookspecs import hookimpl
from auharness.losses import dice, focal, inverse_frequency
from auharness.losses.focal import FocalReduction
from auharness.losses.weights import Smoothing
from auharness.nn.facial_cbam import FacialCBAM, Gate
from auharness.nn.facial_enhancer import FacialEnhancer
from auharness.nn.facial_frames import FacialFrames
from auharness.nn.facial_stack import FacialStack
from auharness.nn.frame_backbone import SMALL_CNN_STEP, efficientnet_v2_s, small_cnn
from auharness.nn.landmark_attention import LandmarkAttention
from auharness.nn.mixers import MIXERS, BiMamba, Mamba, PlainSSM
from auharness.nn.positions import sine_positions
from auharness.nn.residual import Residual, perceptron
from auharness.nn.vision import import_torchvision
from auharness.records import Task

WEIGHTS = (
    'python -c "import torchvision.models as m, safetensors.torch as s; '
    "s.save_file(m.efficientnet_v2_s(weights='IMAGENET1K_V1').state_dict(), 'efficientnet_v2_s.safetensors', "
    "{'pretrained_on': 'ImageNet-1K'})\""
)
"""Writes the published weights where there is a network; needs no file of ours."""


class MambaDFERNet(nn.Module):
    """Clip `[B,T,3,S,S]`, landmarks `[B,T,68,2]` and their validity `[B,T]` to logits `[B,C]` (table 1).

    Aux, where the part is there: `regions` `[B,T,8,h,w]`, `places` and `landmarks` `[B,T,1,h,w]`, and always `frames`
    `[B,T,D]`, the frames before the mean.

    Args:
        faces: rows 2 and 3.
        projection: row 6.
        temporal: rows 7 and 8.
        classifier: row 10.
        positions: `[T,D]` added behind the projection, or None.
    """

    positions: Tensor | None

    def __init__(
        self,
        faces: FacialFrames,
        projection: nn.Module,
        temporal: nn.Module,
        classifier: nn.Module,
        *,
        positions: Tensor | None,
    ) -> None:
        super().__init__()
        self.faces, self.projection, self.temporal, self.classifier = faces, projection, temporal, classifier
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, clip: Tensor, landmarks: Tensor, valid: Tensor) -> Output:
        batch = clip.shape[:2]
        features, seen = self.faces(clip.flatten(0, 1), landmarks.flatten(0, 1), valid.flatten())
        frames = self.projection(features.unflatten(0, batch))
        if self.positions is not None:
            frames = frames + self.positions
        frames = self.temporal(frames)
        aux = {name: value.unflatten(0, batch) for name, value in seen.items()}
        return Output(self.classifier(frames.mean(1)), {**aux, "frames": frames})


_BACKBONE = {
    "cbam": False,
    "landmark_attention": False,
    "enhancer": False,
    "projection": False,
    "blocks": 0,
    "temporal_attention": False,
}


def _up_to(*parts: str) -> dict[str, Any]:
    """Settings with only these of the parts of table 1; parts that are there are left at their defaults."""
    return {name: value for name, value in _BACKBONE.items() if name not in parts}


class MambaDFER(ModelPlugin):
    """Defaults are those of the paper; where it gives none, see the list at the top of the file."""

    name = "mamba-dfer"
    paper = "Pratama et al., Dynamic Facial Expression Recognition in the Wild Using Mamba-Style Selective SSM, 2025"
    inputs = ("clip", "landmarks", "landmarks_valid")
    pretrained_on = "ImageNet-1K"  # table 1, row 2
    variants = ("backbone", "cbam", "landmark", "enhancer", "projection", "ssm", "all")  # table 1, rows 2, 3, 6, 7, 8
    controls = ("mamba-bi", "attention", "ttt")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "init": "none",
            "backbone": "small-cnn",
            "dim": 64,
            "hidden": (64,),
            "classifier_dropout": 0.1,
            "preprocess": {
                "align": "none",
                "landmarks": "mean-shape",
                "resize": 108,
                "crop": 96,
                "enhance": ("clahe",),
                "frames": 8,
            },
            "augment": {
                "random_crop": True,
                **dict.fromkeys(("rotate", "translate", "scale"), 0),
                **dict.fromkeys(("brightness", "contrast", "saturation", "hue", "clahe", "blur", "noise"), 0),
            },
            "recipe": {"epochs": 40, "batch_size": 16, "lr": 2e-3, "ema": 0.9, "selection": "last", "patience": 0},
        },
        "input-112": {"preprocess": {"resize": 112, "crop": 112}},
        "literal": {"ssm": "plain", "preprocess": {"enhance_test": ("clahe",), "sampler": "linspace"}},
        "backbone": _BACKBONE,
        "cbam": _up_to("cbam"),
        "landmark": _up_to("cbam", "landmark_attention"),
        "enhancer": _up_to("cbam", "landmark_attention", "enhancer"),
        "projection": _up_to("cbam", "landmark_attention", "enhancer", "projection"),
        "ssm": {"temporal_attention": False},
        "all": {},
        "mamba-bi": {"mixer": "mamba-bi"},
        "attention": {"mixer": "attention", "positions": "sine"},
        "ttt": {"mixer": "ttt"},
    }

    backbone: Literal["efficientnet-v2-s", "small-cnn"] = Field("efficientnet-v2-s", description="frame network")
    width: int = Field(64, ge=1, description="channels of small-cnn")
    backbone_norms: Literal["trained", "frozen"] = Field("trained", description="statistics of its batch norms")
    facial_at: Literal["last", "early"] = Field(
        "last", description="facial attention on the backbone's last map, or before the last halving of its side"
    )
    cbam: bool = Field(True, description="facial CBAM")
    channel_ratio: int = Field(16, ge=1, description="reduction of the channel stage")
    region_gate: Gate = Field("sigmoid", description="weights of the region maps")
    spatial_kernels: tuple[int, ...] = Field((3, 5, 7), min_length=1, description="spatial stage")  # sec. 3
    landmark_mask: Literal["gaussian", "none"] = Field("gaussian", description="where region maps may act; none is 1")
    mask_sigma: float = Field(0.5, gt=0, description="deviation of the masks' Gaussians in cells of the map")
    landmark_attention: bool = Field(True, description="landmark-constrained attention behind the CBAM")
    enhancer: bool = Field(True, description="facial enhancement layer")
    dim: int = Field(1280, ge=1, description="model dimension D")  # table 1
    projection: bool = Field(True, description="linear layer with norm and dropout before the temporal part")
    mixer: Literal["mamba", "mamba-bi", "attention", "ttt"] = Field("mamba", description="temporal mixer")
    ssm: Literal["mamba", "plain"] = Field(
        "mamba", description="Mamba's block, or a scan on D without expansion and gate"
    )
    blocks: int = Field(2, ge=0, description="residual blocks with the temporal mixer")  # sec. 3
    state_size: int = Field(16, ge=1, description="N")
    conv: int = Field(4, ge=1, description="width of the depthwise convolution")
    expand: int = Field(2, ge=1, description="inner channels of Mamba per channel")
    discretization: Literal["euler", "zoh"] = Field("euler", description="of B")
    positions: Literal["none", "sine"] = Field("none", description="code of the frame number")
    temporal_attention: bool = Field(True, description="multi-head self-attention behind the blocks")
    heads: int = Field(8, ge=1, description="heads of attention and TTT")
    dropout: float = Field(0.1, ge=0, lt=1, description="in projection and temporal attention")
    hidden: tuple[int, ...] = Field((512, 256, 128), description="hidden units of the classifier")  # sec. 3
    classifier_dropout: float = Field(0.3, ge=0, lt=1, description="between its layers")
    gamma: float = Field(2.0, ge=0, description="focusing")  # sec. 3
    smoothing: Smoothing = Field("sqrt", description="of the inverse class frequencies")
    weight_limits: tuple[float, float] = Field((0.1, 10.0), description="least and largest class weight")  # sec. 3
    focal_reduction: FocalReduction = Field("mean", description="divide by samples, or by their weights")
    au_weight: float = Field(0.0, ge=0, description="a clip weighs 1 + this x agreement of its AU scores; 0 is off")
    dice_weight: float = Field(0.0, ge=0, description="of the Dice loss, which is logged anyway")

    init: Literal["weights", "none"] = Field("weights", description="starting weights: --weights FILE, or none")
    preprocess: Preprocess = Preprocess(
        align="haar-eyes",  # sec. 3
        landmarks="haar",
        resize=128,
        crop=128,
        enhance=("clahe", "bilateral", "unsharp"),  # sec. 3
        frames=16,  # sec. 3
        sampler="dfer-clip",
    )
    augment: Augment = Augment(
        flip=0.5,
        random_crop=False,
        rotate=8.0,
        translate=0.05,
        scale=0.05,
        brightness=0.2,
        contrast=0.2,
        saturation=0.1,
        hue=0.1,
        clahe=0.3,
        blur=0.2,
        noise=0.2,
    )  # the kinds are those of sec. 3
    recipe: Recipe = Recipe(
        optimiser="adamw",
        lr=1e-4,
        weight_decay=0.01,
        schedule="onecycle",
        epochs=200,
        batch_size=8,
        ema=0.999,
        selection="inner-val",
        patience=20,
    )  # sec. 3

    @model_validator(mode="after")
    def _fits(self) -> "MambaDFER":
        if self.ssm == "plain" and self.mixer != "mamba":
            raise ValueError(f"ssm=plain is a form of mixer=mamba, got mixer={self.mixer}")
        if self.backbone == "small-cnn" and self.preprocess.crop % SMALL_CNN_STEP:
            raise ValueError(
                f"small-cnn reads multiples of {SMALL_CNN_STEP} px, got preprocess.crop={self.preprocess.crop}"
            )
        even = [side for side in self.spatial_kernels if side % 2 == 0]
        if even:
            raise ValueError(f"spatial_kernels are odd, got {even[0]}")
        if self.au_weight and self.preprocess.landmarks in ("haar", "mean-shape"):
            raise ValueError(
                f"au_weight needs landmarks that follow the face, got {self.preprocess.landmarks}; set "
                "preprocess.landmarks=mediapipe or npz:FOLDER"
            )
        return self

    def check_ready(self, *, origin: str, weights: bool) -> None:
        if self.backbone == "efficientnet-v2-s":
            import_torchvision()
        if origin == "licensed" and self.init == "weights" and not weights:
            raise DataError(
                "mamba-dfer on licensed data starts from torchvision's ImageNet-1K weights and got none; write them "
                f"with '{WEIGHTS}' and give them with '--weights efficientnet_v2_s.safetensors', or train from scratch "
                "with '--set init=none'"
            )

    def build(self, task: Task) -> nn.Module:
        if task.kind != "clip-multiclass":
            raise UsageError(f"mamba-dfer tells classes of clips apart; expected clip-multiclass, got {task.kind}")
        unknown = [name for name in task.outputs if name not in EMOTION_AUS]
        if self.au_weight and unknown:
            raise UsageError(f"au_weight knows the AUs of {', '.join(EMOTION_AUS)}, got the class {unknown[0]}")
        large = self.backbone == "efficientnet-v2-s"
        backbone = efficientnet_v2_s() if large else small_cnn(self.width, image_size=task.image_size)
        if not self.projection and backbone.channels != self.dim:
            raise UsageError(f"projection=false needs dim={backbone.channels}, as the backbone has, got {self.dim}")
        early = self.facial_at == "early"
        facial = self._facial(backbone.cut_channels if early else backbone.channels, task.image_size)
        return MambaDFERNet(
            FacialFrames(backbone, facial, early=early, frozen_norms=self.backbone_norms == "frozen"),
            self._projection(backbone.channels),
            self._temporal(),
            perceptron((self.dim, *self.hidden, task.num_outputs), dropout=self.classifier_dropout),
            positions=sine_positions(task.frames, self.dim) if self.positions == "sine" else None,
        )

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        weights = None
        if self.au_weight:
            points = (batch["landmarks"].cpu().numpy(), batch["landmarks_valid"].cpu().numpy())
            target = batch["target"].tolist()
            labels = [None if number < 0 else task.outputs[number] for number in target]
            weights = torch.from_numpy(clip_weights(*points, labels, strength=self.au_weight))
        terms = {"focal": self._focal(output.logits, batch, task, sample_weights=weights)}
        if self.dice_weight:
            terms["weighted_dice"] = self.dice_weight * dice(output.logits, batch["target"])
        return terms

    def monitor(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        return {
            "focal": self._focal(output.logits, batch, task),
            "dice": dice(output.logits, batch["target"]),
        }

    def load_weights(self, module: nn.Module, weights: Mapping[str, Tensor]) -> Sequence[str]:
        # torchvision's names
        ours = {
            f"faces.backbone.{name.removeprefix('features.')}": value
            for name, value in weights.items()
            if name.startswith("features.")
        }
        return super().load_weights(module, ours or weights)

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Return the last stage of the backbone, what leaves the CBAM, and the enhancer, as far as they are there."""
        assert isinstance(module, MambaDFERNet)
        return module.faces.layers()

    def _focal(self, logits: Tensor, batch: Batch, task: Task, *, sample_weights: Tensor | None = None) -> Tensor:
        return focal(
            logits,
            batch["target"],
            weights=inverse_frequency(task.positives, smoothing=self.smoothing, limits=self.weight_limits),
            gamma=self.gamma,
            sample_weights=sample_weights,
            reduction=self.focal_reduction,
        )

    def _facial(self, channels: int, image_size: int) -> FacialStack:
        cbam = FacialCBAM(channels, ratio=self.channel_ratio, gate=self.region_gate, kernels=self.spatial_kernels)
        return FacialStack(
            cbam if self.cbam else None,
            LandmarkAttention(channels) if self.landmark_attention else None,
            FacialEnhancer(channels) if self.enhancer else None,
            image_size=image_size,
            sigma=self.mask_sigma if self.landmark_mask == "gaussian" else None,
        )

    def _projection(self, channels: int) -> nn.Module:
        if not self.projection:
            return nn.Identity()
        return nn.Sequential(nn.Linear(channels, self.dim), nn.LayerNorm(self.dim), nn.Dropout(self.dropout))

    def _temporal(self) -> nn.Sequential:
        parts = [Residual(self.dim, self._mixer()) for _ in range(self.blocks)]
        if self.temporal_attention:
            attention = MIXERS["attention"](self.dim, heads=self.heads)
            parts.append(Residual(self.dim, attention, dropout=self.dropout))
        return nn.Sequential(*parts)

    def _mixer(self) -> nn.Module:
        scan: dict[str, Any] = {"state_size": self.state_size, "conv": self.conv, "discretization": self.discretization}
        if self.mixer == "mamba":
            plain = self.ssm == "plain"
            return PlainSSM(self.dim, **scan) if plain else Mamba(self.dim, expand=self.expand, **scan)
        if self.mixer == "mamba-bi":
            return BiMamba(self.dim, expand=self.expand, suffix=0, **scan)
        return MIXERS[self.mixer](self.dim, heads=self.heads)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return MambaDFER
