"""Which rows train, validate and test in one fold, as columns that batches are made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from auharness.api import DatasetPlugin, ModelPlugin, ProtocolPlugin, Recipe
from auharness.data.cache import CropCache
from auharness.data.index import Index
from auharness.data.kept_frames import KeptStore
from auharness.data.sound import SoundStore
from auharness.errors import DataError
from auharness.metrics import objective
from auharness.records import Key, Task
from auharness.training.augment import frames_of
from auharness.training.clip_source import ClipSource
from auharness.training.source import CropSource, Rows
from auharness.training.window_source import WindowSource

__all__ = ["Part", "make_source", "make_task", "part_at", "sounds_of", "split_validation", "take_part"]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one part of a fold."""

    positions: np.ndarray
    """`[N]` row numbers in the index."""
    rows: Rows
    keys: tuple[str, ...]
    """The split key of each row."""
    n_missing: int = 0
    """Rows left out because their pixels could not be decoded."""
    n_missing_frames: int = 0
    """Frames that are missing, for the same reason, in clips that have others."""

    def take(self, which: np.ndarray) -> "Part":
        """Return the rows at these places."""
        keys = tuple(self.keys[i] for i in which)
        return replace(self, positions=self.positions[which], rows=self.rows.take(which), keys=keys)

    def coded(self, labels: np.ndarray) -> "Part":
        """Return the rows with at least one coded label; `labels` `[M,A]` of the whole index."""
        return self.take(np.flatnonzero((labels[self.positions] >= 0).any(axis=1)))

    def targets(self, index: Index, labels: np.ndarray) -> np.ndarray:
        """Return what a loss compares with: `[N,A]` int8, or `[N]` class numbers."""
        return index.classes()[self.positions] if index.kind == "clip-multiclass" else labels[self.positions]


def take_part(
    index: Index, ids: Iterable[Key], *, key: str, caches: Mapping[str, CropCache], limit: int | None = None
) -> Part:
    """Return the rows of split keys that have crops, in the order of the index.

    Args:
        index: all rows.
        ids: (dataset, subject) or (dataset, clip) pairs.
        key: what the ids name.
        caches: dataset name -> prepared crops.
        limit: keep this many rows, spread evenly.

    Raises:
        DataError: if no row is left.
    """
    positions = index.rows(ids, key=key)
    if limit is not None and len(positions) > limit:
        positions = positions[np.linspace(0, len(positions) - 1, limit).round().astype(int)]
    part = part_at(index, positions, key=key, caches=caches)
    if not len(part.positions):
        raise DataError(f"no decodable row among {len(positions)} rows of {', '.join(sorted({d for d, _ in ids}))}")
    return part


def part_at(index: Index, positions: np.ndarray, *, key: str, caches: Mapping[str, CropCache]) -> Part:
    """Return those of some rows that have crops, in the given order.

    Args:
        index: all rows.
        positions: row numbers in it.
        key: what the split keys of the rows name.
        caches: dataset name -> prepared crops.
    """
    table = index.table.iloc[positions]
    fps = {source.dataset: source.fps for source in index.sources}
    rates = table["dataset"].map(fps).to_numpy(np.float64)
    frames, first = _frame_numbers(table)
    rows = Rows(
        sample_ids=table["sample_id"].tolist(),
        subjects=table["subject"].tolist(),
        datasets=table["dataset"].tolist(),
        sequences=table["sequence"].tolist(),
        frames=frames,
        time_s=_times(table, first / rates),
    )
    part = Part(positions, rows, tuple(table["subject" if key == "subject" else "sequence"]))
    wanted, found = _frames_found(rows, caches)
    present = found > 0
    lost = int((wanted - found)[present].sum())
    return replace(part.take(np.flatnonzero(present)), n_missing=int((~present).sum()), n_missing_frames=lost)


def split_validation(part: Part, recipe: Recipe, *, key: str, seed: int) -> tuple[Part, Part | None]:
    """Hold out whole training keys (subjects or clips) when the recipe selects by `inner-val`.

    Raises:
        DataError: if fewer than two keys train.
    """
    if recipe.selection != "inner-val":
        return part, None
    names = sorted(set(part.keys))
    if len(names) < 2:
        raise DataError(
            f"inner-val: expected at least two training {key}s, got {len(names)}; use --set recipe.selection=last"
        )
    count = min(max(1, round(recipe.inner_val_share * len(names))), len(names) - 1)
    held_out = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    inside = np.array([name in held_out for name in part.keys])
    return part.take(np.flatnonzero(~inside)), part.take(np.flatnonzero(inside))


def make_source(
    part: Part,
    plugin: ModelPlugin,
    *,
    kind: str,
    caches: dict[str, CropCache],
    targets: np.ndarray | None = None,
    sounds: Mapping[str, SoundStore] | None = None,
) -> CropSource:
    """Return the batches of a part as a model reads them.

    Args:
        part: its rows.
        plugin: says how crops are cut and varied.
        kind: of the dataset; frames, windows of frames or clips follow from it.
        caches: dataset name -> prepared crops.
        targets: from `Part.targets`; None for rows without labels.
        sounds: dataset name -> its sounds, for windows with sound.
    """
    given: dict[str, Any] = {"targets": targets, "preprocess": plugin.preprocess, "augment": plugin.augment}
    if plugin.per_frame:
        return WindowSource(part.rows, caches, sounds=sounds, kept=_kept(plugin, caches), **given)
    return (CropSource if kind == "frame-multilabel" else ClipSource)(part.rows, caches, **given)


def sounds_of(plugin: ModelPlugin, datasets: Mapping[str, DatasetPlugin]) -> dict[str, SoundStore] | None:
    """Return dataset name -> its sounds for a model that hears; None for one that does not."""
    return {name: SoundStore(dataset) for name, dataset in datasets.items()} if "audio" in plugin.inputs else None


def _kept(plugin: ModelPlugin, caches: Mapping[str, CropCache]) -> dict[str, KeptStore] | None:
    """Dataset name -> what is kept of its frames, for a model that has it so."""
    kept, preprocess = plugin.kept_frames(), plugin.preprocess
    if kept is None:
        return None
    batch = partial(frames_of, preprocess=preprocess)
    key = preprocess.model_dump_json(include={"crop", "channels", "mean", "std", "enhance", "enhance_test"})
    return {name: KeptStore(name, crops, kept, batch=batch, batch_key=key) for name, crops in caches.items()}


def make_task(
    index: Index,
    outputs: tuple[str, ...],
    train: np.ndarray,
    *,
    labels: np.ndarray,
    plugin: ModelPlugin,
    protocol: ProtocolPlugin,
) -> Task:
    """Return what the model may know: names, sizes, counts of the training rows alone, and what is to be maximised.

    Args:
        index: all rows.
        outputs: names of the model's outputs.
        train: `[N]` row numbers that train.
        labels: `[M,A]` of the whole index.
        plugin: gives the sizes.
        protocol: names the dataset that trains, and the headline.
    """
    coded = labels[train]
    return Task(
        outputs=outputs,
        kind=index.kind,
        dataset=protocol.train_on[0],
        positives=tuple(map(int, (coded == 1).sum(axis=0))),
        coded=tuple(map(int, (coded >= 0).sum(axis=0))),
        image_size=plugin.preprocess.crop,
        frames=plugin.preprocess.frames,
        objective=objective(protocol.headline).name,
    )


def _frame_numbers(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame number of each row, or an array of them per clip, and the first of each."""
    if "frame" in table:
        frames = table["frame"].to_numpy(np.int64)
        return frames, frames
    clips = np.empty(len(table), object)
    clips[:] = [np.asarray(numbers, np.int64) for numbers in table["frames"]]
    return clips, np.array([numbers[0] for numbers in clips], np.int64)


def _times(table: pd.DataFrame, counted: np.ndarray) -> np.ndarray:
    """Return the time of each row in seconds: as the dataset gives it, or as counted from the frame numbers."""
    if "time_s" not in table:
        return counted
    given = table["time_s"].to_numpy(np.float64)
    return np.where(np.isnan(given), counted, given)


def _frames_found(rows: Rows, caches: Mapping[str, CropCache]) -> tuple[np.ndarray, np.ndarray]:
    """Return how many frames each row has, `[N]`, and how many of them have a crop."""
    known: dict[tuple[str, str], set[int]] = {}
    wanted, found = np.empty((2, len(rows)), np.int64)
    for number, (dataset, sequence, frames) in enumerate(zip(rows.datasets, rows.sequences, rows.frames, strict=True)):
        if (dataset, sequence) not in known:
            known[dataset, sequence] = set(caches[dataset].sequence(sequence).frames.tolist())
        own = set(np.atleast_1d(frames).tolist())
        wanted[number], found[number] = len(own), len(own & known[dataset, sequence])
    return wanted, found
