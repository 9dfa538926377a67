"""The page of all models: what each costs, how that grows with the input, and times where a GPU measured them."""

import csv
import io
from collections.abc import Iterable, Sequence

from auharness.bench.naming import shape_text, training_sets
from auharness.bench.rows import Count, Time
from auharness.bench.summary import giga, input_growth, mebi, speeds, whole
from auharness.leaderboard.cost.costs import Costs
from auharness.leaderboard.cost.reported_home import reported_home
from auharness.leaderboard.escape import csv_cell, markdown
from auharness.leaderboard.tables import table_text

__all__ = ["NAME", "efficiency_files"]

NAME = "efficiency"
"""Name of the page, and of its csv."""
SIZES = {
    "paper": "The sizes of the papers",
    "tiny": "The sizes that a CPU trains",
}
_CSV = (
    "model",
    "preset",
    "settings",
    "side",
    "dataset",
    "outputs",
    "status",
    "parameters",
    "trainable",
    "macs",
    "flops",
)
_CSV_MORE = ("coverage", "input_bytes", "weight_bytes", "peak_bytes")


def efficiency_files(costs: Costs, *, head: str = "") -> dict[str, str]:
    """Return file name -> text of the page and its csv; nothing where nothing was counted."""
    if not costs.counts:
        return {}
    return {f"{NAME}.md": _page(costs, head), f"{NAME}.csv": _csv(costs.counts)}


def _page(costs: Costs, head: str) -> str:
    own = _at_home(costs.counts)
    plain = [row for row in own if row.side is None]
    parts = [*([head] if head else []), "# What models cost", _about()]
    for preset, title in SIZES.items():
        rows = [row for row in plain if row.preset == preset and not row.settings]
        parts += [f"## {title}", _table(rows)] if rows else []
    others = [row for row in plain if row.preset not in SIZES or row.settings]
    parts += ["## Variants and settings", _table(others)] if others else []
    parts += _growth([row for row in own if row.side is not None])
    parts += _times(costs.times)
    parts += _without([row for row in own if row.status != "ok"])
    return "\n\n".join(parts) + "\n"


def _about() -> str:
    return (
        "One sample (a frame, a clip, or a window of frames with its sound) in one forward pass, on random weights. "
        "*MACs* are those of matrix products and convolutions; *FLOPs* are 2 per MAC and the other operators by the "
        "rules of `harness/auharness/efficiency/README.md`; *coverage* is the share of operators that have a rule: "
        "below 99 % no count is published. *Memory* is weights and what operators hold at once above the inputs, in "
        "eager mode and the weights' own type. Models that read other inputs are not comparable: divide by the frames "
        "first. Counts depend on no device; times of a CPU are on no board, for they belong to a machine and its load. "
        "How to measure your own: `docs/bench.md`."
    )


def _at_home(counts: Iterable[Count]) -> list[Count]:
    """One set of labels per model: that of the paper which reports it, else the first that it accepts."""
    rows, homes = list(counts), dict[str, str]()
    for model in dict.fromkeys(row.model for row in rows):
        known = dict.fromkeys(row.dataset for row in rows if row.model == model)
        order = (reported_home(model), *training_sets(), *known)
        homes[model] = next(name for name in order if name in known)
    return [row for row in rows if row.dataset == homes[row.model]]


def _table(rows: Sequence[Count]) -> str:
    return table_text([_cells(row) for row in rows])


def _cells(row: Count) -> dict[str, str]:
    return {
        **_names(row, everywhere=row.preset in SIZES and not row.settings),
        "labels": markdown(f"{row.dataset} ({row.outputs})" if row.outputs else row.dataset),
        "input": markdown(shape_text(row.inputs)) or "n/a",
        "parameters": whole(row.parameters),
        "trainable": whole(row.trainable),
        "MACs (G)": giga(row.macs),
        "FLOPs (G)": giga(row.flops),
        "coverage": "n/a" if row.coverage is None else f"{100 * row.coverage:.2f} %",
        "bytes per sample": whole(row.input_bytes),
        "memory (MiB)": mebi(row.peak_bytes),
    }


def _names(row: Count | Time, *, everywhere: bool = False) -> dict[str, str]:
    preset = "; ".join(filter(None, (row.preset, row.settings)))
    return {"model": markdown(row.model), **({} if everywhere else {"preset": markdown(preset)})}


def _growth(rows: Sequence[Count]) -> list[str]:
    """MACs at each side, in brackets how many times those at the smallest."""
    models = dict.fromkeys((row.model, row.preset, row.settings) for row in rows)
    sides = sorted({row.side for row in rows if row.side is not None})
    lines = []
    for key in models:
        own = [row for row in rows if (row.model, row.preset, row.settings) == key]
        macs, growth = {row.side: row.macs for row in own}, input_growth(own)
        cells = {
            f"{side} px": f"{giga(macs[side])} ({growth[side]:.2f}x)" if side in growth else "n/a" for side in sides
        }
        if growth:
            lines.append({**_names(own[0]), **cells})
    if not lines:
        return []
    about = (
        "MACs in 10^9 at several sides of the input, in brackets how many times those at the smallest side that the "
        "model takes; twice the side is four times the pixels. `n/a`: the model refuses the size."
    )
    return ["## Growth with the resolution", about, table_text(lines)]


def _times(times: Sequence[Time]) -> list[str]:
    parts: list[str] = []
    for machine in dict.fromkeys((row.machine.device, row.machine.driver) for row in times):
        own = [row for row in times if (row.machine.device, row.machine.driver) == machine]
        versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in sorted(row.machine.versions.items())) for row in own)
        driver = f", driver {machine[1]}" if machine[1] else ""
        parts += [f"## {markdown(machine[0])}", markdown("; ".join(versions) + driver) + "."]
        parts.append(table_text([_speed(group.points) for group in speeds(own)]))
        parts.append(
            "p50, p95 and memory: the smallest batch, 1 unless another stands in brackets; samples/s: the best batch "
            "of those tried, by the median."
        )
    return parts


def _speed(points: tuple[Time, ...]) -> dict[str, str]:
    group = speeds(points)[0]
    first, best = group.first, group.best
    batch = "" if first.batch == 1 else f" ({first.batch})"
    side = "" if first.side is None else f" at {first.side} px"
    return {
        **_names(first),
        "mode": f"{first.mode}, {markdown(first.dtype)}{side}",
        "p50 (ms)": "n/a" if first.p50_ms is None else f"{first.p50_ms:.3g}{batch}",
        "p95 (ms)": "n/a" if first.p95_ms is None else f"{first.p95_ms:.3g}",
        "samples/s": "n/a" if best is None else f"{best.per_second:.4g}",
        "best batch": "n/a" if best is None else str(best.batch),
        "memory (MiB)": mebi(first.peak_bytes),
        "backend": markdown(", ".join(f"{operator}: {name}" for operator, name in first.backend.items())),
        "note": markdown(group.note),
    }


def _without(rows: Sequence[Count]) -> list[str]:
    missing = [row for row in rows if row.side is None]
    if not missing:
        return []
    lines = [f"- {markdown(row.model)}, {markdown(row.preset)}: {row.status}: {markdown(row.note)}" for row in missing]
    return ["## Without a count", "\n".join(lines)]


def _csv(counts: Sequence[Count]) -> str:
    """One line per count, those with other data sets' labels too."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = (*_CSV, *_CSV_MORE)
    writer.writerow([*columns, "input", "uncounted"])
    for row in counts:
        values = ["" if (value := getattr(row, name)) is None else value for name in columns]
        writer.writerow([csv_cell(v) for v in (*values, shape_text(row.inputs), " ".join(row.uncounted))])
    return stream.getvalue()
