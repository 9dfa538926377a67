from pathlib import Path

from auharness.data.cache_root import cache_root, crop_folder


def test_the_own_variable_wins_over_xdg_and_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AUHARNESS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / ".cache" / "auharness"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "auharness"
    monkeypatch.setenv("AUHARNESS_CACHE", "~/own")
    assert cache_root() == tmp_path / "own"
    assert crop_folder("bp4d", "ab12") == Path(tmp_path, "own", "crops", "bp4d", "ab12")
