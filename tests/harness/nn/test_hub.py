import logging
from importlib.util import find_spec
from pathlib import Path

import pytest

from auharness.nn.hub import FILES, TIMEOUT_S, fetch_folder, find_folder, lost_file

hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="needs `hf`")


def test_a_given_folder_is_taken_as_it_is_and_its_files_are_looked_for_by_pattern(tmp_path: Path):
    assert find_folder(str(tmp_path)) == tmp_path
    (tmp_path / "model-00001.safetensors").touch()
    assert lost_file(tmp_path, ("*.safetensors", "config.json")) == "config.json"
    assert lost_file(tmp_path, ("*.safetensors",)) is None


@hub
def test_what_was_never_fetched_is_nowhere_and_no_network_is_used(monkeypatch):
    import huggingface_hub

    asked = {}

    def download(source, **options):
        asked.update(options)
        raise huggingface_hub.errors.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_folder("some/where") is None and asked == {"local_files_only": True}


@hub
def test_only_files_without_code_are_fetched_and_the_client_keeps_still(tmp_path: Path, monkeypatch, caplog):
    import huggingface_hub

    asked = {}

    def download(source, **options):
        asked.update(options, source=source)
        logging.getLogger("huggingface_hub.utils").warning("again in 8 s")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch_folder("some/where") == tmp_path
    assert asked == {"source": "some/where", "allow_patterns": list(FILES), "etag_timeout": TIMEOUT_S}
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in FILES)
    assert not caplog.records
    logging.getLogger("huggingface_hub.utils").warning("said")
    assert logging.getLogger("huggingface_hub").level != logging.CRITICAL
