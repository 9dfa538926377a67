"""Labels of which a model says the same for every test sample: their score is that of a constant, not of a model."""

from collections.abc import Sequence

import numpy as np

from auharness.metrics import FN, FP, TN, TP, FoldCounts

__all__ = ["degenerate_labels"]


def degenerate_labels(columns: Sequence[str], by_seed: Sequence[Sequence[FoldCounts]]) -> dict[str, str]:
    """Return the labels that at least one seed answers alike over all its folds.

    A constant label may score 47 in macro-F1 and 0.95 in accuracy, so the score does not tell; the counts do.

    Args:
        columns: scored labels.
        by_seed: the folds of each seed, counts `[S, A, 4]`.

    Returns:
        Label -> `never` or `always`, with the number of seeds where not all agree; in the order of the labels.

    >>> folds = [FoldCounts("01", ("01",), np.array([[[0, 0, 3, 7], [2, 1, 1, 6], [4, 6, 0, 0]]]))]
    >>> degenerate_labels(("AU2", "AU4", "AU7"), [folds])
    {'AU2': 'never', 'AU7': 'always'}
    """
    totals = np.stack([np.sum([fold.total for fold in folds], axis=0) for folds in by_seed])
    coded = totals.sum(axis=-1) > 0
    never = coded & (totals[..., TP] + totals[..., FP] == 0)
    always = coded & (totals[..., FN] + totals[..., TN] == 0)
    found = {}
    for place, name in enumerate(columns):
        words = [word for word, flags in (("never", never), ("always", always)) if flags[:, place].any()]
        if words:
            number = int((never | always)[:, place].sum())
            found[name] = " or ".join(words) + (f" ({number} of {len(totals)} seeds)" if number < len(totals) else "")
    return found
