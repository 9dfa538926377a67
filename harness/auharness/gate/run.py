"""The whole gate: sides opened, scores and times compared, one verdict."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from auharness.errors import UsageError
from auharness.gate.accuracy import AccuracyCheck, check_accuracy
from auharness.gate.policy import Policy, SpeedPolicy, read_policy
from auharness.gate.sides import Side, open_side
from auharness.gate.times import SpeedCheck, check_commands, check_sessions
from auharness.gate.verdict import Verdict, worst
from auharness.results.atomic import file_digest

__all__ = ["GateResult", "Part", "run_gate"]

Part = Literal["accuracy", "speed"]
UNMEASURED = "the policy names it and nothing measured it"


@dataclass(frozen=True)
class GateResult:
    """What a gate found.

    Attributes:
        base: what the baseline is called.
        head: what the head is called.
        accuracy: a check for every row of the policy.
        speed: a check for every benchmark of either side.
        notes: what a reviewer must know besides.
    """

    base: str
    head: str
    accuracy: tuple[AccuracyCheck, ...]
    speed: tuple[SpeedCheck, ...]
    notes: tuple[str, ...] = ()

    @property
    def checks(self) -> tuple[AccuracyCheck | SpeedCheck, ...]:
        """All checks."""
        return (*self.accuracy, *self.speed)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all checks; `MISSING` if there was none."""
        return worst(check.verdict for check in self.checks)

    @property
    def summary(self) -> str:
        """`1 regression, 2 missing of 4 checks`, or `4 checks pass`; the worst first."""
        counts = {verdict: sum(check.verdict is verdict for check in self.checks) for verdict in reversed(Verdict)}
        bad = [f"{count} {verdict.value}" for verdict, count in counts.items() if count and verdict is not Verdict.PASS]
        total = len(self.checks)
        return f"{', '.join(bad)} of {total} checks" if bad else f"{total} checks pass"


def run_gate(
    policy_path: Path,
    *,
    baseline: Sequence[str],
    head: Sequence[str] = (),
    runs: Path = Path("runs"),
    only: Part | None = None,
    cwd: Path = Path(),
    say: Callable[[str], None] = lambda message: None,
) -> GateResult:
    """Compare the head with the baseline under a policy.

    Args:
        policy_path: TOML file.
        baseline: references of the base, see `open_side`.
        head: those of the head; none for the working tree with the runs below `runs`.
        runs: folder of runs that belongs to the working tree.
        only: leave the other half of the policy out.
        cwd: where references start.
        say: takes remarks on the progress.

    Raises:
        UsageError: a mistake in the policy or the references.
    """
    policy = _reduced(read_policy(policy_path), only, policy_path)
    with ExitStack() as stack:
        base = stack.enter_context(open_side(baseline, policy.trees, role="baseline", cwd=cwd))
        if head:
            other = stack.enter_context(open_side(head, policy.trees, role="head", cwd=cwd))
        else:
            other = Side("the working tree", records=cwd / runs, source=cwd.resolve())
        accuracy: list[AccuracyCheck] = []
        if policy.accuracy is not None:
            accuracy = check_accuracy(policy.accuracy, base.records, other.records)
        found = _speed(policy, base, other, only, say)
        notes = _policy_note(policy_path, base, cwd)
    ignored = [check for check in found if _is_ignored(check, policy.speed)]
    if ignored:
        notes.append(f"not judged, the policy ignores them: {', '.join(check.title for check in ignored)}")
    patterns = policy.speed.ignore if policy.speed is not None and only != "accuracy" else ()
    unused = [pattern for pattern in patterns if not any(_matches(check.title, pattern) for check in found)]
    if unused:
        notes.append(f"nothing matches what the policy ignores: {', '.join(unused)}")
    judged = tuple(check for check in found if check not in ignored)
    return GateResult(base.name, other.name, tuple(accuracy), judged, tuple(notes))


def _reduced(policy: Policy, only: Part | None, path: Path) -> Policy:
    if only is None:
        return policy
    if getattr(policy, only) is None:
        raise UsageError(f"--only {only}: {path} has no table [{only}]")
    return policy.model_copy(update={"speed" if only == "accuracy" else "accuracy": None})


def _speed(policy: Policy, base: Side, head: Side, only: Part | None, say: Callable[[str], None]) -> list[SpeedCheck]:
    if only == "accuracy":
        return []
    speed = policy.speed or SpeedPolicy()
    if base.sessions or head.sessions:
        found = check_sessions(speed, base.sessions, head.sessions)
    else:
        found = [c for command in speed.commands for c in check_commands(speed, command, base, head, policy, say)]
    if policy.speed is not None and not found:
        found = [SpeedCheck("speed", Verdict.MISSING, speed.slowdown, "no [[speed.commands]] and no benchmark files")]
    known = {check.title for check in found}
    # a threshold without a benchmark is a typo, or a benchmark that vanished on both sides
    unknown = [name for name in speed.benchmarks if name not in known]
    return [*found, *(SpeedCheck(name, Verdict.MISSING, speed.allowed(name), UNMEASURED) for name in unknown)]


def _is_ignored(check: SpeedCheck, policy: SpeedPolicy | None) -> bool:
    return policy is not None and any(_matches(check.title, pattern) for pattern in policy.ignore)


def _matches(title: str, pattern: str) -> bool:
    # the brackets of a parametrised test are no class of characters
    return title == pattern or fnmatchcase(title, pattern.replace("[", "[[]"))


def _policy_note(path: Path, base: Side, cwd: Path) -> list[str]:
    """Whoever changes the policy changes what passes, so a reviewer must see it."""
    resolved = (cwd / path).resolve()
    if base.source is None or not resolved.is_relative_to(cwd.resolve()):
        return []
    old = base.source / resolved.relative_to(cwd.resolve())
    if not old.is_file():
        return ["the baseline has no such policy: it is new"]
    return ["the policy differs from the baseline's"] if file_digest(old) != file_digest(resolved) else []
