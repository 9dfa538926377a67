"""The rows of a page as csv and json, for machines: the same rows to twelve decimals, and what each stands on."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from auharness.leaderboard.cost import cost_of
from auharness.leaderboard.escape import csv_cell, json_text
from auharness.leaderboard.levels import equal_constants
from auharness.leaderboard.page import Page
from auharness.leaderboard.reported import MEAN, ReportedTable
from auharness.leaderboard.rows import BoardRow, BoardTable
from auharness.metrics import metric
from auharness.scoring import Score, dropped_rows

__all__ = ["page_csv", "page_json", "page_records"]

EXPORT_VERSION = 1
FIRST = ("section", "origin", "rank", "model", "preset", "score")
"""Columns that every csv has, also without rows."""
COSTS = ("parameters", "trainable", "macs", "flops", "coverage", "input_bytes", "peak_bytes")
"""What is known of a network's cost, see `bench/rows.py`."""
DECIMALS = 12
"""Further ones follow from the order in which a processor adds; the same records must give the same file on all."""


def page_json(page: Page) -> str:
    """Return rows and audits as one JSON document; scores are fractions, undefined ones null."""
    audits = [
        {"table": table.table, "citation": table.citation, **asdict(finding)}
        for table in page.reported
        for finding in page.audit(table)
    ]
    protocol = page.protocol
    return json_text(
        {
            "schema_version": EXPORT_VERSION,
            "protocol": protocol.name,
            "protocol_version": protocol.version,
            "metric": protocol.headline,
            "aggregation": protocol.aggregation,
            "columns": list(protocol.columns),
            "published_floors": _rounded(page.floors),
            "rows": list(page_records(page)),
            "looks": [
                {"section": f"{origin} {size}".strip(), "data": list(data), "models": found.by_model}
                for (origin, size, data), found in page.looks.items()
            ],
            "audit": audits,
        }
    )


def page_csv(page: Page) -> str:
    """Return the same rows as csv; cells that a spreadsheet would run are quoted."""
    records = [_flat(record) for record in page_records(page)]
    columns = list(dict.fromkeys((*FIRST, *(key for record in records for key in record))))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(column) for column in columns])
    for record in records:
        writer.writerow([csv_cell(record.get(column)) for column in columns])
    return stream.getvalue()


def page_records(page: Page) -> Iterator[dict[str, Any]]:
    """Yield every row: measured, floors and reported, told apart by `origin` and `section`."""
    return map(_rounded, _records(page))


def _records(page: Page) -> Iterator[dict[str, Any]]:
    for table in page.tables:
        section = f"{table.origin} {table.size}".strip()
        for row in (*table.rows, *table.unranked):
            yield {"section": section, "origin": "measured", **_measured(row), "data_digest": table.digest} | _cost(
                page, row
            )
        if table.rows:
            yield from _floors(section, table)
    for reported in page.reported:
        yield from _reported(page, reported)


def _cost(page: Page, row: BoardRow) -> dict[str, Any]:
    """Counts of one sample, where the row's network was counted."""
    cost = cost_of(page.protocol, row, page.costs)
    if cost is None:
        return {}
    return {"cost": {name: getattr(cost.count, name) for name in COSTS} | {"latency": cost.latency or None}}


def _measured(row: BoardRow) -> dict[str, Any]:
    score, unit = row.score, row.entry.first
    interval = score.interval
    return {
        "rank": row.rank,
        "not_ranked": row.entry.not_ranked or row.untested,
        "model": row.entry.run.model,
        "preset": row.entry.run.preset,
        "difference": row.difference,
        "run": row.entry.folder,
        "attempt": row.entry.run.attempt,
        "metric": score.metric,
        "aggregation": score.aggregation,
        "score": _finite(score.headline),
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "level": None if interval is None else interval.level,
        "interval_method": None if interval is None else interval.method,
        "seed_sd": score.seed_sd,
        "labels": _by_label(score.columns, score.by_label),
        "labels_of_metrics": _labels_of_metrics(row),
        "counts": {name: list(counts) for name, counts in score.counts.items()},
        "degenerate": score.degenerate,
        "marks": list(score.marks),
        "defined": dict(zip(score.columns, score.n_defined, strict=True)),
        "folds": {name: _finite(value) for name, value in score.by_fold.items()},
        "others": {name: _finite(value) for name, value in score.others.items()},
        "metrics": {name: _finite(value) for name, value in {**score.metrics, **row.score_metrics}.items()},
        "floors": score.floors,
        "seeds": list(score.seeds),
        "n_frames": score.n_frames,
        "n_scored": score.n_scored,
        "n_published": score.n_published,
        "n_subjects": score.n_subjects,
        "n_dropped": dropped_rows(row.entry.units),
        "n_dropped_frames": max(unit.n_dropped_frames for unit in row.entry.units),
        "n_no_face": score.n_no_face,
        "selection": unit.selection,
        "threshold": unit.threshold,
        "pretrained_on": unit.pretrained_on,
        "extra_data": unit.extra_data,
        "uses_apex": unit.uses_apex,
        **_classes(score),
        "parameters": unit.parameters,
        "data_origin": unit.data.origin,
        "data_size": unit.data.size,
        "data_verified": unit.data.verified,
        "data_settings": unit.data.settings,
        "protocol_version": unit.protocol_version,
    }


def _floors(section: str, table: BoardTable) -> Iterator[dict[str, Any]]:
    score = table.floors
    for name, value in score.floors.items():
        yield {
            "section": section,
            "origin": "floor",
            "model": name,
            "metric": score.metric,
            "aggregation": score.aggregation,
            "score": _finite(value),
            "labels": _by_label(score.columns, score.floors_by_label[name]),
            "n_frames": score.n_frames,
            "n_subjects": score.n_subjects,
            "data_digest": table.digest,
        }


def _reported(page: Page, table: ReportedTable) -> Iterator[dict[str, Any]]:
    constants = equal_constants(table, page.levels(table))
    for row in table.rows:
        yield {
            "section": f"reported {table.table}",
            "origin": "reported",
            "model": row.method,
            "preset": row.variant,
            "metric": table.metric,
            "aggregation": table.aggregation,
            "score": _fraction(row.cells.get(MEAN)),
            "labels": {name: _fraction(value) for name, value in row.cells.items() if name != MEAN},
            "equal_constant": {
                name: constants[row.method, name] for name in row.cells if (row.method, name) in constants
            },
            **({"metrics": {name: _fraction(value) for name, value in row.metrics.items()}} if row.metrics else {}),
            **({"n_folds": row.n_folds, "folds": list(row.folds)} if row.n_folds else {}),
            **({table.cost: row.cost} if row.cost else {}),
            "selection": row.selection or table.selection,
            "threshold": table.threshold,
            "citation": table.citation,
            "link": table.link,
            "table": table.table,
            "reference": row.reference,
            "venue": row.venue,
            "note": " ".join(filter(None, (row.note, *row.remarks))),
            "protocol_version": page.protocol.version,
        }


def _labels_of_metrics(row: BoardRow) -> dict[str, dict[str, float | None]]:
    """The score of each label in every other metric, mean over the seeds; metrics of scores where they are pooled."""
    score, pooled = row.score, row.entry.run.pooled
    found = {}
    for name, scores in score.metrics_by_label.items():
        found[name] = _by_label(score.classes if metric(name).per_class else score.columns, scores)
    seeds = [pooled[str(seed)] for seed in score.seeds if str(seed) in pooled]
    for name in seeds[0] if seeds else ():
        values = {label: [one[name][label] for one in seeds] for label in score.columns}
        found[name] = {label: _mean(listed) for label, listed in values.items()}
    return found


def _classes(score: Score) -> dict[str, Any]:
    """What rows over classes have beside the others; rows are true classes."""
    if not score.classes:
        return {}
    return {
        "metrics_pooled": {name: _finite(value) for name, value in score.metrics_pooled.items()},
        "floors_of_metrics": score.floors_of_metrics,
        "confusion": {
            fold: {name: list(counts) for name, counts in zip(score.classes, matrix, strict=True)}
            for fold, matrix in score.confusion.items()
        },
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": item for name, item in _flat(value).items()})
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _by_label(columns: tuple[str, ...], values: tuple[float, ...]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in zip(columns, values, strict=True)}


def _rounded(value: Any) -> Any:
    """Round all numbers of nested records."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _fraction(value: float | None) -> float | None:
    """Percent as printed to a fraction, without the noise of binary division."""
    return None if value is None else round(value / 100, 6)
