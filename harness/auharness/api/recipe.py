"""Settings that every trained model shares: what goes in, how it is varied, and how it is optimised."""

from typing import Literal

from pydantic import Field, model_validator

from auharness.api.base import Settings

__all__ = ["Augment", "Preprocess", "Recipe"]

Enhancement = tuple[Literal["clahe", "bilateral", "unsharp"], ...]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocess(Settings):
    """From a decoded frame to the model's input."""

    align: Literal["ffhq", "similarity", "haar-eyes", "none"] = Field(
        "ffhq", description="face alignment; none for pictures that are face crops already"
    )
    landmarks: str = Field("vendor", description="landmark source: vendor, npz:FOLDER, mediapipe, haar, mean-shape")
    resize: int = Field(256, ge=16, le=4096, description="side of the cached face crop in pixels")
    crop: int = Field(
        224, ge=16, le=4096, description="side of the square that the model sees, cut from the cached crop, in pixels"
    )
    enhance: Enhancement = Field(
        (), description="clahe, bilateral, unsharp, in this order on the cached crop; of training and tests alike"
    )
    enhance_test: Enhancement | None = Field(
        None, description="in place of enhance wherever nothing is varied; unset is as in training"
    )
    frames: int = Field(1, ge=1, description="frames per sample; of frame data, of a window")
    stride: int = Field(0, ge=0, description="frames between windows where all are read; 0 is half a window")
    sampler: Literal["uniform", "linspace", "dfer-clip", "former-dfer"] = Field(
        "uniform", description="how frames are chosen from a clip"
    )
    channels: Literal[1, 3] = Field(3, description="colour, or grey by the weights of ITU-R BT.601")
    mean: tuple[float, float, float] = Field(IMAGENET_MEAN, description="channel means of the [0, 1] image")
    std: tuple[float, float, float] = Field(IMAGENET_STD, description="channel deviations of the [0, 1] image")
    on_bad_frame: Literal["fail", "drop"] = Field("fail", description="undecodable media: stop, or drop and count")

    @property
    def enhance_cached(self) -> Enhancement:
        """The steps that training and tests share from the first on, done before crops are cached.

        The rest of `enhance` and of `enhance_test` is done when a batch is made.

        >>> Preprocess(enhance=("clahe", "unsharp"), enhance_test=("clahe",)).enhance_cached
        ('clahe',)
        """
        test = self.enhance if self.enhance_test is None else self.enhance_test
        same = [one == other for one, other in zip(self.enhance, test, strict=False)]
        return self.enhance[: [*same, False].index(False)]

    @model_validator(mode="after")
    def _windows_meet(self) -> "Preprocess":
        if self.stride > self.frames:
            raise ValueError(f"stride is {self.stride}, expected at most frames, which is {self.frames}: no gaps")
        return self

    @model_validator(mode="after")
    def _crop_fits(self) -> "Preprocess":
        if self.crop > self.resize:
            raise ValueError(f"crop is {self.crop}, expected at most resize, which is {self.resize}")
        return self

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> "Preprocess":
        if self.sampler == "former-dfer" and self.frames % 2:
            raise ValueError(f"frames is {self.frames}, expected an even number: sampler former-dfer reads pairs")
        return self

    @model_validator(mode="after")
    def _grey_has_one_mean(self) -> "Preprocess":
        if self.channels == 1 and len({self.mean, self.mean[:1] * 3}) + len({self.std, self.std[:1] * 3}) > 2:
            raise ValueError(f"channels is 1, expected equal entries in mean and std, got {self.mean} and {self.std}")
        return self


class Augment(Settings):
    """Random variation of training samples, the same for all frames of a clip; all zero switches it off."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip; landmarks swap sides")
    random_crop: bool = Field(True, description="cut the crop at a random place instead of the centre")
    random_resized_crop: tuple[float, float] | None = Field(
        None,
        description="in place of random_crop: a rectangle with such a share of the cached crop's area and sides of "
        "3:4 to 4:3, resized; least and largest share",
    )
    rotate: float = Field(0.0, ge=0, le=180, description="degrees, drawn from +- this")
    translate: float = Field(0.0, ge=0, lt=1, description="shift along each side, drawn from +- this share of it")
    scale: float = Field(0.0, ge=0, lt=1, description="size, factor drawn from 1 +- this")
    brightness: float = Field(0.4, ge=0, description="factor drawn from 1 +- this")
    contrast: float = Field(0.4, ge=0, description="factor drawn from 1 +- this")
    saturation: float = Field(0.4, ge=0, description="factor drawn from 1 +- this")
    hue: float = Field(0.0, ge=0, le=0.5, description="turn of the colour circle, drawn from +- this share of it")
    clahe: float = Field(0.0, ge=0, le=1, description="probability of local contrast, clip limit 1 to 4")
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur, deviation 0.3 to 1.2 pixels")
    noise: float = Field(0.0, ge=0, le=1, description="probability of Gaussian noise, deviation 0.01 to 0.05 of white")
    temporal_jitter: bool | None = Field(
        None,
        description="the sampler draws training frames: uniform a random end, linspace any frames, dfer-clip and "
        "former-dfer a place in each segment; unset is on for the last two",
    )
    windows: int = Field(1, ge=1, description="windows drawn from each recording in an epoch, of frame data")

    @model_validator(mode="after")
    def _shares_are_ordered(self) -> "Augment":
        shares = self.random_resized_crop
        if shares is not None and not 0 < shares[0] <= shares[1] <= 1:
            raise ValueError(f"random_resized_crop is {shares}, expected 0 < least <= largest <= 1")
        return self


class Recipe(Settings):
    """Optimisation and selection."""

    # adam adds the weight decay to the gradient, adamw to the step
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(5e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="first moment: SGD momentum or Adam's beta 1")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's beta 2")
    nesterov: bool = Field(True, description="SGD looks ahead along its momentum")
    schedule: Literal["cosine", "constant", "onecycle", "step"] = "cosine"
    cycle_momentum: bool = Field(True, description="onecycle moves the first moment from 0.95 to 0.85 and back")
    step_epochs: int = Field(40, ge=1, description="schedule step: epochs between two falls of the rate")
    step_factor: float = Field(0.1, gt=0, le=1, description="schedule step: what a fall multiplies the rate by")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of all steps with a linear rise from 0")
    epochs: int = Field(20, ge=1)
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps; marks the run as a smoke run")
    batch_size: int = Field(64, ge=1)
    eval_batch_size: int = Field(128, ge=1, description="changes no logit, only memory and speed")
    devices: int = Field(1, ge=1, description="processes that train one unit together, each on a device of its own")
    grad_clip: float = Field(0.0, ge=0, description="largest gradient norm; 0 is off")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the weight average; 0 is off")
    swa_epochs: int = Field(0, ge=0, description="average the weights at the end of this many last epochs; 0 is off")
    swa_modules: tuple[str, ...] = Field(
        (), description="patterns (fnmatch) of the parameters that swa_epochs averages; none is all of them"
    )
    selection: Literal["last", "inner-val"] = Field(
        "last", description="which epoch is kept; inner-val: the best headline on held-out training subjects"
    )
    inner_val_share: float = Field(0.15, gt=0, lt=1, description="share of the training keys held out for inner-val")
    patience: int = Field(0, ge=0, description="stop after this many epochs without a better inner-val score; 0 is off")
    threshold: Literal["fixed-0.5", "train-tuned"] = Field(
        "fixed-0.5", description="decision rule; train-tuned: the best headline of each label on training rows"
    )
    save_epoch_predictions: bool = Field(
        False, description="keep the test scores of every epoch for the marked test-oracle column"
    )
