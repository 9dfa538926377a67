"""Between records and the columns of the index table."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from auharness.errors import DataError, PluginError
from auharness.records import ClipRecord, FrameRecord, LandmarkFile, Media, au_name

__all__ = ["clip_records", "clip_table", "frame_records", "frame_table"]

TEXT = pa.string()
NAMES = {"sample_id": TEXT, "dataset": TEXT, "subject": TEXT, "sequence": TEXT}
FRAME = {
    **NAMES,
    "frame": pa.int64(),
    "media_path": TEXT,
    "media_frame": pa.int32(),
    "landmarks_path": TEXT,
    "landmarks_kind": TEXT,
    "landmarks_frame": pa.int64(),
}
TIMED = {**FRAME, "time_s": pa.float64()}
CLIP = {
    **NAMES,
    "label": TEXT,
    "frames": pa.list_(pa.int64()),
    "media_path": pa.list_(TEXT),
    "media_frame": pa.list_(pa.int32()),
    "landmarks_path": pa.list_(TEXT),
    "landmarks_kind": pa.list_(TEXT),
    "landmarks_frame": pa.list_(pa.int64()),
}


def frame_table(records: Iterable[FrameRecord], outputs: Sequence[str]) -> pa.Table:
    """Return one row per frame, sorted by dataset, subject, sequence and frame.

    No video frame and no landmark frame are -1, no landmarks an empty path. Each output is an int8 column: 1, 0 or
    -1 for not coded. The column `time_s` is there where a record has a time; null in records without.

    Raises:
        DataError: if a sample occurs twice.
    """
    ordered = sorted(records, key=lambda r: (r.dataset, r.subject, r.sequence, r.frame))
    marks = [r.landmarks for r in ordered]
    columns: dict[str, list[Any]] = {
        "frame": [r.frame for r in ordered],
        "media_path": [r.media.path for r in ordered],
        "media_frame": [_number(r.media.frame) for r in ordered],
        "landmarks_path": [m.path if m else "" for m in marks],
        "landmarks_kind": [m.kind if m else "" for m in marks],
        "landmarks_frame": [m.frame if m else -1 for m in marks],
    }
    schema = FRAME
    if any(r.time_s is not None for r in ordered):
        columns["time_s"] = [r.time_s for r in ordered]
        schema = TIMED
    # readers of millions of rows let equal rows share their labels
    named = {id(labels): _by_au(labels) for labels in {id(r.labels): r.labels for r in ordered}.values()}
    return _table(ordered, columns, schema, [named[id(r.labels)] for r in ordered], outputs)


def clip_table(records: Iterable[ClipRecord], outputs: Sequence[str]) -> pa.Table:
    """Return one row per clip, sorted by dataset, subject and sequence; `frames`, media and landmarks are lists.

    A class name becomes one int8 column per class, 1 for the clip's class and 0 for the others.

    Raises:
        DataError: if a sample occurs twice or has a class that the dataset does not name.
    """
    ordered = sorted(records, key=lambda r: (r.dataset, r.subject, r.sequence))
    columns: dict[str, list[Any]] = {
        "label": [r.label for r in ordered],
        "frames": [list(r.frames) for r in ordered],
        "media_path": [[m.path for m in r.media] for r in ordered],
        "media_frame": [[_number(m.frame) for m in r.media] for r in ordered],
        "landmarks_path": [[m.path for m in r.landmarks] for r in ordered],
        "landmarks_kind": [[m.kind for m in r.landmarks] for r in ordered],
        "landmarks_frame": [[m.frame for m in r.landmarks] for r in ordered],
    }
    labels = [_by_au(r.labels) if r.label is None else _one_hot(r, outputs) for r in ordered]
    return _table(ordered, columns, CLIP, labels, outputs)


def frame_records(table: pa.Table, outputs: Sequence[str]) -> Iterator[FrameRecord]:
    """Yield the records of a frame table in row order."""
    aus = _aus(outputs)
    for row in _rows(table):
        path = row["landmarks_path"]
        yield FrameRecord(
            dataset=row["dataset"],
            subject=row["subject"],
            sequence=row["sequence"],
            frame=row["frame"],
            media=_media(row["media_path"], row["media_frame"]),
            labels={au: row[name] for au, name in aus},
            landmarks=LandmarkFile(path, row["landmarks_kind"], row["landmarks_frame"]) if path else None,
            time_s=row.get("time_s"),
        )


def clip_records(table: pa.Table, outputs: Sequence[str]) -> Iterator[ClipRecord]:
    """Yield the records of a clip table in row order."""
    aus = _aus(outputs)
    for row in _rows(table):
        marks = zip(row["landmarks_path"], row["landmarks_kind"], row["landmarks_frame"], strict=True)
        yield ClipRecord(
            dataset=row["dataset"],
            subject=row["subject"],
            sequence=row["sequence"],
            frames=tuple(row["frames"]),
            media=tuple(_media(p, f) for p, f in zip(row["media_path"], row["media_frame"], strict=True)),
            label=row["label"],
            labels={au: row[name] for au, name in aus},
            landmarks=tuple(LandmarkFile(*mark) for mark in marks),
        )


def _table(
    records: Sequence[FrameRecord | ClipRecord],
    columns: dict[str, list[Any]],
    schema: Mapping[str, Any],
    labels: Sequence[Mapping[str, int]],
    outputs: Sequence[str],
) -> pa.Table:
    clash = sorted(set(outputs) & set(schema))
    if clash:
        raise PluginError(f"the output name {clash[0]!r} is a column of the index; name the output otherwise")
    columns["sample_id"] = [r.id for r in records]
    for name in ("dataset", "subject", "sequence"):
        columns[name] = [getattr(r, name) for r in records]
    _refuse_twins(columns["sample_id"])
    arrays = {name: pa.array(columns[name], kind) for name, kind in schema.items()}
    for output in outputs:
        arrays[output] = pa.array([row.get(output, -1) for row in labels], pa.int8())
    return pa.table(arrays)


def _refuse_twins(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for sample in ids:
        if sample in seen:
            raise DataError(f"sample {sample} occurs twice; a frame or clip must be yielded once")
        seen.add(sample)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=4096):
        yield from batch.to_pylist()


def _by_au(labels: Mapping[int, int]) -> dict[str, int]:
    return {au_name(au): value for au, value in labels.items()}


def _one_hot(record: ClipRecord, outputs: Sequence[str]) -> dict[str, int]:
    if record.label not in outputs:
        raise DataError(f"clip {record.id}: class is {record.label!r}, expected one of {', '.join(outputs)}")
    return {output: int(output == record.label) for output in outputs}


def _aus(outputs: Sequence[str]) -> list[tuple[int, str]]:
    """Return (AU number, column) of outputs that are AUs; empty for classes."""
    return [(int(name[2:]), name) for name in outputs if re.fullmatch(r"AU\d+", name)]


def _media(path: str, frame: int) -> Media:
    return Media(path, None if frame < 0 else frame)


def _number(frame: int | None) -> int:
    return -1 if frame is None else frame
