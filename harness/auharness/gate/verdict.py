"""What a gate may say of one check, and which of several verdicts counts."""

from collections.abc import Iterable
from enum import Enum

from auharness.errors import AuharnessError, DataError, InconclusiveError, RegressionError

__all__ = ["Verdict", "worst"]


class Verdict(Enum):
    """The verdicts from the mildest to the worst; everything but `PASS` fails the job.

    A regression that was found stays one whatever else could not be read, so it stands last. What is missing comes
    before what cannot be decided, because only the first is certain to be somebody's mistake.
    """

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    """Measured on common ground, and the evidence does not decide: exit code 6."""
    INCOMPARABLE = "incomparable"
    """The two sides do not stand on common ground (data, folds, subjects, machine): exit code 6."""
    MISSING = "missing"
    """A record, unit or benchmark is absent, failed, or is no number: exit code 3."""
    REGRESSION = "regression"
    """Worse than the policy allows: exit code 5."""

    @property
    def exit_code(self) -> int:
        """What the command line returns."""
        return 0 if self is Verdict.PASS else self.error.exit_code

    @property
    def error(self) -> type[AuharnessError]:
        """The exception that the command line ends with; meaningless for `PASS`."""
        if self is Verdict.REGRESSION:
            return RegressionError
        return DataError if self is Verdict.MISSING else InconclusiveError


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict; a gate that checked nothing has missed everything.

    >>> worst([Verdict.PASS, Verdict.MISSING, Verdict.INCONCLUSIVE])
    <Verdict.MISSING: 'missing'>
    >>> worst([])
    <Verdict.MISSING: 'missing'>
    """
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.MISSING)
