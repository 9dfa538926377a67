import os
from pathlib import Path

import pytest

from auharness.errors import StorageError
from auharness.results import atomic
from auharness.results.atomic import canonical_json, digest, file_digest, read_json, write_bytes, write_json, write_with


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(StorageError, match="disk full"):
        write_with(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_between_written_and_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "below" / "a.bin"
    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(atomic, "write_point", lambda name: seen.append((name, path.exists())))
    write_bytes(path, b"new")
    assert seen == [("a.bin:begin", False), ("a.bin:written", False), ("a.bin:renamed", True)]


def test_content_is_on_disk_before_the_file_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        calls.append("fsync")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_bytes(tmp_path / "a.bin", b"new")
    assert calls == ["fsync", "rename", "fsync"]


def test_json_keeps_its_order_and_refuses_what_json_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": ["é", None]})
    assert path.read_text(encoding="utf-8").index('"b"') < path.read_text(encoding="utf-8").index('"a"')
    assert read_json(path) == {"b": 1, "a": ["é", None]}
    with pytest.raises(ValueError, match="Out of range float values"):
        write_json(path, {"score": float("nan")})
    assert read_json(path) == {"b": 1, "a": ["é", None]}


def test_a_digest_depends_on_content_and_not_on_the_order_of_keys(tmp_path: Path) -> None:
    assert digest({"a": 1, "b": [1.5]}) == digest({"b": [1.5], "a": 1}) != digest({"a": 1, "b": [1.25]})
    assert len(digest({}, 12)) == 12
    assert canonical_json({"b": 1, "a": "x"}) == '{"a":"x","b":1}'
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
