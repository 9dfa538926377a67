"""Anyone's predictions as a csv file: read, checked row by row, and matched to the frames of an index."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auharness.data.index import Index
from auharness.errors import DataError, near

__all__ = ["PredictionTable", "read_predictions"]

ID = "sample_id"
FOLD = "fold"
PARTS = ("subject", "sequence", "frame")
OPTIONAL = (ID, "dataset", *PARTS, FOLD)
SHOWN = 5
"""Offending rows named in a message."""


@dataclass(frozen=True)
class PredictionTable:
    """Predictions matched to an index."""

    positions: NDArray[np.int64]
    """`[n]` row numbers in the index; -1 for a frame of a known sequence that has no label."""
    scores: NDArray[np.float64]
    """`[n, A]` in the order of the asked columns."""
    folds: tuple[str, ...] | None
    """Fold of each row, where the file names it."""

    @property
    def n_uncoded(self) -> int:
        """Rows for frames without a label; they are not scored."""
        return int((self.positions < 0).sum())


def read_predictions(path: Path, index: Index, columns: Sequence[str], *, probability: bool) -> PredictionTable:
    """Read a csv file with a header.

    Rows are named by `sample_id` (`dataset/sequence/frame`), or by `sequence` and `frame` with `subject` and `dataset`
    where the sequence alone is ambiguous; `fold` is optional. Scores stand in columns named like the labels, `AU12`.

    Args:
        path: the file; comma-separated, UTF-8, with or without a byte-order mark.
        index: rows that can be predicted.
        columns: labels that must be there.
        probability: whether scores must lie in [0, 1].

    Raises:
        DataError: if a column is missing or unknown, a score is no number, or a sample is unknown or occurs twice.
    """
    table = _read(path)
    _check_header(path, list(table.columns), columns, index.outputs)
    scores = _scores(path, table, columns, probability=probability)
    folds = tuple(table[FOLD]) if FOLD in table.columns else None
    ids = _ids(path, table, index)
    positions = _match(path, ids, index)
    keys = ids if folds is None else ids + "\0" + pd.Series(folds)
    twice = np.flatnonzero(keys.duplicated().to_numpy())
    if len(twice):
        raise DataError(f"{path}: {_rows(twice)}: sample {ids[twice[0]]} occurs twice; expected one row per sample")
    return PredictionTable(positions, scores, folds)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected predictions as csv") from None
    except (ValueError, OSError) as error:  # pandas' parser errors and wrong encodings are ValueErrors
        raise DataError(f"{path}: expected a csv file in UTF-8: {str(error).splitlines()[0]}") from None
    if table.empty:
        raise DataError(f"{path}: expected predictions, got no row")
    return table.rename(columns=str.strip)


def _check_header(path: Path, header: list[str], columns: Sequence[str], outputs: Sequence[str]) -> None:
    known = (*OPTIONAL, *outputs)
    for name in header:
        if name not in known:
            hint = near(name.upper() if name.upper().startswith("AU") else name, known)
            raise DataError(f"{path}: unknown column '{name}'{hint} (columns: {', '.join(known)})")
    for name in columns:
        if name not in header:
            raise DataError(f"{path}: column {name} is missing; the protocol scores {', '.join(columns)}")
    if ID not in header and not {"sequence", "frame"} <= set(header):
        raise DataError(f"{path}: expected a column {ID}, or sequence and frame; got {', '.join(header)}")


def _scores(path: Path, table: pd.DataFrame, columns: Sequence[str], *, probability: bool) -> NDArray[np.float64]:
    scores = np.empty((len(table), len(columns)))
    for place, name in enumerate(columns):
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        bad = ~np.isfinite(values)
        expected = "a finite number"
        if probability:
            bad |= (values < 0) | (values > 1)
            expected = "a probability from 0 to 1 (or give --score-kind logit)"
        if bad.any():
            rows = np.flatnonzero(bad)
            raise DataError(f"{path}: {_rows(rows)}: {name} is {table[name][rows[0]]!r}, expected {expected}")
        scores[:, place] = values
    return scores


def _ids(path: Path, table: pd.DataFrame, index: Index) -> pd.Series:
    """Return the sample id of each row."""
    if ID in table.columns:
        return table[ID]
    frames = pd.to_numeric(table["frame"], errors="coerce")
    bad = np.flatnonzero((frames.isna() | (frames % 1 != 0)).to_numpy())
    if len(bad):
        raise DataError(f"{path}: {_rows(bad)}: frame is {table['frame'][bad[0]]!r}, expected a whole number")
    names = sorted(source.dataset for source in index.sources)
    if "dataset" not in table.columns and len(names) > 1:
        raise DataError(f"{path}: expected a column dataset with one of {', '.join(names)}")
    dataset = table["dataset"] if "dataset" in table.columns else names[0]
    return dataset + "/" + _sequences(table, index) + "/" + frames.astype(int).astype(str)


def _sequences(table: pd.DataFrame, index: Index) -> pd.Series:
    """Return the index's sequence names; `T1` of subject `F001` may stand for `F001/T1`."""
    sequence = table["sequence"]
    if "subject" not in table.columns:
        return sequence
    known = set(index.table["sequence"])
    joined = table["subject"] + "/" + sequence
    return sequence.where(sequence.isin(known) | ~joined.isin(known), joined)


def _match(path: Path, ids: pd.Series, index: Index) -> NDArray[np.int64]:
    places = pd.Series(np.arange(len(index)), index=index.table["sample_id"])
    positions = places.reindex(ids).fillna(-1).to_numpy(np.int64)
    sequences = set(index.table["dataset"] + "/" + index.table["sequence"])
    lost = np.flatnonzero(positions < 0)
    odd = [int(row) for row in lost if ids[row].rpartition("/")[0] not in sequences]
    if odd:
        example = near(ids[odd[0]], _few(index.table["sample_id"]))
        raise DataError(f"{path}: {_rows(odd)}: no sample '{ids[odd[0]]}' in the data{example}")
    return positions


def _rows(rows: Iterable[int]) -> str:
    """Line numbers as an editor shows them: the header is line 1."""
    listed = [int(row) + 2 for row in rows]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return f"line{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed[:SHOWN]))}{more}"


def _few(ids: pd.Series, count: int = 200) -> list[str]:
    """Some ids, spread over the index: near matches against all would take minutes."""
    return list(ids.iloc[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)])
