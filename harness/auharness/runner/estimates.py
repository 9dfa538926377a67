"""What a plan will cost: rows per unit, disk for crops, and time from one measured training step."""

import math
import time
from typing import Any

import torch

from auharness.api import ModelPlugin
from auharness.data.cache import CropCache, cache_folder
from auharness.data.prepare import by_sequence, estimate
from auharness.records import Task
from auharness.results.store import attempts
from auharness.runner.plan import Plan, crop_settings
from auharness.training.predictor import as_output, call

__all__ = ["describe"]

PROBE_BATCH = 2


def describe(plan: Plan) -> dict[str, Any]:
    """Return the plan as text fields: `facts`, `settings` (key, value, origin) and `units`."""
    request, protocol = plan.inputs.request, plan.inputs.protocol
    earlier = attempts(request.runs, request.protocol, request.model, plan.run_id)
    finished = {unit.unit_id for unit in plan.units if earlier and earlier[-1].is_finished(unit.unit_id)}
    rows = {fold.name: (_count(plan, fold.train_ids), _count(plan, fold.test_ids)) for fold in plan.folds}
    waiting = [unit for unit in plan.units if unit.unit_id not in finished]
    missing, seconds, size = _crops(plan)
    units = [
        [u.unit_id, u.fold, u.seed, *rows[u.fold], "finished" if u.unit_id in finished else "to do"] for u in plan.units
    ]
    facts = {
        "run": plan.run_id,
        "protocol": f"{protocol.name} version {protocol.version}",
        "preset": plan.preset,
        "data": f"{plan.data.origin}{f' ({plan.data.size})' if plan.data.size else ''}",
        **{f"root of {name}": str(root.path) for name, root in plan.inputs.roots.items()},
        "units": f"{len(plan.units)}, {len(finished)} finished, {plan.jobs} at once",
        "crops to make": f"{missing} sequences, {size / 2**20:.0f} MiB, about {seconds / plan.jobs:.0f} s",
        "training": _training(plan.plugin, plan, sum(rows[unit.fold][0] for unit in waiting)),
    }
    missing_files = plan.plugin.missing()
    if missing_files:
        facts["missing"] = missing_files
    settings = [[key, plan.model.values[key], origin] for key, origin in plan.model.origins.items()]
    return {"facts": facts, "settings": settings, "units": units}


def _count(plan: Plan, ids: frozenset[tuple[str, str]]) -> int:
    count = len(plan.index.rows(ids, key=plan.inputs.protocol.key))
    return min(count, plan.inputs.request.limit or count)


def _crops(plan: Plan) -> tuple[int, float, int]:
    """Missing sequences, seconds on one core and bytes to make their crops."""
    settings = crop_settings(plan.plugin)
    ids = frozenset().union(*(fold.train_ids | fold.test_ids for fold in plan.folds))
    missing, seconds, size = 0, 0.0, 0
    for name, dataset in plan.inputs.datasets.items():
        rows = plan.index.rows([key for key in ids if key[0] == name], key=plan.inputs.protocol.key)
        cache = CropCache(cache_folder(name, dataset.root, settings, manifest=plan.index.manifests[name]))
        for sequence, members in by_sequence(plan.index.records(rows)).items():
            if cache.cached_report(dataset.root, sequence, members) is None:
                cost = estimate(members, settings)
                missing, seconds, size = missing + 1, seconds + cost.seconds, size + cost.bytes
    return missing, seconds, size


def _training(plugin: ModelPlugin, plan: Plan, rows: int) -> str:
    """Time of all waiting units, from one measured step on this machine's CPU."""
    if not plugin.timed_by_a_step:
        return f"{rows} rows; time unknown: one step of this model does not tell it"
    outputs = tuple(
        dict.fromkeys(o for name in plan.inputs.protocol.train_on for o in plan.inputs.datasets[name].outputs)
    )
    ones = (1,) * len(outputs)
    twos = (2,) * len(outputs)
    size = plugin.preprocess.crop
    task = Task(outputs, plan.index.kind, plan.inputs.protocol.train_on[0], ones, twos, size, plugin.preprocess.frames)
    per_row = _seconds_per_row(plugin, task)
    epochs = plugin.recipe.epochs
    seen = rows * epochs
    if plugin.recipe.max_steps is not None:
        seen = min(seen, plugin.recipe.max_steps * plugin.recipe.batch_size * len(plan.units))
    hours, minutes = divmod(math.ceil(per_row * seen / plan.jobs / 60), 60)
    return f"{rows} rows x {epochs} epochs, about {hours} h {minutes:02d} min on this CPU"


def _seconds_per_row(plugin: ModelPlugin, task: Task) -> float:
    from auharness.testing.fake import fake_batch

    module = plugin.build(task)
    batch = fake_batch(plugin, task, size=PROBE_BATCH)
    times = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(2):
        started = time.perf_counter()
        losses = plugin.loss(as_output(call(module, batch, plugin.inputs)), batch, task)
        torch.autograd.backward(torch.stack([term.float() for term in losses.values()]).sum())
        times.append((time.perf_counter() - started) / PROBE_BATCH)
    torch.set_num_threads(threads)
    return min(times)
