import copy
from importlib.util import find_spec

import pytest
import torch

from auharness.errors import IntegrityError
from auharness.nn.frame_encoder import Lora, frame_encoder
from auharness.nn.weights import load_matching

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def _dino(**lora):
    return frame_encoder("dinov2-random", image_size=56, lora=Lora(**lora), pretrained=False)


@needs_hf
def test_folds_share_the_frozen_weights_and_their_state_is_the_adapters():
    one, two = _dino(), _dino()
    frozen = [name for name, value in one.named_parameters() if not value.requires_grad]
    assert all(one.get_parameter(name).data_ptr() == two.get_parameter(name).data_ptr() for name in frozen)
    twin = copy.deepcopy(one)
    assert all(one.get_parameter(name).data_ptr() == twin.get_parameter(name).data_ptr() for name in frozen)
    assert all("lora_" in name or name == "base_checksum" for name in one.state_dict())
    two.load_state_dict(one.state_dict())
    assert load_matching(two, one.state_dict()) == []


@needs_hf
def test_a_changed_base_is_noticed_and_weights_of_another_are_refused():
    encoder = _dino()
    encoder.verify()
    name = next(name for name, value in encoder.named_parameters() if not value.requires_grad)
    encoder.get_parameter(name).data = encoder.get_parameter(name).data + 1
    with pytest.raises(IntegrityError, match="the frozen encoder changed"):
        encoder.verify()
    state = {**_dino().state_dict(), "base_checksum": torch.tensor(7)}
    with pytest.raises(IntegrityError, match="belong to another encoder"):
        _dino().load_state_dict(state)


@needs_hf
def test_only_the_adapters_know_of_training():
    encoder = _dino(dropout=0.5).train()
    assert not encoder.model.training and not encoder.model.encoder.training
    dropouts = [part for name, part in encoder.named_modules() if "lora_dropout" in name]
    assert dropouts and all(part.training for part in dropouts)
    assert not any(part.training for part in encoder.eval().modules())
