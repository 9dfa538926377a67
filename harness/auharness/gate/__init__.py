"""The regression gate: is the head as accurate and as fast as the baseline, and does the evidence say so?

`policy` what is allowed, `sides` what is compared, `accuracy` scores paired by subject, `interleave` and
`pytest_benchmark` where times come from, `times` and `speed` what they say, `verdict` which of all counts.
"""

from auharness.gate.policy import Policy, read_policy
from auharness.gate.report import report_dict, report_text
from auharness.gate.run import GateResult, run_gate
from auharness.gate.verdict import Verdict

__all__ = ["GateResult", "Policy", "Verdict", "read_policy", "report_dict", "report_text", "run_gate"]
