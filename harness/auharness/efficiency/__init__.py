"""What a model costs: parameters, MACs, FLOPs and how far the count can be trusted; `README.md` states the rules.

>>> from torch import nn, zeros
>>> count(nn.Conv2d(3, 8, 3, padding=1), [zeros(1, 3, 16, 16)]).macs
55296
"""

from auharness.efficiency.closed_form import Work
from auharness.efficiency.counter import Cost, count
from auharness.efficiency.coverage import Uncounted
from auharness.efficiency.fvcore_counter import FvcoreCount, fvcore_count
from auharness.efficiency.params import count_parameters

__all__ = ["Cost", "FvcoreCount", "Uncounted", "Work", "count", "count_parameters", "fvcore_count"]
