"""Hierarchical Granularity Alignment and State Space Modeling for Robust Multimodal AU Detection in the Wild.

Yu, Zhang, Zheng, Zhu, Wang; 2026; https://arxiv.org/abs/2603.11306. No original code is known.

DINOv2 sees each frame of a window, WavLM hears its sound; a token per facial region looks at the whole face (HGA), and
a selective scan over the frames takes its step sizes and a gate from the sound (AG-SSM). Parameters of `paper`, 12 AUs:

    part                                                 learned        frozen
    DINOv2 ViT-L/14, low-rank adapters of q and v        786,432   304,368,640
    WavLM-Large, bottlenecks, weights of its states    3,171,865   315,453,120
    projections of frames and sound to 768             1,577,472
    HGA                                                8,851,200
    AG-SSM, 2 blocks                                   2,808,448
    head                                                  10,764
    total                                             17,206,181   619,821,760

81.0 GMACs per frame are DINOv2's. Training on windows of 256 frames needs `frames_at_once`: those many pass the frame
encoder together, and the backward pass computes them again.

Where the paper is silent or the text allows two readings (setting = default):
 1. D_v is 768, the ViT-L has 1,024 channels: a linear layer and a norm lead to 768; a ViT-B/14 (`vision`) needs none.
 2. Patch tokens are those after the final norm, without the class token.
 3. LoRA: rank 8, alpha 16, dropout 0.05, all blocks.
 4. "Light-weight adapter" of WavLM: a bottleneck of 64 behind each feed-forward layer, which adds 0 at first. Its
    output is a learned average of the 25 states (as in SUPERB). It shares the adapters' rate.
 5. Sound has mean 0 and variance 1 over the window, if the checkpoint's preprocessor config asks for that.
 6. Regions (`regions = face7`): brows, eyes, nose, mouth, jaw. `au12` has two centres for each AU of Aff-Wild2, with
    `dilate = 1`. A region's patches are those that its landmarks lie in, grown by `dilate = 0`.
 7. Without landmarks: those of the mean face in the middle of the crop.
 8. MHCA: all regions in one call, 8 heads of 96, an output projection, no residual (the concatenation follows).
 9. MLP: Linear 2304-768, GELU, Linear 768-768, LayerNorm.
10. The M tokens of a frame become one feature by a linear layer on all of them (`region_fusion = concat`), or a mean.
11. Sound at a frame: the mean of WavLM's tokens within the frame's time, see `auharness.nn.sound_alignment`.
12. AG-SSM: see `auharness.nn.mixers.audio_guided_ssm`. Two blocks (`depth`), norm before, residual around each.
13. The asymmetric cross-attention of the abstract has no equation and no row in Table 1: `asymmetric` lets each frame
    query the sound of a second before and behind it, in the place of 11.
14. Weight decay 1e-4 spares biases, norms and the rates A, as Mamba's authors do.
15. 20 epochs; an epoch is 18 windows from each video (`augment.windows`), about all frames of the training set once.
    Gradient norm 1; bfloat16. Weights of the "Vision-Mamba and cross-attention modules" are averaged over the last 5
    epochs (`recipe.swa_epochs`, `recipe.swa_modules`; `swa-all` averages all). The rate goes on falling meanwhile.
16. ASL is the mean over AUs, so over all that is coded. Its gradient flows through the focusing weights, as in the
    equation (`focusing = attached`); the code of ASL's authors holds them constant.
17. Rows 1 to 3 of Table 1 keep the "conventional TCN": 4 levels of 256, 256, 128, 128 channels, kernel 5, gaps 1 to 8,
    on frame and sound features side by side. Rows 1 to 4 have binary cross-entropy.
18. Row 1, ViT-Base and Whisper: ViT-B/16 (ImageNet-21k) by its class token, the encoder of Whisper-base by its last
    state, with the same adapters. Row 2, without HGA: the mean of the patch tokens, which is the paper's f^glob.
19. Only flips vary the pictures.

`mixer` also puts attention (with sine positions), TTT, Mamba (one way or both) into the place of AG-SSM, each on both
features side by side. `frozen` has no adapters, so the encoders compute no gradient. `cached` departs further, to make
training cheap: the frame encoder sees each crop once, in float32; its class token and means of 2 x 2 patch tokens
(`kept_grid = 8`) are kept in float16 under a key of its weights, 0.13 MB per frame of the ViT-L, and nothing flips the
pictures. Sound is heard anew, at a hundredth of that cost, without adapters. `muted` gives every window silence.
`tiny` trains small convolutions from scratch in the place of all four encoders.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from auharness.api import Augment, Batch, KeptFrames, ModelPlugin, Output, Predictor, Preprocess, Recipe, Unit
from auharness.data.landmarks import central_box, place_mean_shape
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.losses import asl
from auharness.losses.default import default_loss
from auharness.nn import frame_encoder as frames_in
from auharness.nn import sound_encoder as sound_in
from auharness.nn.cross_attention import SoundAttention
from auharness.nn.foundation import check_foundation, fetch_foundation, load_foundation, missing_foundation
from auharness.nn.frame_encoder import Lora, check_side, frame_encoder, in_parts
from auharness.nn.frame_features import FrameFeatures, projection
from auharness.nn.frozen import verify_frozen
from auharness.nn.hga import HGA, Regions, region_names
from auharness.nn.kept_tokens import FrameKeeper
from auharness.nn.language_model import require_hf
from auharness.nn.mixers import MIXERS, AudioGuidedSSM
from auharness.nn.sound_alignment import align_sound
from auharness.nn.sound_encoder import MelSound, WavLMSound, WhisperSound, sound_encoder, sound_tokens
from auharness.nn.temporal import Convolved, Guided, SideBySide
from auharness.ops.selective_scan import Discretization
from auharness.records import Task

Mixer = Literal["agssm", "attention", "ttt", "mamba", "mamba-bi", "tcn"]
STILL = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0)
ADAPTERS = (".lora_", ".bottleneck.")
"""Parts of the names of what is trained within the foundation models."""


class HGAAGSSMNet(nn.Module):
    """A window with its sound to logits `[B,T,A]`; inputs as in `HGAAGSSM.inputs`."""

    def __init__(
        self,
        frames: FrameFeatures,
        sound: WavLMSound | WhisperSound | MelSound,
        temporal: Guided | SideBySide | Convolved,
        *,
        dim: int,
        num_outputs: int,
        asks: SoundAttention | None,
        frames_at_once: int,
        muted: bool,
    ) -> None:
        super().__init__()
        self.frames, self.sound, self.temporal, self.asks = frames, sound, temporal, asks
        self.project = projection(sound.width, dim)
        self.head = nn.Sequential(nn.LayerNorm(temporal.width), nn.Linear(temporal.width, num_outputs))
        self.frames_at_once, self.muted = frames_at_once, muted

    def forward(
        self,
        clip: Tensor,
        landmarks: Tensor,
        landmarks_valid: Tensor,
        audio: Tensor,
        audio_valid: Tensor,
        frame_s: Tensor,
    ) -> Output:
        inputs = tuple(x.flatten(0, 1) for x in (clip, landmarks, landmarks_valid))
        seen, attention = (
            x.unflatten(0, clip.shape[:2])  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for x in in_parts(self.frames, inputs, rows=self.frames_at_once)
        )
        heard = self.hear(seen, audio, torch.zeros_like(audio_valid) if self.muted else audio_valid, frame_s)
        states, traces = self.temporal(seen, heard)
        aux = dict(traces)
        if not self.training and attention.shape[2]:
            aux["region_attention"] = attention.transpose(1, 2)
        return Output(self.head(states), aux)

    def hear(self, seen: Tensor, audio: Tensor, audio_valid: Tensor, frame_s: Tensor) -> Tensor:
        """Return the sound feature of each frame, `[B,T,D]`, 0 where there is no sound."""
        encoder = self.sound
        tokens, valid = sound_tokens(encoder, audio, audio_valid)
        tokens = self.project(tokens)
        if self.asks is not None:
            return self.asks(seen, tokens, valid, frame_s, first_s=encoder.first_s)
        return align_sound(tokens, valid, frame_s, first_s=encoder.first_s)[0]


class HGAAGSSM(ModelPlugin):
    """Defaults are those of the paper, sections 3 and 4; see the list at the top of the file."""

    name = "hga-agssm"
    paper = (
        "Yu et al., Hierarchical Granularity Alignment and State Space Modeling for Robust Multimodal AU Detection in "
        "the Wild, 2026"
    )
    inputs = ("clip", "landmarks", "landmarks_valid", "audio", "audio_valid", "frame_s")
    per_frame = True
    pretrained_on = "LVD-142M (DINOv2) and 94,000 h of speech (WavLM), by their authors"
    variants = ("baseline", "fm", "hga", "ag-ssm", "full")  # Table 1
    controls = ("asymmetric", "muted", "frozen")
    traces: ClassVar[Mapping[str, str]] = {
        "delta": "step size of the last block, mean over channels",
        "audio_gate": "gate of the last block, mean over channels",
        "region_attention": "share of a region's attention that its own patches get",
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "vision": "conv",
            "sound": "mel",
            "baseline_vision": "conv-small",
            "baseline_sound": "mel-small",
            "init": "none",
            "dim": 48,
            "heads": 3,
            "inner": 32,
            "tcn_widths": (48, 48, 32, 32),
            "frames_at_once": 0,
            "preprocess": {"landmarks": "vendor", "resize": 64, "crop": 64, "frames": 32, "stride": 16},
            "augment": {"windows": 10},
            "recipe": {
                "lr": 2e-3,
                "epochs": 20,
                "batch_size": 8,
                "warmup": 0.1,
                "swa_epochs": 3,
                "precision": "32-true",
            },
        },
        "vitb14": {"vision": "dinov2-vitb14"},
        "au12": {"regions": "au12", "dilate": 1},
        "frozen": {"tuning": "frozen"},
        "cached": {"tuning": "cached", "augment": {"flip": 0}},
        "swa-all": {"recipe": {"swa_modules": ()}},
        "asymmetric": {"sound_path": "cross-attention"},
        "muted": {"sound_path": "muted"},
        "baseline": {
            "encoders": "baseline",
            "align_regions": False,
            "mixer": "tcn",
            "loss_code": "bce",
            "preprocess": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
        },
        "fm": {"align_regions": False, "mixer": "tcn", "loss_code": "bce"},
        "hga": {"mixer": "tcn", "loss_code": "bce"},
        "ag-ssm": {"loss_code": "bce"},
        "full": {},
    }

    encoders: Literal["foundation", "baseline"] = Field(
        "foundation", description="vision and sound, or baseline_vision and baseline_sound"
    )
    vision: str = Field(
        "dinov2-vitl14", description="frame encoder: dinov2-vitl14, dinov2-vitb14, conv, hf:FOLDER or hf:HUB/NAME"
    )  # sec. 4.1
    sound: str = Field("wavlm-large", description="sound encoder: wavlm-large, mel, hf:FOLDER or hf:HUB/NAME")
    baseline_vision: str = Field("vit-b16", description="frame encoder of row 1, by its class token")  # sec. 4.3
    baseline_sound: str = Field("whisper-base", description="sound encoder of row 1")  # sec. 4.3
    init: Literal["hf:encoders", "none", "weights"] = Field("hf:encoders", description="none: random weights")
    tuning: Literal["adapters", "frozen", "cached"] = Field("adapters", description="what learns in the encoders")
    kept_grid: int = Field(8, ge=1, description="patches per side that tuning=cached keeps of a frame")
    lora_rank: int = Field(8, ge=1, description="r, frame encoder")
    lora_alpha: float = Field(16.0, gt=0, description="alpha, frame encoder")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="on the input of the adapters, frame encoder")
    bottleneck: int = Field(64, ge=1, description="channels of an adapter, sound encoder")
    adapter_lr: float = Field(1e-5, gt=0, description="peak rate of both encoders' adapters")  # sec. 4.1
    dim: int = Field(768, ge=1, description="channels of frame and sound features")  # sec. 4.1
    align_regions: bool = Field(True, description="HGA; otherwise one feature of the whole frame")
    regions: Regions = Field("face7", description="regions of HGA")
    dilate: int = Field(0, ge=0, description="patches by which a region grows")
    region_fusion: Literal["concat", "mean"] = Field("concat", description="from regions to a frame")
    heads: int = Field(8, ge=1, description="of the cross-attention")  # sec. 4.1
    sound_path: Literal["aligned", "cross-attention", "muted"] = Field(
        "aligned", description="how a frame gets its sound; muted gives none"
    )
    mixer: Mixer = Field("agssm", description="what runs over the frames")
    depth: int = Field(2, ge=1, description="blocks of the mixer")
    inner: int = Field(64, ge=1, description="channels of the scan")  # sec. 4.1
    state_size: int = Field(16, ge=1, description="N")  # sec. 4.1
    discretization: Discretization = Field("zoh", description="of the scan")  # sec. 3.3
    tcn_widths: tuple[int, ...] = Field((256, 256, 128, 128), description="channels of the levels of mixer tcn")
    loss_code: Literal["asl", "bce"] = Field("asl", description="asymmetric loss or binary cross-entropy")
    gamma_positive: float = Field(1.0, ge=0, description="focusing of present AUs")  # sec. 4.2
    gamma_negative: float = Field(4.0, ge=0, description="focusing of absent AUs")  # sec. 4.2
    margin: float = Field(0.05, ge=0, le=1, description="m of absent AUs")  # sec. 4.2
    focusing: Literal["attached", "detached"] = Field("attached", description="gradient through the focusing weights")
    frames_at_once: int = Field(32, ge=0, description="frames in the encoder at a time, changes memory only; 0 is all")

    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mediapipe",  # sec. 4.1
        resize=224,  # sec. 4.1
        crop=224,
        frames=256,  # sec. 4.1
        stride=128,
    )
    augment: Augment = Augment(random_crop=False, brightness=0, contrast=0, saturation=0, windows=18)
    recipe: Recipe = Recipe(
        optimiser="adamw",
        lr=2e-4,  # sec. 4.1
        weight_decay=1e-4,  # sec. 4.1
        warmup=0.25,  # sec. 4.1, 5 epochs of 20
        epochs=20,
        batch_size=16,  # sec. 4.1
        eval_batch_size=4,
        grad_clip=1.0,
        precision="bf16-mixed",
        swa_epochs=5,
        swa_modules=("temporal.*", "frames.hga.attention.*", "asks.*"),  # sec. 4.2
    )

    @property
    def _encoders(self) -> tuple[str, str]:
        first_row = self.encoders == "baseline"
        return (self.baseline_vision, self.baseline_sound) if first_row else (self.vision, self.sound)

    @property
    def _own(self) -> bool:
        return self.init != "none"

    @model_validator(mode="after")
    def _fits(self) -> "HGAAGSSM":
        seen, heard = (self.vision, self.baseline_vision), (self.sound, self.baseline_sound)
        for name, module in [*((name, frames_in) for name in seen), *((name, sound_in) for name in heard)]:
            try:
                if name not in module.SMALL:
                    check_foundation(name, module.KINDS)
            except UsageError as error:
                raise ValueError(str(error)) from None
        if self.tuning == "cached":
            self._check_cached()
        if self.dim % self.heads:
            raise ValueError(f"dim is {self.dim}, expected a multiple of heads, which is {self.heads}")
        return self

    def _check_cached(self) -> None:
        if (name := self._encoders[0]) in frames_in.SMALL:
            raise ValueError(f"tuning is cached, expected a frozen frame encoder, got {name}, which learns")
        if self.augment.model_copy(update={"windows": 1}) != STILL or self.preprocess.enhance_test is not None:
            raise ValueError("tuning is cached, expected pictures that nothing varies; add the preset cached")

    @property
    def _frozen(self) -> list[tuple[str, tuple[str, ...]]]:
        both = zip(self._encoders, (frames_in, sound_in), strict=True)
        return [(name, module.KINDS) for name, module in both if name not in module.SMALL]

    def check_ready(self, *, origin: str, weights: bool) -> None:
        for name, _ in self._frozen:
            require_hf(f"the encoder {name}")
        check_side(self._encoders[0], self.preprocess.crop, kept=self.kept_grid if self.tuning == "cached" else 1)

    def missing(self) -> str:
        return next(filter(None, (missing_foundation(name, pretrained=self._own) for name, _ in self._frozen)), "")

    def fetch(self) -> None:
        for name, _ in self._frozen:
            fetch_foundation(name, pretrained=self._own)

    def shared(self, device: torch.device) -> object | None:
        return [load_foundation(name, pretrained=self._own, kinds=kinds) for name, kinds in self._frozen]

    def build(self, task: Task) -> nn.Module:
        if task.kind != "frame-multilabel":
            raise UsageError(f"hga-agssm answers for each frame; expected frame-multilabel, got {task.kind}")
        adapt = self.tuning == "adapters"
        vision, sound = self._encoders
        lora = Lora(self.lora_rank, self.lora_alpha, self.lora_dropout) if adapt else None
        side = task.image_size
        seen = (
            self._keeper(side).reader()
            if self.tuning == "cached"
            else frame_encoder(vision, image_size=side, lora=lora, pretrained=self._own)
        )
        heard = sound_encoder(sound, hidden=self.bottleneck if adapt else 0, pretrained=self._own)
        hga = self._hga(seen.grid, side) if self.align_regions else None
        return HGAAGSSMNet(
            FrameFeatures(seen, self.dim, hga=hga, whole="cls" if self.encoders == "baseline" else "mean"),
            heard,
            self._temporal(),
            dim=self.dim,
            num_outputs=task.num_outputs,
            asks=SoundAttention(self.dim, heads=self.heads) if self.sound_path == "cross-attention" else None,
            frames_at_once=self.frames_at_once,
            muted=self.sound_path == "muted",
        )

    def kept_frames(self) -> KeptFrames | None:
        return self._keeper(self.preprocess.crop) if self.tuning == "cached" else None

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        if self.loss_code == "bce":
            return default_loss(output.logits, batch["target"], task)
        value = asl(
            output.logits,
            batch["target"],
            gamma_positive=self.gamma_positive,
            gamma_negative=self.gamma_negative,
            clip=self.margin,
            attached=self.focusing == "attached",
            reduction="entries",
        )
        return {"asl": value}

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        adapters = {id(value) for name, value in module.named_parameters() if any(part in name for part in ADAPTERS)}
        groups: list[Mapping[str, Any]] = []
        for group in super().parameter_groups(module):
            for inside, more in ((False, {}), (True, {"lr_scale": self.adapter_lr / self.recipe.lr})):
                found = [value for value in group["params"] if (id(value) in adapters) == inside]
                groups += [{**group, "params": found, **more}] if found else []
        return groups

    def fit(self, unit: Unit) -> Predictor:
        predictor = unit.train(self)
        verify_frozen(getattr(predictor, "module", nn.Module()))
        return predictor

    def trace_channels(self) -> Mapping[str, Sequence[str]]:
        return {"region_attention": region_names(self.regions)}

    def _keeper(self, side: int) -> FrameKeeper:
        return FrameKeeper(self._encoders[0], image_size=side, grid=self.kept_grid, pretrained=self._own)

    def _hga(self, grid: int, side: int) -> HGA:
        face = torch.tensor(place_mean_shape(central_box(side, side)).tolist())
        sizes: dict[str, Any] = {"grid": grid, "image_size": side, "fallback": face, "heads": self.heads}
        return HGA(self.dim, **sizes, regions=self.regions, dilate=self.dilate, fuse=self.region_fusion)

    def _temporal(self) -> Guided | SideBySide | Convolved:
        if self.mixer == "tcn":
            return Convolved(self.dim, widths=self.tcn_widths)
        if self.mixer == "agssm":
            options: dict[str, Any] = {"state_size": self.state_size, "discretization": self.discretization}
            return Guided([AudioGuidedSSM(self.dim, inner=self.inner, **options) for _ in range(self.depth)], self.dim)
        # a window has no class token, which BiMamba reads last
        options = {"suffix": 0} if self.mixer == "mamba-bi" else {}
        layers = [MIXERS[self.mixer](self.dim, heads=self.heads, **options) for _ in range(self.depth)]
        return SideBySide(layers, self.dim, positions=self.mixer == "attention")


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return HGAAGSSM
