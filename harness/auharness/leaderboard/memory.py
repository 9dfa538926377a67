"""Remembered intervals and p-values: they follow from counts alone, and cost a hundred times all else on a page."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from auharness import metrics, registry, statistics
from auharness.metrics import Aggregation, FoldCounts, Metric
from auharness.results.atomic import read_json, write_bytes, write_json
from auharness.statistics import DRAWS, Interval, headline_interval, swap_test

__all__ = ["Memory"]


class Memory:
    """Intervals and p-values by the digest of their counts, kept in a file that may be deleted at any time."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._known: dict[str, Any] = _read(path)
        self._used: dict[str, Any] = {}

    def interval(
        self, folds: Sequence[FoldCounts], metric: Metric, *, how: Aggregation, cluster: str = "subject"
    ) -> Interval | None:
        """Return `headline_interval` of the counts."""

        def compute() -> dict[str, Any] | None:
            found = headline_interval(folds, metric, how=how, cluster=cluster)
            return None if found is None else asdict(found)

        values = self._recall(_key(f"interval {cluster}", [folds], metric, how), compute)
        return None if values is None else Interval(**values)

    def p_value(
        self,
        first: Sequence[FoldCounts],
        second: Sequence[FoldCounts],
        *,
        metric: Metric,
        how: Aggregation,
        cluster: str = "subject",
    ) -> float:
        """Return the p-value of `swap_test`.

        Raises:
            InconclusiveError: if the two do not test the same subjects.
        """
        key = _key(f"p-value {cluster}", [first, second], metric, how)
        return float(self._recall(key, lambda: swap_test(first, second, metric=metric, how=how, cluster=cluster)[0]))

    def save(self) -> None:
        """Write what was used since this memory was opened, when it differs from the file."""
        if self.path is not None and self._used != self._known:
            write_json(self.path, dict(sorted(self._used.items())))
            ignore = self.path.parent / ".gitignore"
            if not ignore.is_file():
                write_bytes(ignore, b"*\n")

    def _recall(self, key: str, compute: Callable[[], Any]) -> Any:
        if key not in self._used:
            self._used[key] = self._known[key] if key in self._known else compute()
        return self._used[key]


def _read(path: Path | None) -> dict[str, Any]:
    """What the file holds; nothing if it is absent or damaged."""
    if path is None or not path.is_file():
        return {}
    try:
        content = read_json(path)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _code() -> str:
    """Digest of the code that the numbers follow from."""
    return " ".join(registry.code_digest(Path(str(package.__file__))) for package in (metrics, statistics))


def _key(what: str, models: Sequence[Sequence[FoldCounts]], metric: Metric, how: str) -> str:
    digest = hashlib.sha256(f"{what} {metric.name} {how} {DRAWS} {_code()}".encode())
    for folds in models:
        for fold in folds:
            digest.update("\0".join(("", fold.name, *fold.clusters, str(fold.counts.shape))).encode())
            digest.update(fold.counts.astype("<f8").tobytes())
    return digest.hexdigest()[:32]
