"""Weights over time that a network puts out beside its logits, such as those of squeeze-and-excitation."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auharness.explain.figures import INK, MUTED, new_figure, save_figure

__all__ = ["draw_traces"]


def draw_traces(
    traces: Mapping[str, NDArray[np.float32]],
    path: Path,
    *,
    names: Mapping[str, str],
    places: Mapping[str, NDArray[np.float64]],
    title: str,
) -> Path:
    """Write one heatmap per entry, channels from top to bottom and time to the right, and return its path.

    Channels stand in the order of the network; a second panel shows how far each is from its own mean over time.

    Args:
        traces: entry -> `[C,T']`.
        path: of the png.
        names: entry -> what it is.
        places: entry -> `[T']`, where the columns lie on the axis of the frames.
        title: stands above.
    """
    tallest = max(len(values) for values in traces.values())
    high = 1.2 + min(max(0.055 * tallest, 1.8), 5.0)
    figure = new_figure(8.2, 0.5 + high * len(traces), layout="constrained")
    panels = figure.subplots(len(traces), 2, squeeze=False)
    for (entry, values), (left, right) in zip(traces.items(), panels, strict=True):
        change = values - values.mean(axis=1, keepdims=True)
        reach = max(float(np.abs(change).max()), 1e-6)
        shown = left.imshow(values, aspect="auto", cmap="viridis", interpolation="nearest")
        moved = right.imshow(change, aspect="auto", cmap="PuOr", vmin=-reach, vmax=reach, interpolation="nearest")
        left.set_title(names[entry], fontsize=10, loc="left", color=INK)
        right.set_title("difference from the channel's mean over time", fontsize=10, loc="left", color=INK)
        for axis, picture in ((left, shown), (right, moved)):
            steps = np.unique(np.linspace(0, values.shape[1] - 1, min(values.shape[1], 8)).round().astype(int))
            axis.set_xticks(steps, [f"{places[entry][step]:.1f}" for step in steps])
            axis.set_xlabel("frame (centre of the cell)", fontsize=9)
            axis.set_ylabel("channel", fontsize=9)
            axis.tick_params(labelsize=8)
            bar = figure.colorbar(picture, ax=axis, shrink=0.9)
            bar.ax.tick_params(labelsize=7.5, color=MUTED)
            bar.outline.set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=INK)
    return save_figure(figure, path)
