"""Arrays on disk that grow row by row and are read as memory maps."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NpyWriter", "open_npy", "sync_folder"]


class NpyWriter:
    """Write a `.npy` file of as many rows as are appended, without holding them in memory.

    On leaving the `with` block the row count is put into the header and the file is flushed to disk.

    Args:
        path: the file, replaced if it exists.
        row_shape: shape of one row.
        dtype: element type.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._file = path.open("wb")
        self._row_shape = row_shape
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self._header_bytes = self._write_header()

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                # numpy pads the header so that a longer row count fits
                if self._write_header() != self._header_bytes:
                    raise RuntimeError("the header grew over the first row")
                self._file.flush()
                os.fsync(self._file.fileno())

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Append one row or a block of rows.

        Raises:
            ValueError: if shape or type differ from the file's.
        """
        block = rows[None] if rows.shape == self._row_shape else rows
        if block.shape[1:] != self._row_shape or block.dtype != self._dtype:
            raise ValueError(f"expected rows of {self._row_shape} {self._dtype}, got {rows.shape} {rows.dtype}")
        self._file.write(np.ascontiguousarray(block).data)
        self._rows += len(block)

    def _write_header(self) -> int:
        shape = (self._rows, *self._row_shape)
        descr = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(self._file, {"descr": descr, "fortran_order": False, "shape": shape})
        return self._file.tell()


def open_npy(path: Path) -> npt.NDArray[Any]:
    """Open a `.npy` file as a read-only memory map; a file of no rows is read, as it cannot be mapped.

    Raises:
        ValueError: if the file is damaged.
        OSError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            empty = 0 in np.lib.format.read_array_header_1_0(file)[0]
        array: npt.NDArray[Any] = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # numpy parses the header as Python and raises what its parser does
        raise ValueError(f"{path}: not a whole npy file ({' '.join(str(error).split()):.200})") from error
    return array


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut; nothing on Windows."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
