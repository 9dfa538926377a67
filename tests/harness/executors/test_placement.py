from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from auharness.errors import DataError, UsageError
from auharness.executors import placement
from auharness.executors.placement import Placement, place
from auharness.executors.resources import RayResources, SlurmResources
from auharness.runner import RunResult, make_request


@pytest.mark.parametrize(
    ("devices", "gpu", "given", "cpus", "gpus"),
    [(1, False, {}, 1, 0), (1, True, {}, 1, 1), (2, True, {"cpus": 8}, 8, 2), (2, False, {}, 2, 0)],
)
@pytest.mark.parametrize(("executor", "kind"), [("ray", RayResources), ("slurm", SlurmResources)])
def test_a_unit_gets_a_core_per_device_and_its_gpus_unless_told_otherwise(
    executor: str, kind: type, devices: int, gpu: bool, given: dict[str, int], cpus: int, gpus: int
) -> None:
    found = place(executor, given, devices=devices, gpu=gpu).resources
    assert isinstance(found, kind)
    assert found is not None and (found.cpus, found.gpus) == (cpus, gpus)


def test_local_processes_share_what_the_machine_has() -> None:
    assert place("local", {}, devices=1, gpu=True) == Placement(None)
    with pytest.raises(UsageError, match=r"^resources cpus: they go with --executor ray or slurm"):
        place("local", {"cpus": 2}, devices=1, gpu=False)


@pytest.mark.parametrize(
    ("executor", "given", "said"),
    [
        ("ray", {"cpu": 2}, "'ray' has no setting 'cpu'; did you mean 'cpus'?"),
        ("slurm", {"partitions": "short"}, "did you mean 'partition'?"),
        ("slurm", {"minutes": "many"}, "resources: minutes is 'many', expected a valid integer"),
        ("ray", {"gpus": -1}, "resources: gpus is -1, expected greater than or equal to 0"),
    ],
)
def test_a_wrong_resource_is_named(executor: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(executor, given, devices=1, gpu=False)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("executor", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_stops_before_anything_is_read(
    run_mini: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, package: str
) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(DataError) as caught:
        run_mini(executor=executor)
    install = 'run: pip install "auharness[dist]"'
    assert str(caught.value) == f"--executor {executor} needs {package}, not installed; {install}"
    assert caught.value.exit_code == 3
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--executor", "ray", "--resources", "cpus"), "--resources cpus: expected KEY=VALUE"),
        (("--executor", "rai"), "executor: expected one of local, ray, slurm, got 'rai'"),
    ],
)
def test_a_wrong_flag_is_one_line(command: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    answer = command("run", "--model", "constant", "--protocol", "bp4d-3fold", *words)
    assert answer.code == 2 and said in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_cluster_chooses_the_gpus(run_mini: Callable[..., RunResult]) -> None:
    with pytest.raises(UsageError, match="--device cuda:1: --executor ray chooses the GPUs; give --device cuda"):
        run_mini(executor="ray", device="cuda:1")


def test_flags_add_to_the_resources_of_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[run]\nexecutor = "slurm"\n[run.resources]\npartition = "short"\nminutes = 60\n')
    request = make_request(config=config, model="constant", protocol="bp4d-3fold", resources={"minutes": 10})
    assert (request.executor, dict(request.resources)) == ("slurm", {"partition": "short", "minutes": 10})
    with pytest.raises(UsageError, match=r"^run: resources is 3, expected a table$"):
        make_request(model="constant", protocol="bp4d-3fold", resources=3)
