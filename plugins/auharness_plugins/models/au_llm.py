"""AU-LLM: Micro-Expression Action Unit Detection via Enhanced LLM-Based Feature Fusion.

Liu, Yuan, Zhao, Xu, Yu; 2025; https://arxiv.org/abs/2507.21778. Original code: ZS-liu-JLU/AU-LLMs, one script that was
public in August 2025, without a licence; facts about it are "the code" below.

Six grey frames pass a temporal filter (LED) and a 3D-CNN; a perceptron (EFP) fuses two of its levels into one token,
which a frozen language model with low-rank adapters reads beside a text prompt. Parameters of `paper` with 8 AUs:

    part                                             learned        frozen
    LED, 3D-CNN with squeeze-and-excitation        2,692,931
    EFP                                           73,940,416
    adapters of q and v, 28 layers                 2,179,072
    head                                              12,296
    language model                                           1,543,714,304
    total                                         78,824,715   78.8 M

Where the paper is silent or the text allows two readings (setting = default):
 1. The outer activation of eq. 3 (`projector_activation = gelu`) is named nowhere; the code has none.
 2. Hidden units of the EFP: (10,624 + 1,536) // 2 = 6,080, from the code; the variants follow the same rule.
 3. Token order (`token_place = first`): the text puts the visual token before the prompt, the code behind it. The state
    read is the one at the last position in both, so of the prompt's last word or of the visual token.
 4. Prompt (`prompt`): the paper's example; the code has a sentence in Chinese.
 5. Weights of the language model (`llm_dtype = bfloat16`): the code has float16 without loss scaling. The adapters and
    all else are float32.
 6. LoRA dropout 0.1, dropout 0.3 elsewhere, 350 epochs, no schedule: from the code, which does SAMM alone; a batch of
    256 holds all clips of a fold, so that is 350 steps. CASME II is taken to have the same.
 7. ASL's margin (`clip = 0.05`) and constant focusing weights (`focusing = detached`): from its authors' code.
 8. Eq. 4 divides by N (`reduction = mean`), the code sums; with Adam that changes little.
 9. LED learns at the rate of all else, so its constants hardly move in 350 steps; its frame 0 is dropped.
10. Training clips end at a random frame (`augment.temporal_jitter`), from the code; nothing else is varied.
11. Learnable prompts (`prompt-learning`): 16 vectors, N(0, 0.02) as in CoOp, in the place of the visual token. The
    state is then the same for every clip, so the head sees it beside the features ("late fusion"); the row measures
    the 3D-CNN.
12. EFP- is one linear layer without the outer activation.
13. Thresholds: 0.5. The code looks for the best one of 16 on the test labels.
`aullm-released` is the code where it departs from the text: 1, 3, 8, and its loss, whose gradient is plain binary
cross-entropy with a clip. `literal` lets the gradient of eq. 4 flow through the focusing weights too.

Controls that the paper lacks: `no-llm` gives the token of the EFP to the head; `frozen-llm` has no adapters;
`random-llm` has random weights in the frozen model, the same in every fold; `random-llm,frozen-llm` is both. In `tiny`
the language model is random anyway. `run --ablation` adds them, and the model `cnn3d`, to the rows of Table 3, each
with every language model but for `no-llm`. Qwen2 and Qwen2.5 have one architecture, so their `random-llm` are equal.

The files of the language model must be there, or are fetched, before the first fold starts. It is loaded once per
process, before the clock of the first fold; every fold gets fresh adapters.
`--weights` is a warm start of what was learned: the language model keeps its own weights, and weights that were learned
beside another one are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Output, Predictor, Preprocess, Recipe, Unit
from auharness.api.unit import Batch
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.losses import asl, asl_released
from auharness.losses.asl import Reduction
from auharness.nn.efp import EFP, Activation
from auharness.nn.language_model import (
    BACKBONES,
    Base,
    base_width,
    check_backbone,
    fetch_base,
    load_base,
    missing_base,
    require_hf,
)
from auharness.nn.lora import LanguageReader
from auharness.nn.micro3d import Micro3DCNN, MicroFeatures, micro3d_size
from auharness.records import Task

Level = Literal["both", "mid", "high"]
COOP_STD = 0.02
"""Deviation of fresh learnable prompts."""


class TokenReader(nn.Module):
    """Features `[B,F]` to one token, and to what the language model makes of it, `[B,D]`; without one, the token."""

    def __init__(self, projector: nn.Module, llm: LanguageReader | None, width: int) -> None:
        super().__init__()
        self.projector = projector
        self.llm = llm
        self.width = width

    def forward(self, features: Tensor) -> Tensor:
        token = self.projector(features)
        return token if self.llm is None else self.llm(token[:, None])


class PromptReader(nn.Module):
    """Features `[B,F]` to `[B,D+F]`: the state that learned prompt vectors give, the same for all, beside them."""

    def __init__(self, llm: LanguageReader, *, vectors: int, width: int, features: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(1, vectors, width) * COOP_STD)
        self.llm = llm
        self.width = width + features

    def forward(self, features: Tensor) -> Tensor:
        state = self.llm(self.vectors)
        return torch.cat((state.expand(len(features), -1), features), dim=1)


class AULLMNet(nn.Module):
    """Clip `[B,T,1,S,S]` in [0, 1] to logits `[B,A]`; aux `channel_weights` `[B,C,T']` of the 3D-CNN."""

    def __init__(
        self, visual: Micro3DCNN, reader: TokenReader | PromptReader, *, num_outputs: int, level: Level
    ) -> None:
        super().__init__()
        self.visual = visual
        self.reader = reader
        self.level: Level = level
        self.head = nn.Linear(reader.width, num_outputs)

    def forward(self, clip: Tensor) -> Output:
        seen: MicroFeatures = self.visual(clip)
        features = torch.cat((seen.mid, seen.high), dim=1)  # eq. 2
        if self.level != "both":
            features = seen.mid if self.level == "mid" else seen.high
        aux = {} if seen.channel_weights is None else {"channel_weights": seen.channel_weights}
        return Output(self.head(self.reader(features)), aux)


class AULLM(ModelPlugin):
    """Defaults are those of the paper, section 4.2, with DeepSeek-R1; see the list at the top of the file."""

    name = "au-llm"
    paper = "Liu et al., AU-LLM: Micro-Expression Action Unit Detection via Enhanced LLM-Based Feature Fusion, 2025"
    inputs = ("clip",)
    pretrained_on = "text, by the authors of the language model"
    variants = ("f-high", "f-mid", "efp-minus", "prompt-learning", "all")  # Table 3
    crossed = ("deepseek-r1", "qwen2", "qwen2.5")  # Table 3
    controls = ("random-llm", "frozen-llm", "random-llm,frozen-llm", "no-llm", "cnn3d")
    uncrossed = ("no-llm",)
    traces: ClassVar[Mapping[str, str]] = {"channel_weights": "squeeze-and-excitation weights"}
    cam_first_frame = 1  # LED leaves out frame 0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "backbone": "tiny-random",
            "init": "none",
            "llm_dtype": "float32",
            "widths": (8, 16),
            "high": 64,
            "dropout": 0.1,
            "preprocess": {"resize": 48, "crop": 48},
            "recipe": {"epochs": 64, "batch_size": 32, "lr": 4e-3, "schedule": "cosine", "weight_decay": 1e-3},
        },
        "literal": {"focusing": "attached"},
        "aullm-released": {
            "projector_activation": "identity",
            "token_place": "last",
            "loss_code": "released",
            "reduction": "sum",
        },
        "f-high": {"features": "high"},
        "f-mid": {"features": "mid"},
        "efp-minus": {"projector": "linear"},
        "prompt-learning": {"prompting": "learned"},
        "all": {},
        "no-llm": {"llm": "none", "init": "none"},
        "random-llm": {"init": "none"},
        "frozen-llm": {"llm": "frozen"},
        "deepseek-r1": {"backbone": "deepseek-r1-distill-qwen-1.5b"},
        "qwen2": {"backbone": "qwen2-1.5b"},
        "qwen2.5": {"backbone": "qwen2.5-1.5b"},
    }

    backbone: str = Field(
        "deepseek-r1-distill-qwen-1.5b", description=f"language model: {', '.join(BACKBONES)}, hf:FOLDER or hf:HUB/NAME"
    )
    init: Literal["hf:backbone", "none", "weights"] = Field(
        "hf:backbone", description="weights of the language model: its own, or none (random); with --weights its own"
    )
    llm: Literal["lora", "frozen", "none"] = Field(
        "lora", description="adapters in the language model, or no such model"
    )
    llm_dtype: Literal["bfloat16", "float32"] = Field("bfloat16", description="precision of the frozen weights")
    prompt: str = Field(
        "Analyze the facial features to classify action units:", min_length=1, description="text beside the token"
    )  # sec. 3.3
    prompting: Literal["visual-token", "learned"] = Field("visual-token", description="what stands beside the prompt")
    prompt_vectors: int = Field(16, ge=1, description="number of learned vectors")
    token_place: Literal["first", "last"] = Field("first", description="token before or behind the prompt")  # sec. 3.3
    lora_rank: int = Field(16, ge=1, description="r")  # sec. 4.2
    lora_alpha: float = Field(32.0, gt=0, description="alpha")  # sec. 4.2
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="on the input of the adapters")
    features: Level = Field("both", description="levels of the 3D-CNN that are projected")
    projector: Literal["mlp", "linear"] = Field("mlp", description="EFP, or one linear layer")
    projector_activation: Activation = Field("gelu", description="outer activation of eq. 3")
    widths: tuple[int, int] = Field((32, 64), description="channels of the 3D-CNN")
    high: int = Field(256, ge=1, description="length of F_high")
    dropout: float = Field(0.3, ge=0, lt=1, description="in the 3D-CNN and the projector")
    loss_code: Literal["asl", "released"] = Field("asl", description="asymmetric loss, or what the released code has")
    gamma_positive: float = Field(0.0, ge=0, description="focusing of present AUs")  # sec. 3.4
    gamma_negative: float = Field(4.0, ge=0, description="focusing of absent AUs")  # sec. 3.4
    clip: float = Field(0.05, ge=0, le=1, description="margin of absent AUs")
    focusing: Literal["detached", "attached"] = Field("detached", description="gradient through the focusing weights")
    reduction: Reduction = Field("mean", description="of the loss over clips")

    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=64,  # sec. 3.1
        crop=64,
        channels=1,
        frames=6,  # sec. 3.1
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    augment: Augment = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0, temporal_jitter=True)
    recipe: Recipe = Recipe(
        optimiser="adam", lr=3e-5, weight_decay=0.005, schedule="constant", epochs=350, batch_size=256
    )  # sec. 4.2, point 6

    @field_validator("backbone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return check_backbone(value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _fits(self) -> "AULLM":
        if self.backbone == "tiny-random" and self.init == "hf:backbone":
            raise ValueError("backbone tiny-random has no weights of its own; set init=none")
        if self.llm == "none" and self.prompting == "learned":
            raise ValueError("learned prompts need a language model that reads them; leave out no-llm")
        try:
            # LED leaves out frame 0
            micro3d_size(self.preprocess.frames - 1, self.preprocess.crop)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def unused(self) -> tuple[str, ...]:
        return ("visual.high.*",) if self.features == "mid" else ()

    def check_ready(self, *, origin: str, weights: bool) -> None:
        if self.llm != "none":
            require_hf()

    def missing(self) -> str:
        return "" if self.llm == "none" else missing_base(self.backbone, pretrained=self._pretrained)

    def fetch(self) -> None:
        if self.llm != "none":
            fetch_base(self.backbone, pretrained=self._pretrained)

    @property
    def timed_by_a_step(self) -> bool:
        return self.llm == "none" or self.backbone == "tiny-random"  # others take gigabytes

    def shared(self, device: torch.device) -> Base | None:
        """Return the language model, on the CPU, loaded by the first call: a fold's copy of it moves to the device."""
        if self.llm == "none":
            return None
        dtype: torch.dtype = getattr(torch, self.llm_dtype)
        return load_base(self.backbone, pretrained=self._pretrained, dtype=dtype)

    def build(self, task: Task) -> nn.Module:
        if not task.aus or len(task.aus) != task.num_outputs:
            raise UsageError(f"au-llm detects action units; expected outputs such as AU12, got {task.outputs[0]}")
        visual = Micro3DCNN(
            task.frames,
            task.image_size,
            channels=self.preprocess.channels,
            widths=self.widths,
            high=self.high,
            dropout=self.dropout,
        )
        size = {"both": visual.fused_size, "mid": visual.mid_size, "high": visual.high_size}[self.features]
        return AULLMNet(visual, self._reader(size), num_outputs=task.num_outputs, level=self.features)

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        logits, target = output.logits, batch["target"]
        if self.loss_code == "released":
            value = asl_released(
                logits, target, gamma_negative=self.gamma_negative, clip=self.clip, reduction=self.reduction
            )
        else:
            value = asl(
                logits,
                target,
                gamma_positive=self.gamma_positive,
                gamma_negative=self.gamma_negative,
                clip=self.clip,
                attached=self.focusing == "attached",
                reduction=self.reduction,
            )
        return {"asl": value}

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in the code: the weight decay is on all that learns
        return [{"params": [value for value in module.parameters() if value.requires_grad]}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        assert isinstance(module, AULLMNet)
        found = {"block1": module.visual.block1, "block2": module.visual.block2, "se": module.visual.se}
        return {name: layer for name, layer in found.items() if layer is not None}

    def fit(self, unit: Unit) -> Predictor:
        base = self.shared(unit.device)
        if base is None:
            return unit.train(self)
        base.verify()
        ids = list(base.token_ids(self.prompt))
        unit.log("language_model", backbone=self.backbone, checksum=f"{base.checksum:x}", prompt_ids=ids)
        predictor = unit.train(self)
        for part in getattr(predictor, "module", nn.Module()).modules():
            if isinstance(part, LanguageReader):
                part.verify()
        return predictor

    @property
    def _pretrained(self) -> bool:
        return self.init != "none" and self.backbone != "tiny-random"

    def _reader(self, features: int) -> TokenReader | PromptReader:
        width = base_width(self.backbone)
        llm = self._language_reader()
        if self.prompting == "learned" and llm is not None:
            return PromptReader(llm, vectors=self.prompt_vectors, width=width, features=features)
        projector = EFP(
            features,
            width,
            activation=self.projector_activation,
            dropout=self.dropout,
            linear=self.projector == "linear",
        )
        return TokenReader(projector, llm, width)

    def _language_reader(self) -> LanguageReader | None:
        base = self.shared(torch.device("cpu"))
        if base is None:
            return None
        return LanguageReader(
            base,
            prompt=self.prompt,
            rank=self.lora_rank if self.llm == "lora" else 0,
            alpha=self.lora_alpha,
            dropout=self.lora_dropout,
            prompt_first=self.token_place == "last",
        )


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return AULLM
