"""The table of operators: time that each spent in itself, per step and as a share of all, and how often it ran."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Literal

from torch.autograd.profiler_util import FunctionEventAvg

from auharness.profiling.step import SPAN

__all__ = ["OpRow", "make_rows", "table_cells", "table_csv", "table_markdown"]

_STEP = "ProfilerStep"


@dataclass(frozen=True)
class OpRow:
    """One operator over all recorded steps."""

    name: str
    kind: Literal["op", "span", "step", "kernel"]
    """`span` is a name that the harness gave, `step` what a step spends outside of all others, `kernel` one of CUDA."""
    calls: float
    """Per step."""
    self_cpu_ms: float
    """Per step, without the operators that it called."""
    self_cuda_ms: float
    """Per step, of the kernels that it launched itself; of a kernel, its own."""
    share: float
    """Of a step, 0..1: of CUDA time where there is any, else of CPU time; kernels sum to 1, and so does the rest."""
    total_cpu_ms: float
    """Per step, with the operators that it called."""
    total_cuda_ms: float
    allocated_bytes: int
    """Per step, on the CPU and without the operators that it called; below 0 where it freed more."""
    allocated_cuda_bytes: int


def make_rows(events: Iterable[FunctionEventAvg], *, steps: int) -> list[OpRow]:
    """Return a row for every operator, the one with the largest share first.

    Args:
        events: averages per operator.
        steps: steps that were recorded.
    """
    kept = [event for event in events if not _mirrors_a_span(event)]
    totals = {
        kernel: (_sum("self_cpu_time_total", kept, kernel), _sum("self_device_time_total", kept, kernel))
        for kernel in (False, True)
    }
    rows = [_row(event, steps, *totals[_is_kernel(event)]) for event in kept]
    return sorted(rows, key=lambda row: (-row.share, -row.self_cpu_ms, row.name))


def table_csv(rows: Sequence[OpRow]) -> str:
    """Return all columns of the rows as csv."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(OpRow))
    writer.writerows([round(cell, 6) if isinstance(cell, float) else cell for cell in astuple(row)] for row in rows)
    return stream.getvalue()


def table_cells(rows: Sequence[OpRow], *, most: int) -> tuple[list[str], list[list[str]]]:
    """Return the head and the first rows of a table to be read; the column of CUDA stands only where it has times."""
    cuda = any(row.self_cuda_ms for row in rows)
    head = ["operator", "kind", "calls", "self CPU ms", *(["self CUDA ms"] if cuda else []), "share"]
    lines = []
    for row in rows[:most]:
        times = [f"{row.self_cpu_ms:.3f}", *([f"{row.self_cuda_ms:.3f}"] if cuda else [])]
        lines.append([row.name, row.kind, f"{row.calls:g}", *times, f"{100 * row.share:.1f} %"])
    return head, lines


def table_markdown(rows: Sequence[OpRow], *, most: int = 20) -> str:
    """Return the first rows as a markdown table."""
    head, lines = table_cells(rows, most=most)
    found = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for name, *cells in lines:
        safe = name.replace("|", "\\|")
        found.append(f"| `{safe}` | {' | '.join(cells)} |")
    return "\n".join(found)


def _row(event: Any, steps: int, all_cpu: float, all_cuda: float) -> OpRow:
    whole, part = (all_cuda, event.self_device_time_total) if all_cuda else (all_cpu, event.self_cpu_time_total)
    return OpRow(
        name=event.key.rstrip("*"),
        kind=_kind(event),
        calls=event.count / steps,
        self_cpu_ms=event.self_cpu_time_total / 1e3 / steps,
        self_cuda_ms=event.self_device_time_total / 1e3 / steps,
        share=part / whole if whole else 0.0,
        total_cpu_ms=event.cpu_time_total / 1e3 / steps,
        total_cuda_ms=event.device_time_total / 1e3 / steps,
        allocated_bytes=round(event.self_cpu_memory_usage / steps),
        allocated_cuda_bytes=round(event.self_device_memory_usage / steps),
    )


def _kind(event: Any) -> Literal["op", "span", "step", "kernel"]:
    if _is_kernel(event):
        return "kernel"
    if event.key.startswith(_STEP):
        return "step"
    return "span" if event.key.startswith(SPAN) else "op"


def _is_kernel(event: Any) -> bool:
    return bool(event.device_type.name != "CPU")


def _mirrors_a_span(event: Any) -> bool:
    """On CUDA a span of the CPU has a shadow, from its first kernel to its last; the kernels are counted already."""
    return _is_kernel(event) and (bool(event.is_user_annotation) or event.key.startswith((_STEP, SPAN)))


def _sum(column: str, events: Sequence[Any], kernel: bool) -> float:
    return float(sum(getattr(event, column) for event in events if _is_kernel(event) == kernel))
