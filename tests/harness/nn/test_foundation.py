from importlib.util import find_spec
from pathlib import Path

import pytest

from auharness.errors import DataError, UsageError
from auharness.nn import foundation
from auharness.nn.foundation import check_foundation, fetch_foundation, missing_foundation

needs_hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="needs `hf`")


def test_names_of_encoders():
    assert check_foundation("hf:some/where", ("dinov2",)) == "hf:some/where"
    with pytest.raises(UsageError, match="did you mean 'dinov2-vitl14'"):
        check_foundation("dinov2-vitl4", ("dinov2", "vit"))
    with pytest.raises(UsageError, match="got 'wavlm-large'"):
        check_foundation("wavlm-large", ("dinov2", "vit"))


def test_random_weights_of_a_known_encoder_need_no_file():
    for name, pretrained in (("dinov2-vitl14", False), ("dinov2-random", True)):
        assert missing_foundation(name, pretrained=pretrained) == ""
        fetch_foundation(name, pretrained=pretrained)


def test_the_first_file_that_a_folder_lacks_is_named_and_nothing_is_fetched_into_it(tmp_path: Path):
    name = f"hf:{tmp_path}"
    for lost, made in (("config.json", "config.json"), (r"\*.safetensors", "model.safetensors")):
        with pytest.raises(DataError, match=rf"encoder '{tmp_path}': no {lost} in {tmp_path}; .*vision=hf:FOLDER"):
            fetch_foundation(name, pretrained=True)
        (tmp_path / made).touch()
    assert missing_foundation(name, pretrained=True) == ""
    (tmp_path / "model.safetensors").unlink()
    # of random weights only the sizes are read
    assert missing_foundation(name, pretrained=False) == ""


@needs_hub
def test_what_is_not_here_is_fetched_once_and_one_line_says_why_it_could_not_be(tmp_path: Path, monkeypatch):
    asked = []
    monkeypatch.setattr(foundation, "find_folder", lambda source: tmp_path if asked else None)

    def fetch(source):
        asked.append(source)
        (tmp_path / "config.json").touch()
        (tmp_path / "model.safetensors").touch()
        return tmp_path

    monkeypatch.setattr(foundation, "fetch_folder", fetch)
    assert missing_foundation("wavlm-large", pretrained=True).startswith(
        "encoder 'microsoft/wavlm-large': not on this machine; fetch it"
    )
    for _ in range(2):
        fetch_foundation("wavlm-large", pretrained=True)
    assert asked == ["microsoft/wavlm-large"]

    def fail(source):
        raise ConnectionError("no network\nand a long story")

    monkeypatch.setattr(foundation, "find_folder", lambda source: None)
    monkeypatch.setattr(foundation, "fetch_folder", fail)
    with pytest.raises(DataError, match=r"encoder 'microsoft/wavlm-large': no network; fetch it on a machine"):
        fetch_foundation("wavlm-large", pretrained=True)
