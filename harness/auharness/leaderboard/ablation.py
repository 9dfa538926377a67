"""Ablations: what the paper prints for each variant, what was measured, and each step between rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import InconclusiveError
from auharness.leaderboard.entries import Entry, newest, read_entries
from auharness.leaderboard.escape import markdown
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.reported import MEAN, ReportedTable, read_reported
from auharness.leaderboard.rows import BoardRow, BoardTable, make_tables, paired_counts
from auharness.leaderboard.tables import interval_text, percent, table_text
from auharness.metrics import metric
from auharness.results.atomic import write_bytes
from auharness.scoring import fold_counts
from auharness.statistics import holm

__all__ = ["Ablation", "ablation_section", "measured_ablations", "write_ablation"]


@dataclass(frozen=True)
class Ablation:
    """One printed ablation with what was measured, on one data set version and from one size of the model."""

    model: str
    table: ReportedTable | None
    variants: tuple[str, ...]
    origin: str
    """`licensed`, `synthetic`, or empty where nothing was measured."""
    base: str
    """Presets beside the variant, e.g. `tiny`, and the size of a stand-in."""
    rows: dict[str, BoardRow]
    """Variant -> newest measured row."""
    p_values: dict[str, float]
    """Variant -> p-value of its step from the variant above, adjusted by Holm over the steps."""


def write_ablation(runs: Path, protocol: str, model: str) -> Path:
    """Write the ablation page of a model to `leaderboard/<protocol>.<model>.ablation.md` below a runs folder.

    Raises:
        UsageError: if no plugin has one of the names.
    """
    plugin = registry.load("protocol", protocol)
    variants = tuple(registry.load("model", model).variants)
    entries, _ = read_entries(runs, protocol=protocol)
    memory = Memory(runs / "leaderboard" / ".memory" / f"{protocol}.{model}.ablation.json")
    own = [entry for entry in newest(entries) if entry.run.model == model]
    tables = [t for t in read_reported(plugin) if t.kind == "ablation" and any(row.model == model for row in t.rows)]
    made = _ablations(plugin(), own, model, tables[0] if tables else None, variants, memory)
    parts = [f"# {protocol}: variants of {markdown(model)}"]
    for ablation in made:
        parts += ablation_section(ablation)
    path = runs / "leaderboard" / f"{protocol}.{model}.ablation.md"
    write_bytes(path, ("\n\n".join(parts) + "\n").encode())
    memory.save()
    return path


def measured_ablations(
    protocol: ProtocolPlugin, entries: Iterable[Entry], reported: Sequence[ReportedTable], *, memory: Memory
) -> list[Ablation]:
    """Return every reported ablation with the measured rows of its variants."""
    listed = list(entries)
    found = []
    for table in reported:
        if table.kind == "ablation":
            model = next(row.model for row in table.rows)
            own = [entry for entry in listed if entry.run.model == model]
            variants = tuple(row.variant for row in table.rows)
            found += _ablations(protocol, own, model, table, variants, memory)
    return found


def ablation_section(ablation: Ablation) -> list[str]:
    """Return the section of one ablation as markdown paragraphs."""
    title = f"## Ablation of {markdown(ablation.model)}"
    if ablation.table is not None:
        title += f": {markdown(ablation.table.table)}"
    if ablation.origin:
        title += f", measured on {'licensed data' if ablation.origin == 'licensed' else 'the synthetic stand-in'}"
        title += f" ({markdown(ablation.base)})"
    parts = [title]
    if ablation.table is not None:
        note = f" Note: {markdown(ablation.table.note)}." if ablation.table.note else ""
        parts.append(f"Reported: {markdown(ablation.table.citation)}, <{ablation.table.link}>.{note}")
    if ablation.origin == "synthetic":
        parts.append("The measured columns are not comparable with the reported ones: these faces are rendered.")
    parts += [
        table_text(_lines(ablation)),
        "A step is the difference from the row above, in points. `p` belongs to the paired test over subjects of the "
        "measured step, adjusted by Holm over all steps.",
    ]
    return parts


def _ablations(
    protocol: ProtocolPlugin,
    entries: list[Entry],
    model: str,
    table: ReportedTable | None,
    variants: tuple[str, ...],
    memory: Memory,
) -> list[Ablation]:
    """One ablation for each data set version and base preset that was measured; one without measured rows if none."""
    made = []
    for board in make_tables(protocol, entries, memory=memory):
        for base, rows in _by_base(board, variants).items():
            shown = f"{base}; {board.size}" if board.size else base
            p_values = _step_tests(protocol, [rows[name] for name in variants if name in rows], memory)
            steps = dict(zip([name for name in variants if name in rows][1:], p_values, strict=True))
            made.append(Ablation(model, table, variants, board.origin, shown, rows, steps))
    return made or [Ablation(model, table, variants, "", "", {}, {})]


def _by_base(board: BoardTable, variants: Sequence[str]) -> dict[str, dict[str, BoardRow]]:
    """Return rows by the presets beside the variant, then by variant; rows with settings of their own are left out."""
    found: dict[str, dict[str, BoardRow]] = {}
    for row in board.rows:
        presets = row.entry.run.preset.split(",")
        inside = [name for name in presets if name in variants]
        if len(inside) == 1:
            base = ",".join(name for name in presets if name not in variants)
            same = found.setdefault(base, {})
            if inside[0] not in same or row.entry.written > same[inside[0]].entry.written:
                same[inside[0]] = row
    return found


def _step_tests(protocol: ProtocolPlugin, rows: Sequence[BoardRow], memory: Memory) -> list[float]:
    """Return the p-value of each step, adjusted by Holm; 1 where two rows do not test the same subjects."""
    how: Any = protocol.aggregation  # `aggregate` refuses an unknown one
    raw = {}
    for number, (above, row) in enumerate(pairwise(rows)):
        pair = paired_counts(
            fold_counts(row.entry.units), len(row.entry.seeds), fold_counts(above.entry.units), len(above.entry.seeds)
        )
        try:
            raw[str(number)] = memory.p_value(*pair, metric=metric(protocol.headline), how=how)
        except InconclusiveError:
            raw[str(number)] = 1.0
    adjusted = holm(raw)
    return [adjusted[name] for name in raw]


def _lines(ablation: Ablation) -> list[dict[str, str]]:
    lines, measured_before, reported_before = [], None, None
    printed = {row.variant: row for row in ablation.table.rows} if ablation.table else {}
    for variant in ablation.variants:
        line = {"variant": markdown(variant)}
        if ablation.table is not None:
            row = printed.get(variant)
            value = None if row is None else row.cells.get(MEAN)
            line["method"] = markdown(row.method) if row else ""
            line["reported"] = "n/a" if value is None else f"{value:.{ablation.table.decimals}f}"
            line["reported step"] = _step(value, reported_before, ablation.table.decimals)
            reported_before = value
        measured = ablation.rows.get(variant)
        score = None if measured is None else 100 * measured.score.headline
        line["measured"] = "n/a" if measured is None else percent(measured.score.headline)
        line["95 % interval"] = "n/a" if measured is None else interval_text(measured.score.interval)
        line["measured step"] = _step(score, measured_before, 2)
        line["p"] = f"{ablation.p_values[variant]:.4f}" if variant in ablation.p_values else ""
        measured_before = score if score is not None else measured_before
        lines.append(line)
    return lines


def _step(value: float | None, before: float | None, digits: int) -> str:
    return "" if value is None or before is None else f"{value - before:+.{digits}f}"
