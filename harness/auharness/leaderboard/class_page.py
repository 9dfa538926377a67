"""What the page of a protocol over classes says in other words than that of one over AUs."""

from auharness.api import ProtocolPlugin
from auharness.leaderboard.class_tables import (
    average_table,
    class_headline_table,
    class_making_table,
    confusion_details,
    recall_table,
)
from auharness.leaderboard.published import published_floors, published_tests
from auharness.leaderboard.rows import ALPHA, BoardTable
from auharness.leaderboard.tables import NAMES, fold_table, percent
from auharness.metrics import metric
from auharness.statistics import DRAWS, resamples_clips

__all__ = ["class_floors", "class_notes", "class_rows", "scores_classes"]


def scores_classes(protocol: ProtocolPlugin) -> bool:
    """Return whether a protocol's labels are classes of which one holds."""
    return metric(protocol.headline).needs == "confusion"


def class_rows(table: BoardTable) -> list[str]:
    """Return the measured rows of one data set as markdown."""
    parts = []
    if table.rows:
        parts.append(class_headline_table(table, table.rows))
        parts += [f"Rank n/a: {why}." for why in dict.fromkeys(row.untested for row in table.rows) if why]
        if len(table.floors.folds) > 1:
            parts += ["Averaged over the folds, and from the counts of all folds:", average_table(table.rows)]
        parts += ["Recall of each class:", recall_table(table.rows)]
        if len(table.floors.folds) > 1:
            name = NAMES.get(table.floors.metric, table.floors.metric)
            parts += [f"{name} of each fold:", fold_table(table.rows)]
        parts.append("Rows of a confusion matrix are true classes; counts, and in brackets percent of the true class.")
        parts += [confusion_details(row) for row in table.rows]
        parts += ["How each row was made:", class_making_table(table.rows)]
    if table.unranked:
        parts += [
            "#### Incomplete, not ranked",
            class_headline_table(table, table.unranked, floors=False),
            class_making_table(table.unranked, reasons=True),
        ]
    return parts


def class_floors(protocol: ProtocolPlugin) -> str:
    """Return one sentence with the floors of the headline and of WAR on the published counts; empty if not known."""
    names = [name for name in (protocol.headline, "war") if name in protocol.metrics]
    by_metric = {name: published_floors(type(protocol), name) for name in dict.fromkeys(names)}
    if not all(by_metric.values()):
        return ""
    shown = [
        f"{floor} "
        + ", ".join(f"{percent(values[floor])} {NAMES.get(name, name)}" for name, values in by_metric.items())
        for floor in by_metric[protocol.headline]
    ]
    clips = sum(count for sizes in published_tests(type(protocol)).values() for count in sizes.values())
    return f"Floors from the published counts of {clips:,} test clips: {'; '.join(shown)}."


def class_notes(protocol: ProtocolPlugin) -> list[str]:
    """Return the lines of How to read that are about score, interval, rank, selection and floors."""
    name = NAMES.get(protocol.headline, protocol.headline)
    clips = resamples_clips(metric(protocol.headline), protocol.cluster)
    unit = "clips" if clips else "subjects"
    films = " Source clusters (films) are unknown, so the interval is too narrow." if clips else ""
    interval = "percentile bootstrap over clips within fold and true class" if clips else "studentised bootstrap"
    marks = "".join(f" `({mark})` stands beside every score of this protocol." for mark in protocol.marks)
    return [
        f"- **Score**: {name} in percent, the mean recall of the classes, {AVERAGE[protocol.aggregation]}. WAR is the "
        "share of correct clips, macro-F1 and weighted-F1 are means of F1 over classes; all scores of a row come from "
        "the same epoch. A class without a sample leaves the mean, it does not count as 0. `(1 seed)` marks a score "
        f"whose spread over training runs is not known.{marks}",
        "- **Row**: the newest complete attempt of a configuration with all its seeds, never the best one. Smoke runs "
        "and runs with fewer folds than the protocol has are listed apart.",
        f"- **Interval**: 95 %, {interval} ({DRAWS:,} draws; answers of several seeds to a clip stay together). It "
        f"says nothing about training noise.{films}",
        f"- **Rank**: shared where a paired test over {unit} ({DRAWS:,} exchanges) does not separate a row from the "
        f"first of its rank at {ALPHA} / (rows - 1)."
        + (
            " Clips of one film count as independent, so it separates too easily. Committed records hold sums of clips "
            "and allow no such test: `n/a`."
            if clips
            else ""
        ),
        "- **Selection**: which epoch is scored. `last`: fixed number of epochs; `inner-val`: chosen on held-out "
        "training clips; `test-oracle`: chosen on the test part, as in most of the reported rows, and never ranked.",
        "- **Floors**: `majority` always names the most frequent class of the training part, `random-prior` draws "
        "classes at their training shares.",
    ]


AVERAGE = {
    "fold-mean": "averaged over the folds; `pooled` divides the counts of all folds once",
    "pooled": "from the counts of all folds",
    "subject-mean": "averaged over subjects",
}
