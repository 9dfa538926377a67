"""What the pictures share: matplotlib where it is installed, colours, and files written whole."""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from auharness.errors import DataError
from auharness.results.atomic import write_bytes

__all__ = [
    "COLOURS",
    "INK",
    "MUTED",
    "Made",
    "has_matplotlib",
    "new_canvas",
    "new_figure",
    "overlay",
    "place",
    "require_matplotlib",
    "save_arrays",
    "save_figure",
]

COLOURS: Final = "inferno"
"""Perceptually uniform, from dark to light."""
INK: Final = "#222222"
MUTED: Final = "#8a8a8a"

Made = dict[str, Any]
"""One picture: its kind, path and what it shows, as JSON can hold it."""

_STRONGEST = 0.72
"""Opacity of the highest value, so that the face remains to be seen."""


def require_matplotlib() -> None:
    """Refuse to start without matplotlib.

    Raises:
        DataError: if it is not installed.
    """
    if not has_matplotlib():
        raise DataError("explain draws with matplotlib, which is not installed; pip install 'auharness[viz]'")


def has_matplotlib() -> bool:
    """Return whether matplotlib can be imported, and import it."""
    try:
        import matplotlib.figure  # noqa: F401  # only whether it is there
    except ImportError:
        return False
    return True


def new_figure(width: float, height: float, **options: Any) -> Any:
    """Return an empty figure of this size in inches, outside pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, **options)


def new_canvas(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure and its only axes, without lines, whose unit is the inch from the lower left corner.

    Many small pictures in one axes take a tenth of the time of as many axes.
    """
    figure = new_figure(width, height)
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), autoscale_on=False)
    canvas.set_axis_off()
    return figure, canvas


def place(canvas: Any, image: NDArray[np.float32], *, left: float, bottom: float, size: float) -> None:
    """Put a square picture `[S,S,3]` in [0, 1] onto a canvas."""
    canvas.imshow(
        image, extent=(left, left + size, bottom, bottom + size), aspect="auto", interpolation="nearest", vmin=0, vmax=1
    )


def save_figure(figure: Any, path: Path) -> Path:
    """Write a png whole or not at all, and return its path."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, stream.getvalue())
    return path


def save_arrays(path: Path, **arrays: Any) -> Path:
    """Write a compressed npz whole or not at all, and return its path; nothing in it needs pickle."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, stream.getvalue())
    return path


def overlay(image: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colour an image by a map: the higher, the less of the image is seen.

    Args:
        image: `[S,S,3]` in [0, 1].
        values: `[S,S]` in [0, 1].

    Returns:
        `[S,S,3]` in [0, 1].
    """
    from matplotlib import colormaps

    grey = image.mean(axis=-1, keepdims=True)
    colour = np.asarray(colormaps[COLOURS](values), np.float32)[..., :3]
    # steep, but not at 0, where it would draw a border around what has no evidence
    opacity = _STRONGEST * (values * (2 - values))[..., None]
    return np.asarray((1 - opacity) * grey + opacity * colour, np.float32)
