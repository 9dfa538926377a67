"""The page of an ablation: reported and measured rows, the step to each, controls, and the picture beside it."""

from collections.abc import Sequence
from pathlib import Path

from auharness import registry
from auharness.errors import DataError
from auharness.leaderboard.ablation import Ablation, model_ablations, steps
from auharness.leaderboard.ablation_figure import ablation_digest, ablation_picture, draw_ablation
from auharness.leaderboard.entries import newest, read_entries
from auharness.leaderboard.escape import markdown
from auharness.leaderboard.figure import is_drawn
from auharness.leaderboard.memory import Memory
from auharness.leaderboard.reported import MEAN, read_reported
from auharness.leaderboard.rows import CLIPS_SUMMED
from auharness.leaderboard.tables import interval_text, percent, table_text
from auharness.results.atomic import write_bytes

__all__ = ["ablation_section", "picture_link", "write_ablation"]

CONTROL = "*control that the paper lacks*"
RANDOM = "none (random weights)"


def write_ablation(runs: Path, protocol: str, model: str) -> tuple[Path, str]:
    """Write the ablation page of a model to `leaderboard/<protocol>.<model>.ablation.md` below a runs folder.

    Its picture is drawn beside it where something was measured.

    Returns:
        The page, and why it has no picture, if so.

    Raises:
        UsageError: if no plugin has one of the names.
    """
    plugin = registry.load("protocol", protocol)
    registry.require("model", model)
    entries, _ = read_entries(runs, protocol=protocol)
    memory = Memory(runs / "leaderboard" / ".memory" / f"{protocol}.{model}.ablation.json")
    tables = [t for t in read_reported(plugin) if t.kind == "ablation" and any(row.model == model for row in t.rows)]
    made = model_ablations(plugin(), model, newest(entries), tables, memory=memory)
    path = runs / "leaderboard" / f"{protocol}.{model}.ablation.md"
    parts, why = [f"# {protocol}: variants of {markdown(model)}"], ""
    if any(ablation.rows for ablation in made):
        why = _draw(path.with_name(ablation_picture(protocol, model)), made)
        parts += [] if why else [picture_link(protocol, model)]
    for ablation in made:
        parts += ablation_section(ablation)
    left_out = sum(entry.run.model == model and bool(entry.not_ranked) for entry in entries)
    if left_out:
        parts.append(f"Left out: {left_out} run(s) cut short (`--limit`, `--max-steps`) or without all folds.")
    write_bytes(path, ("\n\n".join(parts) + "\n").encode())
    memory.save()
    return path, why


def ablation_section(ablation: Ablation) -> list[str]:
    """Return the section of one ablation as markdown paragraphs."""
    table = ablation.table
    title = f"## Ablation of {markdown(ablation.model)}"
    if table is not None:
        title += f": {markdown(table.table)}"
    if ablation.origin:
        title += f", measured on {'licensed data' if ablation.origin == 'licensed' else 'the synthetic stand-in'}"
        title += f" ({markdown(ablation.base)})"
    parts = [title]
    if table is not None:
        note = f" Note: {markdown(table.note)}." if table.note else ""
        link = f", <{table.link}>" if table.link else ""
        parts.append(f"Reported: {markdown(table.citation)}{link}.{note}")
    if ablation.start is not None:
        found, wanted = (markdown(RANDOM if name == "none" else name) for name in ablation.start)
        parts.append(
            f"**Not the paper's starting weights**: `init` is {found} here and {wanted} there. These rows say nothing "
            "of that model, and no reported number stands beside them."
        )
    if ablation.origin == "synthetic":
        with_what = "the reported ones" if table is not None else "reported ones"
        parts.append(f"The measured columns are not comparable with {with_what}: these faces are rendered.")
    origin = f"the variant {markdown(ablation.reference)}" if ablation.reference else "the row above"
    if ablation.controls and not ablation.reference:
        origin += ", of a control from the last variant"
    parts += [
        table_text(_lines(ablation)),
        f"A step is the difference from {origin}, in points. `p` belongs to the paired test over "
        f"{ablation.unit} of the measured step, adjusted by Holm over all steps.",
    ]
    if any(row.score.marks for row in ablation.rows.values()):
        parts[-1] += " Rows of 1 seed: how much training runs differ is not known."
    if any(row.entry.clips_summed for row in ablation.rows.values()):
        parts[-1] += f" `n/a`: {CLIPS_SUMMED}."
    return parts


def picture_link(protocol: str, model: str) -> str:
    """Return the picture as markdown."""
    return f"![Variants of {markdown(model)}, reported and measured]({ablation_picture(protocol, model)})"


def _draw(path: Path, ablations: Sequence[Ablation]) -> str:
    """Draw what is not drawn; return why it cannot be."""
    if is_drawn(path, ablation_digest(ablations)):
        return ""
    try:
        write_bytes(path, draw_ablation(ablations))
    except DataError as error:
        # what it would link to shows other numbers
        path.unlink(missing_ok=True)
        return str(error)
    return ""


def _lines(ablation: Ablation) -> list[dict[str, str]]:
    lines, table = [], ablation.table
    printed = {row.variant: row.cells.get(MEAN) for row in table.rows} if table else {}
    measured = {name: 100 * row.score.headline for name, row in ablation.rows.items()}
    reported_from = {second: first for first, second in steps(ablation.variants, ablation)}
    measured_from = {second: first for first, second in steps(tuple(ablation.rows), ablation)}
    for variant in (*ablation.variants, *ablation.controls):
        line = {"variant": markdown(variant)}
        if table is not None:
            method = next((markdown(row.method) for row in table.rows if row.variant == variant), "")
            value = printed.get(variant)
            line["method"] = CONTROL if variant in ablation.controls else method
            line["reported"] = "n/a" if value is None else f"{value:.{table.decimals}f}"
            line["reported step"] = _step(value, printed.get(reported_from.get(variant, "")), table.decimals)
        elif ablation.controls:
            line["method"] = CONTROL if variant in ablation.controls else ""
        row = ablation.rows.get(variant)
        line["measured"] = "n/a" if row is None else percent(row.score.headline)
        line["95 % interval"] = "n/a" if row is None else interval_text(row.score.interval)
        line["measured step"] = _step(measured.get(variant), measured.get(measured_from.get(variant, "")), 2)
        untested = "n/a" if line["measured step"] else ""
        line["p"] = f"{ablation.p_values[variant]:.4f}" if variant in ablation.p_values else untested
        lines.append(line)
    return lines


def _step(value: float | None, before: float | None, digits: int) -> str:
    return "" if value is None or before is None else f"{value - before:+.{digits}f}"
