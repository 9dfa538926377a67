"""Markdown tables of measured and reported rows, readable as plain text too."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from auharness.leaderboard.escape import markdown
from auharness.leaderboard.finding import Finding
from auharness.leaderboard.levels import Levels, best_constant, equal_constants
from auharness.leaderboard.reported import MEAN, ReportedRow, ReportedTable
from auharness.leaderboard.rows import BoardRow, BoardTable
from auharness.metrics import METRICS
from auharness.scoring import Score
from auharness.statistics import Interval

__all__ = [
    "NAMES",
    "SHORT",
    "fold_table",
    "headline_table",
    "interval_text",
    "label_table",
    "making_cells",
    "making_table",
    "marked",
    "percent",
    "reported_table",
    "row_names",
    "table_text",
    "verdict_list",
]

NAMES = {name: entry.title for name, entry in METRICS.items()}
SHORT = {"constant-0": "c0", "constant-1": "c1"}
"""Mark of a printed cell that is the score of a constant predictor."""
APEX = "the annotated apex of test clips"
TEXT_COLUMNS = {
    "backend", "data verified", "degenerate", "extra data", "input", "labels", "latency", "method", "mode", "model",
    "note", "origin", "page", "plugin", "preset", "pretrained on", "protocol", "run", "selection", "threshold", "true",
    "variant", "venue", "why not ranked",
}  # fmt: skip


def percent(value: float | None, digits: int = 2) -> str:
    """Return a score in [0, 1] as a percentage, `n/a` where it is undefined.

    >>> percent(0.48041), percent(None), percent(float("nan"))
    ('48.04', 'n/a', 'n/a')
    """
    return "n/a" if value is None or math.isnan(value) else f"{100 * value:.{digits}f}"


def interval_text(interval: Interval | None) -> str:
    """Return `44.08 to 49.96`, or `n/a`."""
    return "n/a" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"


def table_text(rows: Sequence[dict[str, str]]) -> str:
    """Return rows of equal keys as a markdown table; text is left-aligned, numbers right-aligned.

    >>> print(table_text([{"model": "a", "F1": "48.04"}]))
    | model   |    F1 |
    |:--------|------:|
    | a       | 48.04 |
    """
    align = ["left" if name in TEXT_COLUMNS else "right" for name in rows[0]]
    return str(pd.DataFrame(list(rows)).to_markdown(index=False, disable_numparse=True, colalign=align))


def headline_table(table: BoardTable, rows: Sequence[BoardRow], *, floors: bool = True) -> str:
    """Return rank, score with interval, the other aggregations and metrics; floors at the end."""
    lines = [_headline(row) for row in rows]
    if all(row.score.seed_sd is None for row in rows):
        for line in lines:
            del line["sd over seeds"]
    if not any(row.score.counts for row in rows):
        for line in lines:
            del line["degenerate"]
    if floors:
        lines += [_floor_line(lines[0], table.floors, name) for name in table.floors.floors]
    return table_text(lines)


def label_table(table: BoardTable, rows: Sequence[BoardRow], *, floors: bool = True) -> str:
    """Return the score of each label; `(2)` after a score counts the folds that define it where some do not."""
    lines = [
        {
            **row_names(row),
            **dict(zip(row.score.columns, _cells(row.score), strict=True)),
            "mean": percent(row.score.headline),
        }
        for row in rows
    ]
    score = table.floors
    for name, values in score.floors_by_label.items() if floors else ():
        cells = dict(zip(score.columns, map(percent, values), strict=True))
        lines.append({"model": f"*floor: {name}*", "preset": "", **cells, "mean": percent(score.floors[name])})
    return table_text(lines)


def fold_table(rows: Sequence[BoardRow]) -> str:
    """Return the score of each fold, and their standard deviation."""
    folds = tuple(dict.fromkeys(fold for row in rows for fold in row.score.by_fold))
    lines = []
    for row in rows:
        values = [value for value in row.score.by_fold.values() if not math.isnan(value)]
        spread = None
        if len(values) > 1:
            mean = sum(values) / len(values)
            spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        scores = {markdown(fold): percent(row.score.by_fold.get(fold)) for fold in folds}
        lines.append({**row_names(row), **scores, "sd over folds": percent(spread)})
    return table_text(lines)


def making_table(rows: Sequence[BoardRow], *, reasons: bool = False) -> str:
    """Return how each row was made: seeds, rules, denominators, data and weights."""
    return table_text([making_cells(row, reasons) for row in rows])


def reported_table(table: ReportedTable, levels: Levels, measured: Mapping[str, BoardRow] | None = None) -> str:
    """Return a printed table; bold and italic stand for its marks of the best and the second best.

    Args:
        table: what is printed.
        levels: predictors that see nothing, in percent: the better constant is the floor, and cells that equal a
            constant are marked `(c0)` or `(c1)`; empty if not known.
        measured: printed method -> the row of its model plugin on licensed data.
    """
    lines = []
    best = best_constant({name: level.mean for name, level in levels.items()})
    constants = equal_constants(table, levels)
    shown = [column for column in table.columns if column != MEAN]
    name = NAMES.get(table.metric, table.metric)
    for row in table.rows:
        line = {"method": markdown(f"{row.method} {row.reference}".strip())}
        if any(item.venue for item in table.rows):
            line["venue"] = markdown(row.venue)
        for column in shown:
            name_of = constants.get((row.method, column))
            line[markdown(column)] = _printed(row, column, table) + (f" ({SHORT[name_of]})" if name_of else "")
        line[f"mean {name}" if shown and table.metric != "uar" else name] = _printed(row, MEAN, table)
        if best is not None:
            line["above floor"] = f"{row.cells[MEAN] - best[1]:+.2f}" if MEAN in row.cells else ""
        line |= _beside(row, table)
        if any(item.model for item in table.rows):
            line["plugin"] = markdown(row.model)
            found = (measured or {}).get(row.method)
            line["measured"] = "n/a" if found is None else marked(found.score) if row.model else ""
        if any(item.note for item in table.rows):
            line["note"] = markdown(row.note)
        lines.append(line)
    return table_text(lines)


def row_names(row: BoardRow) -> dict[str, str]:
    """Return the cells `model` and `preset`, the latter with the settings that tell equal rows apart."""
    preset = "; ".join(part for part in (row.entry.run.preset, row.difference) if part)
    return {"model": markdown(row.entry.run.model), "preset": markdown(preset)}


def marked(score: Score) -> str:
    """The headline with all that must stand beside it: no cell of a page holds a bare one."""
    return " ".join([f"**{percent(score.headline)}**", *(f"({mark})" for mark in score.marks)])


def making_cells(row: BoardRow, reasons: bool) -> dict[str, str]:
    """Return how a row was made; with `reasons` also why it is not ranked."""
    unit, score = row.entry.first, row.score
    line = {**row_names(row)}
    if reasons:
        line["why not ranked"] = row.entry.not_ranked or f"protocol version {row.entry.run.protocol_version}"
    return line | {
        "seeds": str(len(score.seeds)),
        score.samples: str(score.n_frames),
        **_n_scored(score),
        "subjects": str(score.n_subjects),
        "dropped": str(score.n_dropped) + _dropped_frames(row),
        "no face": str(score.n_no_face),
        "selection": unit.selection,
        "threshold": unit.threshold,
        "pretrained on": markdown(unit.pretrained_on or "nothing"),
        "extra data": markdown(", ".join(filter(None, (unit.extra_data, APEX * unit.uses_apex))) or "none"),
        "parameters": "" if unit.parameters is None else str(unit.parameters),
        "data verified": {True: "yes", False: "**no**", None: "n/a"}[unit.data.verified],
        "run": markdown(row.entry.folder),
    }


def _dropped_frames(row: BoardRow) -> str:
    """Frames left out of clips that have others; every fold counts them all."""
    most = max(unit.n_dropped_frames for unit in row.entry.units)
    return f", and {most:,} {'frame' if most == 1 else 'frames'} of others" if most else ""


def _n_scored(score: Score) -> dict[str, str]:
    """Rows with a label where their published number is known; that of a stand-in means nothing."""
    if score.n_published is None:
        return {}
    return {"n_scored": f"{score.n_scored:,}" + f" of {score.n_published:,}" * score.licensed}


def verdict_list(findings: Sequence[Finding]) -> str:
    """Return what the audit found: all that is wrong or low, and how much holds."""
    holds = sum(finding.verdict in ("holds", "rounding") for finding in findings)
    names = {"contradicted": "**Contradicted**", "rounding": "Rounding", "low": "**Low**", "holds": "Holds"}
    order = list(names)
    shown = [f for f in findings if f.verdict != "holds" or f.kind == "claim"]
    ordered = sorted(shown, key=lambda finding: order.index(finding.verdict))
    lines = [f"{holds} of {len(findings)} checks hold."]
    lines += ["", *(f"- {names[f.verdict]} ({f.kind}): {markdown(f.text)}" for f in ordered)] if ordered else []
    return "\n".join(lines)


def _beside(row: ReportedRow, table: ReportedTable) -> dict[str, str]:
    """Return the cells that only some tables have: other metrics, folds, costs and selection."""
    line = {}
    for name in table.metrics:
        value = row.metrics.get(name)
        line[NAMES.get(name, name)] = "n/a" if value is None else f"{value:.{table.decimals}f}"
    if any(item.n_folds for item in table.rows):
        named = f" ({', '.join(row.folds)})" if row.folds else ""
        line["folds"] = markdown("n/a" if row.n_folds is None else f"{row.n_folds}{named}")
    if any(item.cost for item in table.rows):
        line[markdown(table.cost)] = "n/a" if row.cost is None else f"{row.cost:g}"
    if any(item.selection for item in table.rows):
        line["selection"] = markdown(row.selection or "not stated")
    return line


def _headline(row: BoardRow) -> dict[str, str]:
    score = row.score
    others: dict[str, Any] = {**score.others}
    more: dict[str, Any] = {**score.metrics, **row.score_metrics}
    return {
        "rank": "" if row.rank is None else str(row.rank),
        **row_names(row),
        NAMES.get(score.metric, score.metric): marked(score),
        "95 % interval": interval_text(score.interval),
        "sd over seeds": percent(score.seed_sd),
        **{name: percent(value) for name, value in others.items()},
        **{NAMES.get(name, name): percent(value) for name, value in more.items()},
        "degenerate": markdown(", ".join(f"{label} {what}" for label, what in score.degenerate.items()) or "none"),
    }


def _floor_line(like: dict[str, str], score: Score, name: str) -> dict[str, str]:
    line = dict.fromkeys(like, "")
    line |= {"rank": "floor", "model": f"*{name}*", NAMES.get(score.metric, score.metric): percent(score.floors[name])}
    return line


def _cells(score: Score) -> list[str]:
    most = max(score.n_defined)
    return [
        percent(value) if count == most and count else f"{percent(value)} ({count})"
        for value, count in zip(score.by_label, score.n_defined, strict=True)
    ]


def _printed(row: ReportedRow, column: str, table: ReportedTable) -> str:
    if column not in row.cells:
        return "n/a"
    text = f"{row.cells[column]:.{table.decimals}f}"
    mark = "**" if column in row.bold else "*" if column in row.underlined else ""
    return f"{mark}{text}{mark}"
