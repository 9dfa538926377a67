"""Where the time and the memory of a model go: a trace for TensorBoard and Perfetto, a table of operators, a timeline.

`docs/profile.md` says how to open the trace. The module and its batch are those of `auharness plugin check`, made of
random numbers; the step is the one that training takes.
"""

from auharness.profiling.memory_timeline import MemoryTimeline, read_timeline
from auharness.profiling.op_table import OpRow, table_cells, table_csv, table_markdown
from auharness.profiling.recording import Recording, record_steps
from auharness.profiling.report import Options, Profile, profile_model
from auharness.profiling.step import PHASES, SPAN, Phase, make_step

__all__ = [
    "PHASES",
    "SPAN",
    "MemoryTimeline",
    "OpRow",
    "Options",
    "Phase",
    "Profile",
    "Recording",
    "make_step",
    "profile_model",
    "read_timeline",
    "record_steps",
    "table_cells",
    "table_csv",
    "table_markdown",
]
