"""What one unit is given on a cluster: options of `--resources`, checked before any data are read."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from auharness.api.base import Settings
from auharness.errors import UsageError

__all__ = ["RayResources", "SlurmResources", "read_resources"]

R = TypeVar("R", bound=Settings)


class RayResources(Settings):
    """Options of `--executor ray`."""

    name: ClassVar[str] = "ray"

    cpus: float = Field(1, gt=0, description="cores of a unit; default one per device")
    gpus: float = Field(0, ge=0, description="GPUs of a unit, also 0.5; default one per device with --device cuda")
    address: str = Field("", description="of a running cluster; default RAY_ADDRESS, else one is started here")
    retries: int = Field(3, ge=0, description="how often a unit is tried again whose worker died")


class SlurmResources(Settings):
    """Options of `--executor slurm`; what is not given is left to the cluster's defaults and `SBATCH_*` variables."""

    name: ClassVar[str] = "slurm"
    model_config = ConfigDict(coerce_numbers_to_str=True)  # an account may be a number

    cpus: int = Field(1, ge=1, description="cores of a unit; default one per device")
    gpus: int = Field(0, ge=0, description="GPUs of a unit; default one per device with --device cuda")
    minutes: int = Field(240, ge=1, description="time limit of a job; a unit that reaches it is queued again")
    mem_gb: float | None = Field(None, gt=0, description="memory of a job in GiB")
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    retries: int = Field(1, ge=0, description="how often a unit is submitted again whose job died")
    cluster: Literal["slurm", "local"] = Field("slurm", description="local: processes here, to try it out")


def read_resources(kind: type[R], given: Mapping[str, Any], *, devices: int, gpu: bool) -> R:
    """Return the resources of a unit.

    Args:
        kind: of which executor.
        given: what the user asks for.
        devices: that train one unit together.
        gpu: whether they are GPUs.

    Raises:
        UsageError: if an option is unknown or has a wrong value.
    """
    try:
        return kind.model_validate({"cpus": devices, "gpus": devices if gpu else 0, **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        problem = f"{key} is {first['input']!r}, expected {said}" if key else said
        raise UsageError(f"resources: {problem}") from None
