"""Scores as a table with named columns, one row per sample."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from auharness.runner.parts import Part

__all__ = ["add_targets", "prediction_frame"]


def prediction_frame(
    part: Part, scores: np.ndarray, outputs: Sequence[str], *, views: np.ndarray, epoch: int | None = None
) -> pd.DataFrame:
    """Return `sample_id`, `subject`, a score per output, and `views`: how many scores of the sample were averaged.

    Args:
        part: the rows that were predicted.
        scores: `[N,A]` in their order.
        outputs: names of the columns.
        views: `[N]`, how many scores each of these is the mean of.
        epoch: adds the column `epoch`, for the scores of every epoch.
    """
    frame = pd.DataFrame(scores, columns=list(outputs))
    frame.insert(0, "subject", list(part.rows.subjects))
    frame.insert(0, "sample_id", list(part.rows.sample_ids))
    frame["views"] = views
    if frame["sample_id"].duplicated().any():
        groups = frame.groupby("sample_id", sort=False)
        means, totals = groups[list(outputs)].mean().to_numpy(), groups["views"].sum().to_numpy()
        frame = frame.drop_duplicates("sample_id").reset_index(drop=True)
        frame[list(outputs)], frame["views"] = means, totals
    if epoch is not None:
        frame["epoch"] = epoch
    return frame


def add_targets(frame: pd.DataFrame, part: Part, target: np.ndarray, *, columns: Sequence[str]) -> pd.DataFrame:
    """Return the frame with `<label>.target` columns (1, 0, -1 = not coded); `target` `[N,A]` has the part's order."""
    first = ~pd.Series(part.rows.sample_ids).duplicated().to_numpy()
    names = [f"{name}.target" for name in columns]
    return pd.concat([frame, pd.DataFrame(target[first], columns=names, index=frame.index)], axis=1)
