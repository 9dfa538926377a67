"""The index: one sorted table of all coded frames or clips, read from the vendor's files once and cached as Parquet."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from auharness.api import DatasetPlugin
from auharness.data.cache_root import cache_root
from auharness.data.columns import clip_records, clip_table, frame_records, frame_table
from auharness.data.manifest import INDEX_VERSION, manifest, manifest_stat
from auharness.errors import DataError, UsageError, near
from auharness.records import ClipRecord, FrameRecord, Key
from auharness.results.atomic import digest, write_with

__all__ = ["Index", "Source", "build_index"]

META = b"auharness"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of one dataset come from."""

    dataset: str
    root: Path
    manifest: str
    """sha256 of label files, splits, media names and sizes."""
    fps: float
    """Frames per second of the recordings."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Split that comes with the data -> its sequences, sorted."""
    remarks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Part -> {what the reader put up with: how often}."""


@dataclass(frozen=True)
class Index:
    """Rows of one or more datasets; implements `IndexView`.

    The columns of a frame table are `sample_id, dataset, subject, sequence, frame, media_path, media_frame,
    landmarks_path, landmarks_kind, landmarks_frame`, where a dataset gives times `time_s` (seconds, null for none),
    then one int8 column per output (1, 0, -1 = not coded). A clip table has the text column `label` and the list column
    `frames` in place of `frame`, and lists of media and landmarks. Paths are relative to the root of the row's dataset.
    """

    arrow: pa.Table
    kind: str
    """`frame-multilabel`, `clip-multilabel` or `clip-multiclass`."""
    outputs: tuple[str, ...]
    sources: tuple[Source, ...]

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The table as pandas; row numbers are 0, 1, 2, ..."""
        return self.arrow.to_pandas()

    @property
    def manifests(self) -> dict[str, str]:
        """Dataset name -> manifest."""
        return {source.dataset: source.manifest for source in self.sources}

    @property
    def manifest(self) -> str:
        """The manifest of the only dataset, or a digest of all manifests."""
        return self.sources[0].manifest if len(self.sources) == 1 else digest(self.manifests)

    def source(self, dataset: str) -> Source:
        """Return the source of a dataset.

        Raises:
            UsageError: if the index does not hold the dataset.
        """
        for source in self.sources:
            if source.dataset == dataset:
                return source
        names = [source.dataset for source in self.sources]
        raise UsageError(f"no dataset '{dataset}' in the index{near(dataset, names)} (datasets: {', '.join(names)})")

    def subjects(self, dataset: str) -> tuple[str, ...]:
        """Subjects of a dataset that are on disk, sorted."""
        return self._names(dataset, "subject")

    def clips(self, dataset: str) -> tuple[str, ...]:
        """Sequences of a dataset that are on disk, sorted."""
        return self._names(dataset, "sequence")

    def split(self, dataset: str, name: str) -> tuple[str, ...]:
        """Sequences of a split that comes with the dataset, sorted; e.g. `fold1/train`.

        Raises:
            UsageError: if the index does not hold the dataset.
            DataError: if the dataset has no split of that name.
        """
        source = self.source(dataset)
        if name not in source.splits:
            known = ", ".join(source.splits) or "none"
            raise DataError(f"{source.root}: no split '{name}'{near(name, source.splits)} (splits: {known})")
        return source.splits[name]

    def rows(self, keys: Iterable[Key], *, key: str = "subject") -> NDArray[np.int64]:
        """Return the row numbers of split keys, ascending.

        Args:
            keys: (dataset, subject) or (dataset, clip) pairs; pairs without rows are ignored.
            key: what the keys name, `subject` or `clip`.
        """
        column = "subject" if key == "subject" else "sequence"
        wanted = {f"{dataset}\0{name}" for dataset, name in keys}
        pairs = self.table["dataset"] + "\0" + self.table[column]
        return np.flatnonzero(pairs.isin(wanted).to_numpy()).astype(np.int64)

    def labels(
        self, columns: Sequence[str] | None = None, *, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.int8]:
        """Return labels [n, columns] (1, 0, -1 = not coded) of all outputs or the named ones.

        Raises:
            UsageError: if a column is no output.
        """
        names = list(self.outputs if columns is None else columns)
        for name in names:
            if name not in self.outputs:
                known = ", ".join(self.outputs)
                raise UsageError(f"no output '{name}' in the index{near(name, self.outputs)} (outputs: {known})")
        values = np.stack([self.arrow[name].to_numpy() for name in names], axis=1).astype(np.int8, copy=False)
        return values if rows is None else values[rows]

    def classes(self) -> NDArray[np.int64]:
        """Return the class number [n] of each clip, its place in `outputs`; -1 without a class."""
        labels = self.labels()
        return np.where((labels == 1).any(axis=1), (labels == 1).argmax(axis=1), -1).astype(np.int64)

    def counts(self, rows: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (positives, coded) of each output in some rows, as `Task` takes them."""
        labels = self.labels(rows=rows)
        return tuple(map(int, (labels == 1).sum(axis=0))), tuple(map(int, (labels >= 0).sum(axis=0)))

    def records(self, rows: NDArray[np.int64] | None = None) -> Iterator[FrameRecord | ClipRecord]:
        """Yield the records of all rows or of some, in row order."""
        table = self.arrow if rows is None else self.arrow.take(rows)
        if self.kind == "frame-multilabel":
            yield from frame_records(table, self.outputs)
        else:
            yield from clip_records(table, self.outputs)

    @staticmethod
    def concat(indexes: Sequence["Index"]) -> "Index":
        """Join indexes of different datasets, sorted by dataset name; an output that a dataset lacks is -1 there.

        Raises:
            UsageError: if the kinds differ or a dataset occurs twice.
        """
        ordered = sorted(indexes, key=lambda index: index.sources[0].dataset)
        kinds = sorted({index.kind for index in ordered})
        if len(kinds) != 1:
            raise UsageError(f"datasets of different kinds cannot be joined: {', '.join(kinds)}")
        sources = tuple(source for index in ordered for source in index.sources)
        names = [source.dataset for source in sources]
        if len(set(names)) != len(names):
            raise UsageError(f"a dataset occurs twice in {', '.join(names)}")
        outputs = tuple(dict.fromkeys(name for index in ordered for name in index.outputs))
        timed = any("time_s" in index.arrow.column_names for index in ordered)
        tables = [_with_outputs(index.arrow, index.outputs, outputs, timed=timed) for index in ordered]
        return Index(pa.concat_tables(tables).combine_chunks(), kinds[0], outputs, sources)

    def _names(self, dataset: str, column: str) -> tuple[str, ...]:
        return tuple(sorted(self.table.loc[self.table["dataset"] == dataset, column].unique()))


def build_index(dataset: DatasetPlugin, *, cache: Path | None = None) -> Index:
    """Return the index of a dataset, from the cache if nothing below the root has changed.

    Args:
        dataset: reader with its root.
        cache: cache folder; default `cache_root()`.

    Raises:
        DataError: if the reader reports bad or missing files.
    """
    key = manifest_stat(dataset.root, dataset)
    path = (cache or cache_root()) / "index" / dataset.name / f"{key}.parquet"
    table = _cached(path)
    if table is None:
        table = _read(dataset)
        write_with(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
    stored = json.loads(table.schema.metadata[META])
    splits = {name: tuple(members) for name, members in stored["splits"].items()}
    source = Source(dataset.name, dataset.root, stored["manifest"], dataset.fps, splits, stored.get("remarks", {}))
    return Index(table, dataset.kind, tuple(stored["outputs"]), (source,))


def _read(dataset: DatasetPlugin) -> pa.Table:
    frames: list[FrameRecord] = []
    clips: list[ClipRecord] = []
    for record in dataset.records():
        if isinstance(record, FrameRecord):
            frames.append(record)
        else:
            clips.append(record)
    found, other = (frames, clips) if dataset.kind == "frame-multilabel" else (clips, frames)
    if other or not found:
        raise DataError(
            f"{dataset.name}: expected records of kind {dataset.kind} below {dataset.root}, "
            f"got {len(frames)} frames and {len(clips)} clips"
        )
    outputs = dataset.outputs
    table = frame_table(frames, outputs) if frames else clip_table(clips, outputs)
    media = [frame.media.path for frame in frames] + [frame.landmarks.path for frame in frames if frame.landmarks]
    media += [sound for name in {record.sequence for record in found} if (sound := dataset.audio(name)) is not None]
    media += [part.path for clip in clips for part in clip.media]
    media += [part.path for clip in clips for part in clip.landmarks]
    splits = _splits(dataset, set(table["sequence"].to_pylist()))
    as_published = not dataset.model_dump(exclude={"root"}, exclude_defaults=True)
    labels = "" if as_published else _labels_digest(table, outputs)
    stored = {
        "version": INDEX_VERSION,
        "outputs": list(outputs),
        "manifest": manifest(dataset.root, dataset.label_files(), media, splits=splits, labels=labels),
        "splits": splits,
        "remarks": {part: dict(counts) for part, counts in dataset.remarks().items()},
    }
    return table.replace_schema_metadata({META: json.dumps(stored)})


def _labels_digest(table: pa.Table, outputs: Sequence[str]) -> str:
    """Return the sha256 of what is labelled and how; columns stand in the order of the outputs."""
    found = hashlib.sha256("\0".join((*outputs, *table["sample_id"].to_pylist())).encode())
    for output in outputs:
        found.update(table[output].to_numpy().tobytes())
    return found.hexdigest()


def _splits(dataset: DatasetPlugin, sequences: set[str]) -> dict[str, list[str]]:
    """Return the splits of a dataset, sorted; a name without records would be lost from a fold unnoticed."""
    splits = {name: sorted(members) for name, members in dataset.splits().items()}
    for name, members in splits.items():
        twice = [one for one, other in pairwise(members) if one == other]
        if twice:
            raise DataError(f"{dataset.root}: split '{name}' lists {twice[0]} twice; check the split files")
        missing = [member for member in members if member not in sequences]
        if missing:
            raise DataError(
                f"{dataset.root}: split '{name}' lists {missing[0]}, which has no record ({len(missing)} such of "
                f"{len(members)}); check the split files and that all sequences are there"
            )
    return splits


def _cached(path: Path) -> pa.Table | None:
    """Return the cached table, or None where it is absent or not readable."""
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        return table if json.loads(table.schema.metadata[META])["version"] == INDEX_VERSION else None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def _with_outputs(table: pa.Table, own: Sequence[str], outputs: Sequence[str], *, timed: bool) -> pa.Table:
    """Return the table with all outputs in order, with times where another table has them, without its metadata."""
    names = [name for name in table.column_names if name not in own]
    arrays = {name: table[name] for name in names}
    if timed and "time_s" not in arrays:
        arrays["time_s"] = pa.nulls(table.num_rows, pa.float64())
    for output in outputs:
        absent = pa.array(np.full(table.num_rows, -1, np.int8))
        arrays[output] = table[output] if output in own else absent
    return pa.table(arrays)
