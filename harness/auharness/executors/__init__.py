"""Ways to spread units over processes; the result of a unit does not depend on the choice.

Importing this package imports nothing heavy: ray and submitit are imported when they are chosen.
"""

from typing import Final

__all__ = ["EXECUTORS"]

EXECUTORS: Final = ("local", "ray", "slurm")
"""Values of `--executor`."""
