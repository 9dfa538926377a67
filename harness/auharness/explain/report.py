"""Everything that `auharness explain` writes, for one run or for several beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from auharness.errors import UsageError
from auharness.explain.answers import outputs_of, surest
from auharness.explain.confusion import confusion_table
from auharness.explain.figures import Made, require_matplotlib
from auharness.explain.loaded import LoadedRun, Network, Sample
from auharness.explain.maps import answers_of, chosen_layers, chosen_outputs, sample_maps
from auharness.explain.mean_maps import draw_mean_maps, mean_maps, region_table, save_mean_maps
from auharness.explain.run_pictures import draw_run_confusion, draw_run_curves
from auharness.explain.sample_pictures import draw_comparison, draw_sample, draw_sample_traces
from auharness.explain.window_pictures import draw_window, outputs_worth_a_look
from auharness.explain.windows import stretch_of, surest_stretches, window_traces
from auharness.results.atomic import write_bytes
from auharness.scoring.curves import write_curves

__all__ = ["Asked", "compare_runs", "explain_run"]

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained."""

    samples: tuple[str, ...] = ()
    """Sample ids; empty for the pictures of the whole run and its surest answers."""
    outputs: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    per_frame: bool = False
    training: bool = False
    """Explain samples by a unit that was trained on them."""
    mean_of: int = 32
    """Samples of each output in the mean maps; 0 leaves them out."""


def explain_run(run: LoadedRun, asked: Asked, out: Path, *, tell: Tell) -> list[Made]:
    """Write the pictures of one run, each with its numbers beside it.

    Args:
        run: opened.
        asked: what.
        out: folder; made if needed.
        tell: hears what is at work, and what cannot be drawn.

    Raises:
        DataError: if matplotlib or the data of the run are missing.
        UsageError: if a sample, output or layer is unknown.
    """
    require_matplotlib()
    chosen_outputs(run, asked.outputs)
    if run.has_weights and run.plugin(run.units[0]).per_frame:
        return _windows(run, asked, out, tell)
    if asked.samples:
        wanted = [(run.sample(name, training=asked.training), asked.outputs) for name in asked.samples]
        _check_maps(run)
        return _strips(run, asked, wanted, out, tell=tell)
    made = [*_curves(run, out, tell), *_confusion(run, out)]
    try:
        _check_maps(run)
    except UsageError as error:
        tell(str(error))
        return made
    if asked.mean_of:
        made += _means(run, asked, out, tell)
    best = [(sample, asked.outputs or _with_truth(sample, output)) for sample, output in surest(run)]
    return made + _strips(run, asked, best, out, tell=tell)


def compare_runs(runs: Sequence[LoadedRun], asked: Asked, out: Path, *, tell: Tell) -> list[Made]:
    """Write one strip per sample and output with a row for each run: its deepest layer, or the asked ones it has.

    Raises:
        DataError: if matplotlib or the data of a run are missing.
        UsageError: if a run does not test a sample, or an output or layer is in none.
    """
    require_matplotlib()
    first = runs[0]
    for run in runs:
        chosen_outputs(run, asked.outputs)
    names = asked.samples or tuple(sample.id for sample, _ in surest(first))
    wanted = [[run.sample(name, training=asked.training) for run in runs] for name in names]
    for run in runs:
        _check_maps(run)
    made: list[Made] = []
    for samples in wanted:
        networks = [run.network(sample.unit) for run, sample in zip(runs, samples, strict=True)]
        tell(f"{samples[0].id}: {len(runs)} runs")
        scores = answers_of(first, networks[0], samples[0])
        for output in asked.outputs or outputs_of(samples[0], scores):
            found = [
                sample_maps(run, network, [(sample, output)], layers=_deepest(network, asked.layers))[0]
                for run, network, sample in zip(runs, networks, samples, strict=True)
            ]
            made.append(draw_comparison(runs, found, out, per_frame=asked.per_frame))
    return made


def _with_truth(sample: Sample, output: str) -> tuple[str, ...]:
    """The predicted class and, where it is wrong, the true one; an AU alone."""
    true = [name for name, value in sample.truth.items() if value == 1] if sample.unit.kind == "classes" else []
    return tuple(dict.fromkeys((output, *true)))


def _check_maps(run: LoadedRun) -> None:
    """Refuse a run without anything to map, before its data are looked for."""
    if not run.has_weights:
        raise UsageError(f"{run.folder.path.name}: {run.record.model} left no weights, so there is nothing to map")
    if run.plugin(run.units[0]).per_frame:
        raise UsageError(
            f"{run.record.model} answers for each frame of a window, which is not drawn beside other runs; explain "
            f"{run.folder.path.name} alone"
        )
    chosen_layers(run.network(run.units[0]), ())


def _curves(run: LoadedRun, out: Path, tell: Tell) -> list[Made]:
    made = draw_run_curves(run.folder, out)
    if made is None:
        tell(f"{run.record.model} logged no epochs, so there are no training curves")
        return []
    write_curves(run.folder, out)
    return [made]


def _confusion(run: LoadedRun, out: Path) -> list[Made]:
    made = draw_run_confusion(run.folder, out)
    if made is None:
        return []
    _write_csv(confusion_table(run.units), out / "confusion.csv")
    return [made]


def _windows(run: LoadedRun, asked: Asked, out: Path, tell: Tell) -> list[Made]:
    """Stretches of recordings, of a model that answers for each frame: those asked for, or the surest answers."""
    if asked.layers:
        raise UsageError(
            f"{run.record.model} answers for each frame of a window: no layer is mapped; leave --layer out"
        )
    made = [] if asked.samples else _curves(run, out, tell)
    stretches = [stretch_of(run, name, training=asked.training) for name in asked.samples] or surest_stretches(run)
    for stretch in stretches:
        tell(f"{stretch.recording}: fold {stretch.sample.unit.fold}")
        found = window_traces(run, stretch)
        made.append(draw_window(run, found, outputs_worth_a_look(found, asked.outputs), out))
    return made


def _means(run: LoadedRun, asked: Asked, out: Path, tell: Tell) -> list[Made]:
    outputs = [name for name in chosen_outputs(run, asked.outputs) if name in run.columns]
    found = mean_maps(run, outputs, layers=asked.layers, mean_of=asked.mean_of, tell=tell)
    if found is None:
        tell("no test sample shows one of these outputs, so there are no mean maps")
        return []
    title = f"{run.name} on {run.record.protocol}: where it looks for each {'class' if run.multiclass else 'AU'}"
    path = draw_mean_maps(found, out / "classes.png", title=title)
    save_mean_maps(found, out / "classes.npz")
    regions = region_table(found)
    _write_csv(regions, out / "regions.csv")
    if not found.n_shares.any():
        tell(
            "no frame has landmarks of its own, so there are no shares of regions; for them repeat the run with "
            "--set preprocess.landmarks=haar, mediapipe or npz:FOLDER"
        )
    return [{"kind": "mean maps", "path": str(path), "regions": regions.to_dict(orient="records")}]


def _strips(
    run: LoadedRun, asked: Asked, wanted: Sequence[tuple[Sample, Sequence[str]]], out: Path, *, tell: Tell
) -> list[Made]:
    """Strips of some samples in their order, drawn unit by unit so that each network is opened once."""
    made: dict[str, list[Made]] = {sample.id: [] for sample, _ in wanted}
    ordered = sorted(wanted, key=lambda pair: run.units.index(pair[0].unit))
    for _, members in groupby(ordered, key=lambda pair: pair[0].unit.unit_id):
        group = list(members)
        network = run.network(group[0][0].unit)
        layers = chosen_layers(network, asked.layers)
        for sample, asked_outputs in group:
            tell(f"{sample.id}: fold {sample.unit.fold}")
            outputs = asked_outputs or outputs_of(sample, answers_of(run, network, sample))
            found = sample_maps(run, network, [(sample, output) for output in outputs], layers=layers)
            made[sample.id] += [draw_sample(run, item, out, per_frame=asked.per_frame) for item in found]
            if found[0].traces:
                made[sample.id].append(draw_sample_traces(run, network, found[0], out))
    return [one for items in made.values() for one in items]


def _deepest(network: Network, asked: Sequence[str]) -> dict[str, Any]:
    """The asked layers that the network has, or its deepest one."""
    own = [name for name in asked if name in network.layers]
    if asked and not own:
        return chosen_layers(network, asked)
    return chosen_layers(network, own or list(network.layers)[-1:])


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, table.to_csv(index=False).encode())
