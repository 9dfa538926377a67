"""The one line that a finished run says."""

from auharness.api import ProtocolPlugin
from auharness.metrics import metric
from auharness.results.store import RunFolder
from auharness.scoring import Score, score_units

__all__ = ["headline_of", "one_line"]

BESIDE = ("war",)
"""Metrics that are never left out where a class score is told: UAR alone hides the frequent classes."""


def headline_of(protocol: ProtocolPlugin, folder: RunFolder) -> str:
    """Return model, protocol, score with interval, and the highest floor, in percent."""
    record = folder.record
    return f"{record.model} on {record.protocol}: {one_line(score_units(protocol, folder.finished()))}"


def one_line(score: Score) -> str:
    """Return `F1 71.23 [68.10, 74.02], 1 seed (fold-mean, 3 folds, 41 subjects, ...; floor constant-1 48.04)`."""
    text = f"{metric(score.metric).title} {100 * score.headline:.2f}"
    if score.interval is not None:
        text += f" [{100 * score.interval.low:.2f}, {100 * score.interval.high:.2f}]"
    if score.seed_sd is not None:
        text += f" sd {100 * score.seed_sd:.2f} over {len(score.seeds)} seeds"
    text += "".join(
        f", {metric(name).title} {100 * score.metrics[name]:.2f}" for name in BESIDE if name in score.metrics
    )
    text = ", ".join((text, *score.marks))
    highest, floor = score.highest_floor
    return f"{text} ({score.aggregation}, {score.n_folds}, {score.tested}; floor {highest} {100 * floor:.2f})"
