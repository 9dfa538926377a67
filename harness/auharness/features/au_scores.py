"""AU scores from 68 landmarks by rules on distances: how far a face has moved from its own neutral, not a detection.

The measures are those of permanent facial features against a neutral frame (Tian, Kanade, Cohn, TPAMI 2001; Valstar,
Pantic, TSMC-B 2012; Hussain et al., arXiv 1712.00195). Points are turned until the eye centres are level and divided by
the distance of the eye centres; a measure m scores `clip((m - m0) / k, 0, 1)`, m0 being the clip's neutral and k a
marked action's change. Conditions that must hold together are joined by the smaller score.

Not recoverable from 68 points, and absent: 11, 14, 22 and 28, whose change is in the skin or inside the lips. Weak: 6
against 7 and 23 against 24, which move the same points; 17, whose measure (lower lip to chin) a raised lip lengthens.
Closing eyes score 7 as well. Scores follow the head as well as muscles: a turned head has its eyes closer together, so
that heights seem to grow (AU5 reaches 0.6 at 25 degrees). `vertical="nose"` divides heights by the length of the nose
instead, which takes away most of that and some of the effect of nodding, but follows muscles that move the nose.

```
found = au_scores(batch["landmarks"][0].numpy(), valid=batch["landmarks_valid"][0].numpy(), fps=25)
found.scores["AU12"], found.valid          # [T] in [0, 1], NaN where not valid; [T]
pandas.DataFrame(found.columns())          # frame, valid, yaw_degrees, AU1_score, AU2_score, ...
```
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from auharness.features.face_measures import Floats, Measures, measures_of, upright, yaw_degrees

__all__ = ["LARGEST_YAW", "NOT_RECOVERABLE", "SCORED", "AUScores", "au_scores"]

SCORED: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 24, 25, 26, 27, 43, 45)
"""AUs that have a score."""
NOT_RECOVERABLE: Final = (11, 14, 22, 28)
"""AUs that 68 points do not show."""
LARGEST_YAW: Final = 30.0
"""Degrees; frames beyond are not valid."""

# change at which a measure scores 1: shares of the eye distance (about 63 mm), of an eye's length for the lids, radians
_FULL: Final = {
    "inner_brow": 0.11, "outer_brow": 0.12, "mid_brow": 0.08, "frown": 0.16, "lids": 0.12, "lower_lid": 0.10,
    "nose": 0.06, "nostrils": 0.06, "upper_lip": 0.06, "width": 0.20, "corner_rise": 0.30, "corner_drop": 0.12,
    "chin": 0.10, "lips_thin": 0.06, "lips_press": 0.06, "gap": 0.15, "jaw": 0.20,
}  # fmt: skip
_GAP_FROM = 0.025  # parted lips, share of the eye distance
_STRETCHED_FROM, _STRETCHED_FULL = 0.5, 0.8  # height by width of the mouth's opening
_SHUT = 0.2  # eye aspect ratio
_SHUT_OF_NEUTRAL = 0.75  # never above this share of the clip's own: narrow eyes are not half shut
_SHUT_SLOPE = 0.1
_SUSTAINED_S = 0.5  # longer is AU43, shorter a blink
_QUIET = 0.25  # share of the frames, those that move least, whose median is neutral
_EMA_S = 10.0


@dataclass(frozen=True, slots=True)
class AUScores:
    """Scores of one clip."""

    scores: Mapping[str, npt.NDArray[np.float64]]
    """`AU1` and so on -> `[T]` score in [0, 1]; NaN in frames that are not valid."""
    valid: npt.NDArray[np.bool_]
    """`[T]`, False where the points are not valid or not finite, or the head turns by more than 30 degrees."""
    yaw: Floats
    """`[T]` degrees, positive to the image right; a rough estimate."""

    def peaks(self) -> dict[str, float]:
        """Return every AU's largest score over the valid frames; NaN without one."""
        if not self.valid.any():
            return dict.fromkeys(self.scores, float("nan"))
        return {name: float(values[self.valid].max()) for name, values in self.scores.items()}

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the table of a clip, column by column; every AU's column says that it is a score."""
        table: dict[str, npt.NDArray[np.generic]] = {
            "frame": np.arange(len(self.valid)),
            "valid": self.valid,
            "yaw_degrees": self.yaw,
        }
        return table | {f"{name}_score": values for name, values in self.scores.items()}


def au_scores(
    landmarks: npt.NDArray[np.floating],
    *,
    valid: npt.NDArray[np.bool_] | None = None,
    neutral: npt.NDArray[np.floating] | Literal["quiet", "ema"] = "quiet",
    unit: Literal["eyes", "canthi"] = "eyes",
    vertical: Literal["unit", "nose"] = "unit",
    fps: float = 25.0,
) -> AUScores:
    """Return the score of every AU in `SCORED` for each frame of a clip.

    Args:
        landmarks: `[T,68,2]` in pixels, y down; any scale, place and in-plane turn.
        valid: `[T]`, False where the points are a stand-in for a face that was not found; default all True.
        neutral: the face that scores 0: `quiet`, the median of the quarter of frames that move least; `ema`, a mean
            that follows slowly (10 s), for long recordings; or the points `[68,2]` of a neutral face. A clip that
            shows one held expression has no neutral of its own, so that `quiet` scores it 0.
        unit: of length: distance of the eye centres, or of the inner corners of the eyes, scaled to it.
        vertical: divide heights by the unit, or by the length of the nose against turns and nods (the nose's own
            measures are always by the unit).
        fps: frames per second, which tells a blink (45) from closed eyes (43).

    Raises:
        ValueError: if the points have another shape.
    """
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise ValueError(f"expected landmarks [T, 68, 2], got {list(points.shape)}")
    finite = np.asarray(np.isfinite(points).all((1, 2)), np.bool_)
    faces = upright(np.where(finite[:, None, None], points, 0.0), unit=unit)
    yaw = np.where(finite, yaw_degrees(faces), np.nan)
    frontal = np.abs(np.where(finite, yaw, 180.0)) <= LARGEST_YAW
    usable = np.asarray(frontal if valid is None else frontal & valid, np.bool_)
    scores = {f"AU{au}": np.full(len(points), np.nan) for au in SCORED}
    if usable.any():
        base = neutral if isinstance(neutral, str) else upright(np.asarray(neutral, np.float64)[None], unit=unit)
        found = _scores(faces[usable], base, vertical=vertical, fps=fps)
        for name, values in found.items():
            scores[name][usable] = values
    return AUScores(scores, usable, yaw)


def _scores(
    faces: Floats, neutral: Floats | str, *, vertical: Literal["unit", "nose"], fps: float
) -> dict[str, Floats]:
    now = measures_of(faces, vertical=vertical, neutral=None if isinstance(neutral, str) else neutral)
    rest = _rest(now, faces, neutral, vertical=vertical, fps=fps)

    def rise(name: str) -> Floats:
        return np.clip((now[name] - rest[name]) / _FULL[name], 0.0, 1.0)

    def fall(name: str) -> Floats:
        return np.clip((rest[name] - now[name]) / _FULL[name], 0.0, 1.0)

    shut = _shut(now["lids"], rest["lids"])
    held = _sustained(shut, long=_SUSTAINED_S * fps)
    one, two = rise("inner_brow"), rise("outer_brow")
    four = np.clip(fall("mid_brow") / 2 + fall("frown") / 2, 0.0, 1.0)
    twelve = np.minimum(rise("width"), rise("corner_rise"))
    closed = 1 - np.clip((now["gap"] - _GAP_FROM) / _GAP_FROM, 0.0, 1.0)
    stretch = (now["opening"] - _STRETCHED_FROM) / (_STRETCHED_FULL - _STRETCHED_FROM)
    return {
        "AU1": one,
        "AU2": two,
        "AU4": four,
        "AU5": rise("lids"),
        "AU6": np.minimum.reduce([fall("lower_lid"), fall("lids"), twelve]),
        "AU7": np.minimum(fall("lids"), 1 - np.maximum.reduce([one, two, four])),
        "AU9": np.minimum(fall("nose"), rise("nostrils")),
        "AU10": fall("upper_lip"),
        "AU12": twelve,
        "AU15": rise("corner_drop"),
        "AU17": fall("chin"),
        "AU20": np.minimum(rise("width"), 1 - rise("corner_rise")),
        "AU23": np.minimum(fall("width"), fall("lips_thin")),
        "AU24": np.minimum(fall("lips_press"), closed),
        "AU25": np.clip((now["gap"] - _GAP_FROM) / _FULL["gap"], 0.0, 1.0),
        "AU26": np.minimum(rise("gap"), rise("jaw")),
        "AU27": np.clip(stretch, 0.0, 1.0),
        "AU43": np.where(held, shut, 0.0),
        "AU45": np.where(held, 0.0, shut),
    }


def _rest(
    now: Measures, faces: Floats, neutral: Floats | str, *, vertical: Literal["unit", "nose"], fps: float
) -> Measures:
    """Return every measure of the neutral face, `[1]`, or `[T]` where it follows slowly."""
    if not isinstance(neutral, str):
        return measures_of(neutral, vertical=vertical, neutral=neutral)
    if neutral == "ema":
        return {name: _slow(values, 1 / (_EMA_S * fps)) for name, values in now.items()}
    quiet = _quiet(faces)
    return {name: np.median(values[quiet], keepdims=True) for name, values in now.items()}


def _quiet(faces: Floats) -> npt.NDArray[np.intp]:
    """Return the frames that move least: at least three, where there are three."""
    steps = np.linalg.norm(np.diff(faces, axis=0), axis=-1).mean(-1)
    # a frame moves as much as the larger of its two steps
    motion = np.maximum(np.append(steps, 0.0), np.insert(steps, 0, 0.0))
    count = min(len(faces), max(3, round(_QUIET * len(faces))))
    return np.argsort(motion, kind="stable")[:count]


def _slow(values: Floats, share: float) -> Floats:
    """Return the exponential mean `[T]`, which starts as a plain mean and so forgets its first frame."""
    made = np.empty_like(values)
    mean = 0.0
    for step, value in enumerate(values):
        mean += max(share, 1 / (step + 1)) * (value - mean)
        made[step] = mean
    return made


def _shut(lids: Floats, rest: Floats) -> Floats:
    """Return how far the eyes are shut, 0.5 at the aspect ratio that counts as shut."""
    shut = np.minimum(_SHUT, _SHUT_OF_NEUTRAL * rest)
    return np.clip(0.5 + (shut - lids) / _SHUT_SLOPE, 0.0, 1.0)


def _sustained(shut: Floats, *, long: float) -> npt.NDArray[np.bool_]:
    """Return `[T]`, True in closures that are shut for at least `long` frames."""
    held = np.zeros(len(shut), np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shut > 0, [0]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        held[start:stop] = (shut[start:stop] >= 0.5).sum() >= long
    return held
