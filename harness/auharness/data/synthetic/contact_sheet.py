"""A picture of what the renderer does: each action unit off and on, on several faces of one domain.

`python -m auharness.data.synthetic.contact_sheet OUT.png` writes the picture of the documentation.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.identity import sample_identity, sample_scene
from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.render import render_face
from auharness.errors import UsageError

__all__ = ["contact_sheet", "documentation_sheet", "main"]

_NAMES = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    14: "dimpler",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    45: "blink",
}
_COMBINATIONS = ((6, 12, 25), (1, 2, 5, 26), (9, 10, 17))
_TITLES = {"bp4d": "BP4D stand-in", "disfa": "DISFA stand-in"}
_COLUMNS = 4
_PAPER = (250, 250, 248)
_INK = (45, 48, 54)
_ROWS = 2  # faces per AU


def _text(
    image: NDArray[np.uint8], words: str, at: tuple[int, int], *, scale: float = 0.36, room: int | None = None
) -> None:
    if room is not None:
        (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        scale *= min(1.0, room / width)
    cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)


def _crop(image: NDArray[np.uint8], landmarks: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Return the square around the face, resampled to size x size."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    half = 0.66 * float((high - low).max())
    x, y = (low + high) / 2 - (0, 0.22 * half)
    scale = size / (2 * half)
    # shrinking by area first keeps fine creases from aliasing
    move = np.array([[scale, 0, size / 2 - scale * x], [0, scale, size / 2 - scale * y]])
    soft = cv2.GaussianBlur(image, (0, 0), max(0.45 / scale - 0.35, 0.01)) if scale < 1 else image
    return np.asarray(
        cv2.warpAffine(soft, move, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _pair(units: tuple[int, ...], *, domain: str, seed: int, size: int) -> NDArray[np.uint8]:
    """Return one face without and with the units, [size, 2 * size, 3]."""
    identity = sample_identity(seed)
    # without sensor noise the picture shows the face, and compresses
    scene = replace(sample_scene(domain, seed), noise=0.0)
    pose = np.random.default_rng([seed, 77]).uniform(-1, 1, 3) * (9, 5, 3)
    turned = (float(pose[0]), float(pose[1]), float(pose[2]))
    off, landmarks = render_face(identity, scene, {}, pose=turned, noise_seed=seed)
    on, _ = render_face(identity, scene, dict.fromkeys(units, 1.0), pose=turned, noise_seed=seed)
    return np.concatenate([_crop(off, landmarks, size), _crop(on, landmarks, size)], axis=1)


def contact_sheet(aus: Sequence[int | tuple[int, ...]], *, domain: str, seed: int, size: int) -> NDArray[np.uint8]:
    """Return a labelled grid, uint8 [height, width, 3] RGB, of each AU off and on for two faces of a domain.

    Args:
        aus: AU numbers; a tuple shows a combination.
        domain: as in `sample_scene`.
        seed: first face; every cell shows another one.
        size: side of one face in pixels.

    Raises:
        UsageError: an AU that cannot be rendered.
    """
    cells = [(entry,) if isinstance(entry, int) else tuple(entry) for entry in aus]
    unknown = sorted({au for cell in cells for au in cell} - set(RENDERED_AUS))
    if unknown:
        raise UsageError(
            f"contact_sheet: aus names AU {unknown}, expected AUs out of {list(RENDERED_AUS)}; leave the others out"
        )
    gap, label = 8, 18
    wide, tall = 2 * size + gap, _ROWS * size + label + gap
    columns = min(_COLUMNS, len(cells))
    sheet = np.empty((-(-len(cells) // columns) * tall + 24, columns * wide + gap, 3), np.uint8)
    sheet[:] = _PAPER
    _text(sheet, _TITLES.get(domain, f"{domain} stand-in") + ": off | on", (gap, 17), scale=0.46)
    for index, cell in enumerate(cells):
        left, top = gap + index % columns * wide, 24 + index // columns * tall
        name = f"AU{cell[0]} {_NAMES[cell[0]]}" if len(cell) == 1 else "AU" + "+".join(str(au) for au in cell)
        _text(sheet, name, (left, top + 13), room=2 * size)
        for row in range(_ROWS):
            face = _pair(cell, domain=domain, seed=seed + index * _ROWS + row, size=size)
            sheet[top + label + row * size : top + label + (row + 1) * size, left : left + 2 * size] = face
    return sheet


def documentation_sheet() -> NDArray[np.uint8]:
    """Return the two domains side by side, every AU and three combinations, as uint8 RGB."""
    shown: list[int | tuple[int, ...]] = [*(au for au in RENDERED_AUS if au != 45), *_COMBINATIONS]
    sheets = [contact_sheet(shown, domain=domain, seed=0, size=72) for domain in ("bp4d", "disfa")]
    return np.concatenate(sheets, axis=1)


def main(arguments: Sequence[str]) -> int:
    """Write the documentation's picture to the path given; return the exit code."""
    if len(arguments) != 1:
        raise UsageError("contact_sheet: expected one argument, the path of the png to write")
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    # 64 levels per channel keep the file small; the eye does not miss them at this size
    picture = documentation_sheet() // 4 * 4 + 2
    _, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    target.write_bytes(data.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
