"""Holm's correction of a family of tests."""

from collections.abc import Mapping

__all__ = ["holm"]


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return adjusted p-values; rejecting those at most alpha keeps the family-wise error at alpha (Holm 1979).

    With p sorted upwards, the adjusted i-th of m is the running maximum of (m - i + 1) p_i, at most 1.

    Args:
        p_values: by name, each in [0, 1].

    Returns:
        The same names in the same order.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, (len(p_values) - rank) * p_values[name])
        adjusted[name] = min(1.0, largest)
    return {name: adjusted[name] for name in p_values}
