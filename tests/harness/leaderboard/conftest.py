"""Runs made by hand from the published counts: no data, no training, the real number of subjects."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auharness import registry
from auharness.leaderboard.published import published_folds
from auharness.metrics import binary_counts
from auharness.results.schema import ClusterCounts, DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder

MakeRun = Callable[..., RunFolder]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """Write a finished run whose hit and false-alarm rates are given."""
    return write_run


@pytest.fixture
def write(tmp_path: Path, micro_labels: Callable[..., Mapping[str, np.ndarray]]) -> Callable[..., None]:
    """Write a finished samm-loso run; `share` of its answers are wrong, `never` are AUs that it never predicts."""

    def run(
        *, model: str = "net", preset: str = "tiny", share: float = 0.1, never: tuple[int, ...] = (), **more: Any
    ) -> None:
        plugin, labels = registry.load("protocol", "samm-loso")(), micro_labels("samm")
        seeds, settings = more.get("seeds", (0,)), more.get("settings", {})
        origin = more.get("origin", "synthetic")
        size = {"synthetic": "tiny", "licensed": ""}[origin]
        data = DataInfo(origin=origin, verified=None, size=size, manifests={"samm": "aa" * 32})
        run_id = f"{model}-{preset}".replace(",", "-")
        folder = RunFolder(tmp_path / "samm-loso" / model / run_id)
        refs = [UnitRef(unit_id=f"{name}-{seed}", fold=name, seed=seed) for seed in seeds for name in labels]
        chance = np.random.default_rng(int(1000 * share))
        for ref in refs:
            target = labels[ref.fold]
            said = np.where(chance.random(target.shape) < share, 1 - target, target) == 1
            said[:, list(never)] = False
            counts = tuple(map(tuple, binary_counts(target, said).tolist()))
            record = UnitRecord(
                unit_id=ref.unit_id,
                run_id=run_id,
                model=model,
                protocol=plugin.name,
                protocol_version=plugin.version,
                fold=ref.fold,
                seed=ref.seed,
                preset=preset,
                settings=settings,
                data=data,
                kind="binary",
                columns=plugin.columns,
                outputs=plugin.columns,
                score_kind="logit",
                selection="last",
                threshold="fixed-0.5",
                thresholds=(0.0,) * 4,
                aggregation=plugin.aggregation,
                clusters=(ClusterCounts(name=ref.fold, n_rows=len(target), counts=counts),),
                train_positives=(18, 23, 46, 28),
                train_coded=(159,) * 4,
                n_train=154,
                n_frames=len(target),
                n_subjects=1,
                n_dropped={},
                metrics={"auroc": {"mean": 0.123}},
                files={},
            )
            path = folder.unit_folder(ref.unit_id) / "unit.json"
            path.parent.mkdir(parents=True)
            path.write_text(record.model_dump_json())
        made = RunRecord(
            run_id=run_id,
            request_hash="x",
            model=model,
            protocol=plugin.name,
            protocol_version=1,
            preset=preset,
            data_origin=origin,
            units=tuple(refs),
            folds_total=len(labels),
            pooled=more.get("pooled", {}),
        )
        (folder.path / "run.json").write_text(made.model_dump_json())

    return run


def write_run(
    root: Path,
    *,
    protocol: str = "bp4d-3fold",
    model: str = "my-net",
    preset: str = "paper",
    run_id: str = "",
    attempt: int = 1,
    hit: float = 0.7,
    alarm: float = 0.2,
    seeds: tuple[int, ...] = (0,),
    folds: tuple[str, ...] = (),
    noise: int = 0,
    **unit: Any,
) -> RunFolder:
    """Write `run.json` and every `unit.json`.

    Args:
        root: folder of runs.
        protocol: a protocol with published counts.
        model: name on the board.
        preset: name on the board.
        run_id: default made from model and preset.
        attempt: number of the attempt.
        hit: share of positives that are found.
        alarm: share of negatives that are called positive.
        seeds: each gets its own subject noise.
        folds: default all.
        noise: seed of the subject noise.
        unit: other fields of the unit records.
    """
    plugin = registry.load("protocol", protocol)()
    always, rates = published_folds(plugin)  # type: ignore[misc]  # these protocols have published counts
    run_id = run_id or f"{model}-{preset}".replace(",", "-")
    folder = RunFolder(root / protocol / model / (run_id if attempt == 1 else f"{run_id}-{attempt}"))
    chosen = [fold for fold in always if not folds or fold.name in folds]
    refs = [
        UnitRef(unit_id=f"{run_id}-{fold.name}-{seed}", fold=fold.name, seed=seed) for seed in seeds for fold in chosen
    ]
    smoke = bool(unit.get("smoke"))
    for ref in refs:
        fold = next(item for item in chosen if item.name == ref.fold)
        generator = np.random.default_rng([noise, ref.seed, sum(map(ord, ref.fold))])
        counts = _counts(fold.counts, hit, alarm, generator)
        fields: dict[str, Any] = {
            "settings": {},
            "data": DataInfo(origin="licensed", verified=True, manifests={"bp4d": "aa" * 32}),
            "metrics": {"f1": {"mean": 0.5}, "auroc": {"mean": 0.6}, "average-precision": {"mean": None}},
            "n_dropped": {"undecodable": 2},
            "n_no_face": 3,
            "parameters": 1234,
            "files": {},
            "selection": "last",
            "threshold": "fixed-0.5",
            **unit,
        }
        record = UnitRecord(
            unit_id=ref.unit_id,
            run_id=run_id,
            model=model,
            protocol=protocol,
            protocol_version=plugin.version,
            fold=ref.fold,
            seed=ref.seed,
            preset=preset,
            kind="binary",
            columns=plugin.columns,
            outputs=plugin.columns,
            score_kind="logit",
            thresholds=(0.0,) * len(plugin.columns),
            aggregation=plugin.aggregation,
            clusters=tuple(
                ClusterCounts(name=name, n_rows=int(row[0].sum()), counts=tuple(map(tuple, row.tolist())))
                for name, row in zip(fold.clusters, counts, strict=True)
            ),
            train_positives=tuple(int(1000 * rate) for rate in rates[fold.name]),
            train_coded=(1000,) * len(plugin.columns),
            n_train=1000,
            n_frames=int(counts[:, 0].sum()),
            n_subjects=len(fold.clusters),
            **fields,
        )
        path = folder.unit_folder(ref.unit_id) / "unit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json())
    data = unit.get("data")
    folder.path.mkdir(parents=True, exist_ok=True)
    run = RunRecord(
        run_id=run_id,
        attempt=attempt,
        request_hash="x",
        model=model,
        protocol=protocol,
        protocol_version=plugin.version,
        preset=preset,
        data_origin="licensed" if data is None else data.origin,
        units=tuple(refs),
        folds_total=len(always),
        smoke=smoke,
        headline="done",
    )
    (folder.path / "run.json").write_text(run.model_dump_json())
    return folder


def _counts(always: np.ndarray, hit: float, alarm: float, generator: np.random.Generator) -> np.ndarray:
    """Counts `[S, A, 4]` with each subject's rates a little off the given ones."""
    positives, negatives = always[..., 0], always[..., 1]
    spread = generator.uniform(-0.1, 0.1, (len(always), 1))
    found = (positives * np.clip(hit + spread, 0, 1)).astype(int)
    false = (negatives * np.clip(alarm - spread, 0, 1)).astype(int)
    return np.stack([found, false, positives - found, negatives - false], axis=-1)
