"""Markdown tables of rows over classes: the headline with WAR beside it, both averages, recalls and confusions."""

from collections.abc import Sequence

import numpy as np

from auharness.leaderboard.escape import markdown
from auharness.leaderboard.rows import BoardRow, BoardTable
from auharness.leaderboard.tables import NAMES, interval_text, making_cells, marked, percent, row_names, table_text
from auharness.metrics import normalise_rows

__all__ = ["average_table", "class_headline_table", "class_making_table", "confusion_details", "recall_table"]

MEAN_OF_FOLDS = "mean-of-folds"


def class_headline_table(table: BoardTable, rows: Sequence[BoardRow], *, floors: bool = True) -> str:
    """Return rank, score, the other metrics beside it, interval and selection rule; floors at the end."""
    lines = []
    for row in rows:
        score = row.score
        metrics = {NAMES.get(name, name): percent(value) for name, value in score.metrics.items()}
        lines.append(
            {
                "rank": ("n/a" if row.untested else "") if row.rank is None else str(row.rank),
                **row_names(row),
                NAMES.get(score.metric, score.metric): marked(score),
                "95 % interval": interval_text(score.interval),
                "sd over seeds": percent(score.seed_sd),
                **metrics,
                "selection": row.entry.first.selection,
            }
        )
    if all(row.score.seed_sd is None for row in rows):
        for line in lines:
            del line["sd over seeds"]
    best = table.floors
    for name, value in best.floors.items() if floors else ():
        more = {NAMES.get(key, key): percent(floor) for key, floor in best.floors_of_metrics[name].items()}
        own = {"rank": "floor", "model": f"*{name}*", NAMES.get(best.metric, best.metric): percent(value)}
        lines.append({**dict.fromkeys(lines[0], ""), **own, **more})
    return table_text(lines)


def average_table(rows: Sequence[BoardRow]) -> str:
    """Return every metric as the mean of the folds and from the confusion matrices added up over the folds."""
    lines = []
    for row in rows:
        score, line = row.score, row_names(row)
        own = {score.metric: score.headline, **score.metrics}
        means = own if score.aggregation == "fold-mean" else {}
        for name, pooled in score.metrics_pooled.items():
            shown = NAMES.get(name, name)
            line[f"{shown} {MEAN_OF_FOLDS}"] = percent(means.get(name))
            line[f"{shown} pooled"] = percent(pooled)
        lines.append(line)
    return table_text(lines)


def recall_table(rows: Sequence[BoardRow]) -> str:
    """Return the recall of each class, under the headline's aggregation."""
    return table_text(
        [
            {**row_names(row), **{markdown(name): percent(value) for name, value in row.score.label_scores.items()}}
            for row in rows
        ]
    )


def class_making_table(rows: Sequence[BoardRow], *, reasons: bool = False) -> str:
    """Return how each row was made; samples are clips, and nothing has a threshold."""
    lines = []
    for row in rows:
        cells = making_cells(row, reasons)
        lines.append({name: value for name, value in cells.items() if name not in ("subjects", "threshold")})
    return table_text(lines)


def confusion_details(row: BoardRow) -> str:
    """Return the confusion matrix of all folds of a row as a block that is closed until it is opened.

    Cells are counts, summed over folds and seeds, with their share of the true class in percent.
    """
    score = row.score
    total = np.sum([np.array(matrix) for matrix in score.confusion.values()], axis=0)
    names = row_names(row)
    folds = "1 fold" if len(score.folds) == 1 else f"{len(score.folds)} folds pooled"
    seeds = "" if len(score.seeds) == 1 else f", summed over {len(score.seeds)} seeds"
    lines = []
    for name, counts, shares in zip(score.classes, total, normalise_rows(total), strict=True):
        cells = (f"{count} ({percent(share, 1)})" for count, share in zip(counts, shares, strict=True))
        predicted = dict(zip(map(markdown, score.classes), cells, strict=True))
        lines.append({"true": markdown(name), **predicted, "clips": str(int(counts.sum()))})
    title = f"Confusion matrix of {names['model']}, {names['preset']}: {folds}, {score.tested}{seeds}"
    return f"<details><summary>{title}</summary>\n\n{table_text(lines)}\n\n</details>"
