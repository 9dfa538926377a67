"""The count of one case: on tensors without content where the model can be built so, else on the CPU."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from auharness.bench.case import Case, Subject
from auharness.bench.rows import LEAST_COVERAGE, Count
from auharness.efficiency import Cost, count, count_parameters
from auharness.efficiency.memory import peak_bytes
from auharness.errors import AuharnessError, UsageError
from auharness.settings import flat_settings

__all__ = ["case_fields", "count_case"]


def count_case(case: Case, *, code: str = "") -> Count:
    """Return what one sample costs; a model that refuses or breaks gives a row that says so.

    Args:
        case: what is counted.
        code: digest of its code.
    """
    fields = {**case_fields(case), "code": code}
    try:
        subject = case.subject()
        fields["network"] = subject.network
        return Count(what="count", **fields, **_counted(subject))
    except UsageError as error:
        return Count(what="count", **fields, status="refused", note=_refusal(case, error))
    except AuharnessError as error:
        return Count(what="count", **fields, status="failed", note=_one_line(error))
    except Exception as error:  # a plugin may raise anything, and must not cost the others
        return Count(what="count", **fields, status="failed", note=f"{type(error).__name__}: {_one_line(error)}")


def case_fields(case: Case) -> dict[str, Any]:
    """Return the fields of a row that name its case."""
    return {
        "model": case.model,
        "preset": case.preset,
        "dataset": case.dataset,
        "side": case.side,
        "settings": ", ".join(f"{name}={value}" for name, value in flat_settings(case.settings)),
    }


def _counted(subject: Subject) -> dict[str, Any]:
    try:
        return _on(subject, "meta")
    except UsageError:
        raise
    except Exception:  # it looks at numbers, which meta tensors do not have
        return _on(subject, "cpu")


def _on(subject: Subject, device: str) -> dict[str, Any]:
    module, inputs = subject.module(device), subject.inputs(device)
    costs: list[Cost] = []
    # operators of `auharness.ops` are answered by zeros while they are counted, and hold what they return
    held = peak_bytes(lambda: costs.append(count(module, list(inputs.values()))), device=torch.device("cpu"))
    (cost,) = costs
    weights = sum(_bytes(x) for x in {id(x): x for x in (*module.parameters(), *module.buffers())}.values())
    found: dict[str, Any] = {
        "outputs": subject.task.num_outputs,
        "inputs": {name: tuple(x.shape[1:]) for name, x in inputs.items()},
        "input_bytes": sum(map(_bytes, inputs.values())),
        "parameters": cost.parameters,
        "trainable": count_parameters(module, trainable=True),
        "weight_bytes": weights,
        "peak_bytes": weights + held,
        "coverage": cost.coverage,
        "uncounted": tuple(each.operator for each in cost.uncounted),
    }
    if cost.coverage < LEAST_COVERAGE:
        note = f"{100 * cost.coverage:.1f} % of the operators have a rule, {', '.join(found['uncounted'])} have none"
        return {**found, "status": "uncovered", "note": f"{note}; the count is not published"}
    return {**found, "macs": cost.macs, "flops": cost.flops}


def _bytes(x: Tensor) -> int:
    return prod(x.shape) * x.element_size()


def _refusal(case: Case, error: UsageError) -> str:
    """Say what was refused; `set preprocess.crop` alone would not tell who asked for the size."""
    reason = "; ".join(str(error).splitlines())
    return reason if case.side is None else f"{reason}; give another size than --input {case.side}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
