"""Ablations: what the paper prints for each variant, what was measured, and each step between rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    origin: str = ""
    """`licensed`, `synthetic`, or empty where nothing was measured."""
    base: str = ""
    """Presets beside the variant, e.g. `tiny`, and the size of a stand-in."""
    rows: dict[str, BoardRow] = field(default_factory=dict)
    """Variant -> newest measured row."""
    p_values: dict[str, float] = field(default_factory=dict)
    """Variant -> p-value of its step, adjusted by Holm over the steps."""
    reference: str = ""
    """Variant from which each step is measured; empty: from the one above."""


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
    made = _model_ablations(plugin(), model, own, tables=tables, variants=variants, memory=memory)
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
    listed, found = list(entries), []
    tables = [table for table in reported if table.kind == "ablation"]
    for model in dict.fromkeys(next(row.model for row in table.rows) for table in tables):
        own = [entry for entry in listed if entry.run.model == model]
        printed = [table for table in tables if table.rows[0].model == model]
        variants = tuple(dict.fromkeys(row.variant for table in printed for row in table.rows))
        found += _model_ablations(protocol, model, own, tables=printed, variants=variants, memory=memory)
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
    origin = f"the variant {markdown(ablation.reference)}" if ablation.reference else "the row above"
    parts += [
        table_text(_lines(ablation)),
        f"A step is the difference from {origin}, in points. `p` belongs to the paired test over subjects of the "
        "measured step, adjusted by Holm over all steps.",
    ]
    return parts


def _model_ablations(
    protocol: ProtocolPlugin,
    model: str,
    entries: list[Entry],
    *,
    tables: Sequence[ReportedTable],
    variants: tuple[str, ...],
    memory: Memory,
) -> list[Ablation]:
    """Every printed ablation of a model with what was measured at its settings, then what no printed one stands for."""
    found: list[Ablation] = []
    for table in tables:
        empty = Ablation(model, table, variants, reference=_reference(table))
        own = [entry for entry in entries if _has(entry, table.setting)]
        found += _measured(protocol, own, empty, memory) or [empty]
    rest = [entry for entry in entries if not any(_has(entry, table.setting) for table in tables)]
    empty = Ablation(model, None, variants, reference=_reference(tables[0]) if tables else "")
    return found + (_measured(protocol, rest, empty, memory) or ([] if tables else [empty]))


def _measured(protocol: ProtocolPlugin, entries: list[Entry], empty: Ablation, memory: Memory) -> list[Ablation]:
    """One ablation for each data set version and base preset that was measured."""
    made = []
    for board in make_tables(protocol, entries, memory=memory):
        for base, rows in _by_base(board, empty.variants).items():
            shown = f"{base}; {board.size}" if board.size else base
            pairs = _pairs([name for name in empty.variants if name in rows], empty.reference)
            p_values = _step_tests(protocol, [(rows[first], rows[second]) for first, second in pairs], memory)
            steps = dict(zip([second for _, second in pairs], p_values, strict=True))
            made.append(replace(empty, origin=board.origin, base=shown, rows=rows, p_values=steps))
    return made


def _reference(table: ReportedTable) -> str:
    """The variant from which the steps of a printed ablation are measured; empty: from the row above."""
    return next((row.variant for row in table.rows if row.method == table.against), "")


def _has(entry: Entry, setting: Mapping[str, str]) -> bool:
    """Whether a run has the settings that a printed table stands for."""
    return all(str(entry.first.settings.get(key)) == value for key, value in setting.items())


def _pairs(variants: Sequence[str], reference: str) -> list[tuple[str, str]]:
    """Return, for each step, the variant it starts from and the one it leads to."""
    if not reference:
        return list(pairwise(variants))
    return [(reference, name) for name in variants if name != reference and reference in variants]


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


def _step_tests(protocol: ProtocolPlugin, pairs: Sequence[tuple[BoardRow, BoardRow]], memory: Memory) -> list[float]:
    """Return the p-value of each step, adjusted by Holm; 1 where two rows do not test the same subjects."""
    how: Any = protocol.aggregation  # `aggregate` refuses an unknown one
    raw = {}
    for number, (above, row) in enumerate(pairs):
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
    lines, table = [], ablation.table
    printed = {row.variant: row.cells.get(MEAN) for row in table.rows} if table else {}
    measured = {name: 100 * row.score.headline for name, row in ablation.rows.items()}
    own, start = [name for name in ablation.variants if name in measured], ablation.reference
    reported_from = {second: first for first, second in _pairs(ablation.variants, start)}
    measured_from = {second: first for first, second in _pairs(own, start)}
    for variant in ablation.variants:
        line = {"variant": markdown(variant)}
        if table is not None:
            line["method"] = markdown(next((row.method for row in table.rows if row.variant == variant), ""))
            value = printed.get(variant)
            line["reported"] = "n/a" if value is None else f"{value:.{table.decimals}f}"
            line["reported step"] = _step(value, printed.get(reported_from.get(variant, "")), table.decimals)
        row = ablation.rows.get(variant)
        line["measured"] = "n/a" if row is None else percent(row.score.headline)
        line["95 % interval"] = "n/a" if row is None else interval_text(row.score.interval)
        line["measured step"] = _step(measured.get(variant), measured.get(measured_from.get(variant, "")), 2)
        line["p"] = f"{ablation.p_values[variant]:.4f}" if variant in ablation.p_values else ""
        lines.append(line)
    return lines


def _step(value: float | None, before: float | None, digits: int) -> str:
    return "" if value is None or before is None else f"{value - before:+.{digits}f}"
