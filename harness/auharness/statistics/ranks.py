"""Ranks that are shared where two rows cannot be told apart."""

import math
from collections.abc import Callable, Mapping

__all__ = ["shared_ranks"]


def shared_ranks(
    scores: Mapping[str, float], separable: Callable[[str, str], bool], *, higher_is_better: bool = True
) -> dict[str, int | None]:
    """Return the rank of each row; rows that cannot be separated from the best of their group share its rank.

    The rule: sort by score. The best row opens the first group. Each next row is compared with the row that opened the
    current group: not separable, it joins and shares that rank; separable, it opens the next group with its own place
    (1, 1, 3). So ranks follow the scores, and a chain of small steps cannot pull a row up to a leader from which it is
    separable. Each row is compared once, `len(scores) - 1` comparisons in all, so testing each at
    `alpha / (len(scores) - 1)` keeps the family-wise error at alpha.

    Args:
        scores: by row name; NaN rows get no rank.
        separable: called as `separable(leader, row)`; whether the two differ beyond chance.
        higher_is_better: direction of the score.

    Returns:
        Rank by name, best first, rows without a score last (None). Rows of equal score are ordered by name.

    >>> shared_ranks({"a": 0.65, "b": 0.64, "c": 0.48}, lambda leader, row: row == "c")
    {'a': 1, 'b': 1, 'c': 3}
    """
    sign = -1 if higher_is_better else 1
    ordered = sorted((name for name in scores if not math.isnan(scores[name])), key=lambda n: (sign * scores[n], n))
    ranks: dict[str, int | None] = {}
    leader, rank = "", 0
    for place, name in enumerate(ordered, start=1):
        if place == 1 or (scores[name] != scores[leader] and separable(leader, name)):
            leader, rank = name, place
        ranks[name] = rank
    return ranks | {name: None for name in sorted(scores) if math.isnan(scores[name])}
