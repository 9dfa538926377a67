"""Where mixers of one scan check the way in which it goes."""

from typing import cast

from auharness.errors import UsageError
from auharness.ops.scan import OneWay

__all__ = ["one_way"]


def one_way(direction: str) -> OneWay:
    """Return the direction of a mixer that scans once.

    Raises:
        UsageError: it is neither `forward` nor `reverse`.

    >>> one_way("reverse")
    'reverse'
    """
    if direction not in ("forward", "reverse"):
        raise UsageError(
            f"mixer: direction is '{direction}', expected forward or reverse; BiTTT and BiMamba scan both ways"
        )
    return cast(OneWay, direction)
