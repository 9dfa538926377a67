"""From a request to finished units and a page: answer, plan, prepare, execute, score.

Importing this package does not import torch, and a request that is answered on disk never does.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.errors import UnitsFailedError, UsageError
from auharness.results.looks import Looks, part_key, read_looks
from auharness.results.store import RunFolder, iter_runs
from auharness.runner.inputs import Inputs, gather
from auharness.runner.progress import Progress
from auharness.runner.request import Request, make_request

if TYPE_CHECKING:
    from auharness.runner.plan import Plan
    from auharness.scoring import Score

__all__ = ["Progress", "Request", "RunResult", "make_request", "run", "run_request"]


@dataclass(frozen=True)
class RunResult:
    """A finished run."""

    path: Path
    """The run folder."""
    page: Path
    """The protocol's page, on which the run stands."""
    headline: str
    """One line: model, score, interval, floor."""
    kept: int
    """Units that were finished before."""
    done: int
    """Units that this call finished."""

    @cached_property
    def looks(self) -> Looks:
        """How often the test part was looked at by the runs beside this one."""
        folder = RunFolder(self.path)
        record = folder.record
        return read_looks(self.path.parents[2], record.protocol)[part_key(folder.unit(record.units[0].unit_id))]

    @cached_property
    def score(self) -> "Score":
        """The row of the run."""
        from auharness import registry
        from auharness.scoring import score_units

        folder = RunFolder(self.path)
        return score_units(registry.load("protocol", folder.record.protocol)(), folder.finished())


def run(
    model: str, protocol: str, *, config: Path | None = None, progress: Progress | None = None, **options: Any
) -> RunResult:
    """Train and score one model under one protocol, and write the protocol's page.

    Finished units are kept: the same call goes on where an earlier one ended.

    Args:
        model: name of a model plugin.
        protocol: name of a protocol plugin.
        config: TOML file with the tables `model`, `data`, `data_roots` and `run`.
        progress: receives what happens; default silent.
        options: fields of `Request`: `presets`, `seeds`, `folds`, `settings`, `data_roots`, `data_size`, `runs`, ...

    Raises:
        UsageError: if a name, setting or option is wrong.
        DataError: if data, weights or an optional package are missing or bad.
        UnitsFailedError: if some units failed; the finished ones are kept.
    """
    request = make_request(config=config, model=model, protocol=protocol, **options)
    return run_request(request, progress=progress or Progress())


def run_request(request: Request, *, progress: Progress) -> RunResult:
    """Do what a request asks; see `run`."""
    inputs = gather(request, progress=progress.data)
    answered = None if request.fresh else find_answer(inputs)
    if answered is not None:
        record = answered.record
        return RunResult(answered.path, _page(request, record.protocol), record.headline, len(record.units), 0)
    from auharness.runner.plan import make_plan

    return _execute(make_plan(inputs), progress)


def find_answer(inputs: Inputs) -> RunFolder | None:
    """Return the newest attempt at exactly this request if it is complete and on the page, else None."""
    request = inputs.request
    runs = iter_runs(request.runs, protocol=request.protocol, model=request.model)
    found = [run for run in runs if run.record.request_hash == inputs.request_hash]
    newest = max(found, key=lambda run: run.record.attempt, default=None)
    return newest if newest is not None and newest.record.headline and newest.is_complete else None


def _page(request: Request, protocol: str) -> Path:
    page = request.runs / "leaderboard" / f"{protocol}.md"
    if not page.is_file():
        from auharness.leaderboard import write_page

        return write_page(request.runs, protocol)
    return page


def _execute(plan: "Plan", progress: Progress) -> RunResult:
    from auharness.executors.placement import run_units
    from auharness.leaderboard import write_page
    from auharness.runner.execute import execute
    from auharness.runner.finish import headline_of
    from auharness.runner.prepare import make_specs, open_run, prepare_crops
    from auharness.runner.watch import Watch
    from auharness.scoring.confusion import write_confusions
    from auharness.scoring.curves import write_curves
    from auharness.scoring.pooled import pooled_metrics

    request = plan.inputs.request
    try:
        request.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--runs {request.runs}: expected a folder that can be written ({error.strerror})") from None
    plan.plugin.fetch()
    crops = prepare_crops(plan, progress)
    folder = open_run(plan)
    waiting = [unit for unit in plan.units if not folder.is_finished(unit.unit_id)]
    watch = Watch(folder)
    watch.run_started(request, kept=[unit.unit_id for unit in plan.units if unit not in waiting])
    progress.units(plan.units, kept=len(plan.units) - len(waiting))
    specs = make_specs(plan, waiting, crops, folder)
    tail = folder.tail()
    failures = run_units(
        plan.placement,
        execute,
        specs,
        jobs=plan.jobs,
        asked_jobs=request.jobs,
        folder=folder.path / "jobs",
        tick=lambda: progress.events(tail()),
        ended=lambda spec, reason: watch.unit_ended(spec.unit_id, failed=reason is not None),
    )
    watch.run_ended(failed=bool(failures))
    if failures:
        spec, reason = failures[0]
        raise UnitsFailedError(
            f"{len(failures)} of {len(plan.units)} units failed, the others are kept; fold {spec.fold.name}, seed "
            f"{spec.seed}: {reason}; run the same command again to repeat the failed ones"
        )
    folder.write_record(folder.record.model_copy(update={"pooled": pooled_metrics(plan.inputs.protocol, folder)}))
    write_confusions(folder)
    write_curves(folder)
    headline = headline_of(plan.inputs.protocol, folder)
    page = write_page(request.runs, request.protocol)
    # last, because a run with a headline is answered from disk: a kill before this line makes the page again
    folder.write_record(folder.record.model_copy(update={"headline": headline}))
    return RunResult(folder.path, page, headline, len(plan.units) - len(waiting), len(waiting))
