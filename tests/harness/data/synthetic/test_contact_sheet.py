import cv2
import numpy as np
import pytest

from auharness.data.synthetic import contact_sheet as module
from auharness.data.synthetic.contact_sheet import contact_sheet, main
from auharness.errors import UsageError


def test_a_sheet_has_a_cell_per_au_and_shows_each_off_and_on():
    sheet = contact_sheet([4, 12, (1, 2, 26)], domain="bp4d", seed=0, size=48)
    assert (sheet.dtype, sheet.shape) == (np.uint8, (24 + 2 * 48 + 18 + 8, 3 * (96 + 8) + 8, 3))
    for cell in range(3):
        left = 8 + cell * 104
        off = sheet[42:90, left : left + 48].astype(int)
        on = sheet[42:90, left + 48 : left + 96].astype(int)
        assert np.abs(off - on).mean() > 0.8


def test_an_au_that_cannot_be_shown_is_named():
    with pytest.raises(UsageError, match=r"AU \[99\]"):
        contact_sheet([99], domain="bp4d", seed=0, size=32)


def test_main_writes_a_readable_png(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "documentation_sheet", lambda: contact_sheet([12], domain="disfa", seed=0, size=32))
    target = tmp_path / "pictures" / "sheet.png"
    assert main([str(target)]) == 0
    assert cv2.imread(str(target)).shape == (24 + 64 + 26, 64 + 16, 3)


def test_main_without_a_path_is_a_usage_error():
    with pytest.raises(UsageError, match="one argument"):
        main([])
