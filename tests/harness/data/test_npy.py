import numpy as np
import pytest

from auharness.data.npy import NpyWriter, open_npy


@pytest.mark.parametrize("rows", [0, 1, 1234])
def test_appended_rows_come_back_as_one_read_only_array(tmp_path, rows):
    values = np.arange(rows * 6, dtype=np.int16).reshape(rows, 3, 2)
    with NpyWriter(tmp_path / "a.npy", (3, 2), np.int16) as writer:
        for row in values[:5]:
            writer.append(row)
        writer.append(values[5:])
    read = open_npy(tmp_path / "a.npy")
    assert np.array_equal(read, np.load(tmp_path / "a.npy")) and np.array_equal(read, values)
    assert isinstance(read, np.memmap) == (rows > 0)
    if rows:
        with pytest.raises(ValueError, match="read-only"):
            read[0] = 1


def test_a_row_of_another_type_is_refused(tmp_path):
    with NpyWriter(tmp_path / "a.npy", (3,), np.uint8) as writer, pytest.raises(ValueError, match="float64"):
        writer.append(np.zeros(3))


def test_a_failed_writer_leaves_no_header_that_claims_rows(tmp_path):
    with pytest.raises(KeyError), NpyWriter(tmp_path / "a.npy", (3,), np.uint8) as writer:
        writer.append(np.zeros(3, np.uint8))
        raise KeyError
    assert len(open_npy(tmp_path / "a.npy")) == 0
