"""The page of a protocol as markdown: measured rows, floors, reported rows with their audit, and how to read them."""

from auharness.api import ProtocolPlugin
from auharness.leaderboard.ablation_page import ablation_section, picture_link
from auharness.leaderboard.audit import NEAR_FLOOR
from auharness.leaderboard.class_page import class_floors, class_notes, class_rows, scores_classes
from auharness.leaderboard.cost import cost_picture, cost_section, drawn
from auharness.leaderboard.escape import markdown
from auharness.leaderboard.levels import best_constant, equal_constants
from auharness.leaderboard.page import Page
from auharness.leaderboard.published import published_source
from auharness.leaderboard.reported import ReportedTable
from auharness.leaderboard.rows import ALPHA, BoardTable
from auharness.leaderboard.tables import (
    NAMES,
    SHORT,
    fold_table,
    headline_table,
    label_table,
    making_table,
    percent,
    reported_table,
    verdict_list,
)
from auharness.leaderboard.usual import data_settings
from auharness.metrics import objective
from auharness.results.looks import Looks
from auharness.scoring import sample_word
from auharness.statistics import CHANCE_DRAWS, DRAWS, ORACLE_GRID

__all__ = ["page_text"]

MOST_FOLDS = 10
"""Folds that a page lists; where each subject is one, most of their scores mean nothing."""

AGGREGATION = {
    "fold-mean": "mean over labels in each fold, then over folds",
    "pooled": "counts of all folds summed, then the mean over labels",
    "subject-mean": "mean over labels for each subject, then over subjects",
}


UNITS = {"subject": ("subjects", "people"), "video": ("videos", "videos")}
"""Sampling unit -> what is drawn, and what the interval speaks of."""


def page_text(page: Page, *, head: str = "", pictures: bool = False) -> str:
    """Return the page as markdown.

    Args:
        page: what stands on it.
        head: a first line, such as a remark that the file is generated.
        pictures: link the pictures of measured ablations and of costs, which are drawn beside the page.
    """
    protocol = page.protocol
    parts = [head] if head else []
    parts += [f"# {protocol.name}", _about(protocol), "## Measured"]
    if not page.tables:
        model = next((printed.own_model for printed in page.reported if printed.own_model), "au-ttt")
        parts.append(f"No run yet. Start one: `auharness run --model {model} --protocol {protocol.name}`")
    for table in page.tables:
        twins = sum((other.origin, other.size) == (table.origin, table.size) for other in page.tables)
        parts += _measured(table, page.looks.get(table.part), show_digest=twins > 1)
    results = [printed for printed in page.reported if printed.kind == "results"]
    if results:
        parts.append("## Reported")
        floors = class_floors(protocol) if scores_classes(protocol) else ""
        parts += [floors] if floors else []
    for printed in results:
        parts += _reported(page, printed)
    for model in dict.fromkeys(ablation.model for ablation in page.ablations):
        own = [ablation for ablation in page.ablations if ablation.model == model]
        parts += [text for ablation in own for text in ablation_section(ablation)]
        parts += [picture_link(protocol.name, model)] if pictures and any(ablation.rows for ablation in own) else []
    for printed in page.reported:
        if printed.kind == "ablation":
            parts += [f"### Audit of {markdown(printed.table)}", verdict_list(page.audit(printed))]
    lines = page.cost_lines()
    picture = cost_picture(protocol.name) if pictures and drawn(lines) else ""
    parts += cost_section(protocol, lines, picture=picture, board=pictures)
    parts += ["## How to read", _how_to_read(page)]
    if page.broken:
        names = ", ".join(markdown(name) for name in page.broken)
        parts.append(f"Not readable and left out: {names} (see `auharness store verify`).")
    return "\n\n".join(parts) + "\n"


def _about(protocol: ProtocolPlugin) -> str:
    train, test = " and ".join(protocol.train_on), " and ".join(protocol.test_on)
    where = f"trained and tested on {train}" if train == test else f"trained on {train}, tested on {test}"
    labels = ", ".join(markdown(column) for column in protocol.columns)
    paper = f" {markdown(protocol.paper)}." if protocol.paper else ""
    return f"Version {protocol.version}: {where}; scored labels: {labels}.{paper}"


def _measured(table: BoardTable, looks: Looks | None, *, show_digest: bool) -> list[str]:
    version = f", version {table.digest}" if show_digest else ""
    if table.origin == "licensed":
        parts = [f"### Licensed data{version}"]
    else:
        parts = [
            f"### Synthetic stand-in, {table.size or 'size not recorded'}{version}",
            "Not comparable with reported numbers, nor with other sizes: these faces are rendered.",
        ]
    read = _data_settings(table)
    if read:
        parts.append(read)
    if looks is not None:
        parts.append(f"T{markdown(str(looks))[1:]}.")
    return parts + (class_rows(table) if table.floors.classes else _rows(table))


def _data_settings(table: BoardTable) -> str:
    """Return how the data were read where that is not the default: one sentence, rows named where they differ."""
    by_text: dict[str, list[str]] = {}
    for row in (*table.rows, *table.unranked):
        by_text.setdefault(data_settings(row.entry.first.data.settings), []).append(row.name)
    if set(by_text) == {""}:
        return ""
    if len(by_text) == 1:
        return f"Settings of the data: {markdown(next(iter(by_text)))}."
    found = [f"{text or 'default'} for {', '.join(sorted(names))}" for text, names in sorted(by_text.items())]
    return f"Settings of the data: {markdown('; '.join(found))}."


def _rows(table: BoardTable) -> list[str]:
    parts = []
    if table.rows:
        parts += [headline_table(table, table.rows)]
        if len(table.floors.columns) > 1:
            parts += ["Score of each label:", label_table(table, table.rows)]
        if len(table.floors.folds) > MOST_FOLDS:
            parts.append(f"The scores of the {len(table.floors.folds)} folds stand in the json file beside this page.")
        elif len(table.floors.folds) > 1:
            parts += ["Score of each fold:", fold_table(table.rows)]
        parts += ["How each row was made:", making_table(table.rows)]
    if table.unranked:
        parts += [
            "#### Incomplete, not ranked",
            headline_table(table, table.unranked, floors=False),
            making_table(table.unranked, reasons=True),
        ]
    return parts


def _reported(page: Page, table: ReportedTable) -> list[str]:
    levels = page.levels(table)
    note = f" Note: {markdown(table.note)}." if table.note else ""
    link = f", <{table.link}>" if table.link else ""
    lines = [
        f"### {markdown(table.table)}",
        f"Printed in {markdown(table.citation)}{link}. Selection rule: {markdown(table.selection)}. "
        f"Threshold: {markdown(table.threshold)}. Aggregation: {markdown(table.aggregation)}.{note}",
        reported_table(table, levels, page.measured(table)),
    ]
    if any(row.model for row in table.rows):
        lines.append(
            "`plugin` is our version of a method, `measured` its newest complete row on licensed data, at the settings "
            "of the preset `paper`."
        )
    if table.marked:
        second = ", *italic* marked second best (underlined in print)" if table.seconds else ""
        lines.append(f"As printed: **bold** is marked best{second}.")
    remarks = [f"- {markdown(row.method)}: {markdown(' '.join(row.remarks))}" for row in table.rows if row.remarks]
    if remarks:
        lines.append("\n".join(remarks))
    best = best_constant(page.floors)
    if best is not None:
        shown = ", ".join(f"{name} {percent(value)}" for name, value in page.floors.items())
        source = published_source(type(page.protocol))
        lines.append(f"Floors from {source}: {shown}; `above floor` is against {best[0]}.")
    found = set(equal_constants(table, levels).values())
    if found:
        listed = ", ".join(f"`({short})`: {name}" for name, short in SHORT.items() if name in found)
        lines.append(f"Cells that are the score of a constant predictor to the printed digit: {listed}.")
    findings = page.audit(table)
    if findings:
        lines += [f"#### Audit of {markdown(table.table)}, computed from its cells", verdict_list(findings)]
    return lines


def _how_to_read(page: Page) -> str:
    protocol = page.protocol
    own = class_notes(protocol) if scores_classes(protocol) else _notes(protocol)
    return "\n".join(
        [
            *own,
            "- **Looked at**: configurations (settings, weights, code, version and settings of the data) of which a "
            "score on this test part lies in the records behind this page, also of rows that are not shown. More "
            "seeds, more folds and repeated or resumed runs count once. The more looks, the more the best row owes to "
            "choosing among them.",
            f"- **Data verified**: whether {sample_word(protocol)} and positives equal the published counts.",
            "- **Reported** rows are printed numbers: their preparation, selection and thresholds are mostly unknown.",
        ]
    )


def _notes(protocol: ProtocolPlugin) -> list[str]:
    """The lines of How to read that are about score, interval, rank, selection and floors."""
    name = NAMES.get(protocol.headline, protocol.headline)
    unit, others = UNITS.get(protocol.cluster, UNITS["subject"])
    scored = [] if protocol.n_published is None else [_n_scored(protocol.n_published)]
    return [
        f"- **Score**: {name} in percent, {AGGREGATION[protocol.aggregation]}; the other aggregations stand beside "
        "it. `n/a` is undefined, never 0; `(2)` after a score counts the folds that define it, where some do not; "
        "`(1 seed)` marks a headline whose spread over training runs is not known.",
        "- **Row**: the newest complete attempt of a configuration with all its seeds, never the best one. Smoke "
        "runs and runs with fewer folds than the protocol has are listed apart.",
        f"- **Interval**: 95 %, studentised bootstrap of the headline over {unit} ({DRAWS:,} draws, counts summed"
        f" over seeds). It says what other {others} of the same kind would score, nothing about training noise.",
        *scored,
        f"- **Rank**: shared where a paired test over {unit} ({DRAWS:,} exchanges) does not separate a row from "
        f"the first of its rank at {ALPHA} / (rows - 1).",
        "- **Selection**: which epoch is scored. `last`: fixed number of epochs; `inner-val`: chosen on held-out "
        "training subjects; `test-oracle`: chosen on the test part, never ranked.",
        "- **Threshold**: `fixed-0.5`: probability 0.5, logit 0; `train-tuned`: best "
        f"{objective(protocol.headline).title} of the training rows.",
        "- **Floors**: `constant-0` says never, `constant-1` always, `random-prior` at the training rate. A score "
        f"within {NEAR_FLOOR:g} point of a floor says little.{_chance(protocol)}",
        "- **Degenerate**: labels of which a row says the same for every test sample; their score is a constant's.",
    ]


def _n_scored(published: int) -> str:
    return (
        f"- **n_scored**: test rows with a coded label that the row answers, of {published:,} published. Dropped "
        "frames change the denominator of every score, so on licensed data another number stands as a mark beside it."
    )


def _chance(protocol: ProtocolPlugin) -> str:
    """What the levels of chance are, for pages that have them."""
    if protocol.aggregation != "pooled":
        return ""
    return (
        f" `-p95` is the 95th percentile over {CHANCE_DRAWS:,} draws: a row below that of `random-prior` is not above "
        f"chance. `random-oracle` gives each sample a random score and each label the best of {len(ORACLE_GRID)} "
        "thresholds on the test labels: what a number with such a choice must exceed."
    )
