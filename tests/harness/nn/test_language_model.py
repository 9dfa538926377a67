from importlib.util import find_spec

import pytest
import torch

from auharness.errors import DataError, IntegrityError, UsageError
from auharness.nn import language_model
from auharness.nn.language_model import BACKBONES, base_width, check_backbone, checksum, load_base

pytestmark = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")

PROMPT = "Analyze the facial features to classify action units:"


def _tiny():
    return load_base("tiny-random", pretrained=False, dtype=torch.float32)


@pytest.mark.parametrize("name", ["qwen2-1.5b", "qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"])
def test_the_three_models_of_the_paper_have_1_54_billion_parameters_and_width_1536(name):
    with torch.device("meta"):
        base = load_base(name, pretrained=True, dtype=torch.bfloat16)
    # embeddings 233,373,696; 28 x (q 2,360,832, k and v 2 x 393,472, o 2,359,296, mlp 41,287,680, norms 3,072); norm
    assert sum(value.numel() for value in base.model.parameters()) == 233_373_696 + 28 * 46_797_824 + 1536
    assert (base_width(name), base.model.config.hidden_size) == (1536, 1536)
    assert not any(value.requires_grad for value in base.model.parameters())
    assert {value.dtype for value in base.model.parameters()} == {torch.bfloat16}


def test_random_weights_do_not_depend_on_the_random_numbers_of_the_process_and_leave_them_alone():
    language_model._loaded.cache_clear()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = _tiny()
    assert torch.equal(torch.get_rng_state(), before)
    language_model._loaded.cache_clear()
    torch.manual_seed(2)
    second = _tiny()
    assert first is not second and first.checksum == second.checksum


def test_a_process_loads_its_base_once():
    assert _tiny() is _tiny()


def test_the_checksum_sees_one_bit_the_order_and_the_length():
    tensors = [torch.randn(3, 5), torch.randn(2**20 + 7).to(torch.bfloat16)]
    known = checksum(tensors)
    assert 0 < known < 2**63 and checksum([value.clone() for value in tensors]) == known
    for place in (0, 2**20 + 6):
        changed = tensors[1].clone()
        changed.view(torch.int16)[place] ^= 1
        assert checksum([tensors[0], changed]) != known
    assert checksum(tensors[::-1]) != known
    swapped = tensors[0].flatten().flip(0).view(3, 5)
    assert checksum([swapped, tensors[1]]) != known
    assert checksum([torch.zeros(8)]) != checksum([torch.zeros(10)])
    # a part of a larger tensor begins anywhere
    assert checksum([torch.cat((torch.zeros(1), tensors[0].flatten()))[1:]]) == checksum([tensors[0].flatten()])


def test_a_changed_base_is_refused():
    base = _tiny()
    base.verify()
    weight = next(base.model.parameters())
    kept = weight.data[0, 0].item()
    weight.data[0, 0] += 1
    try:
        with pytest.raises(IntegrityError, match=f"expected {base.checksum:x} as loaded"):
            base.verify()
    finally:
        weight.data[0, 0] = kept
    base.verify()


def test_without_a_tokeniser_a_prompt_is_one_number_per_word_and_sign():
    ids = _tiny().token_ids(PROMPT)
    assert len(ids) == 9 and all(0 <= value < BACKBONES["tiny-random"].vocabulary for value in ids)
    assert _tiny().token_ids("the face") == _tiny().token_ids(" the  face ")


@pytest.mark.parametrize("name", ["qwen2", "hf:", "tiny"])
def test_an_unknown_backbone_is_refused_with_the_known_ones(name):
    with pytest.raises(UsageError, match=r"expected qwen2-1\.5b, .*hf:FOLDER.*got"):
        check_backbone(name)
    assert check_backbone("hf:some/model") == "hf:some/model"


def test_weights_that_are_not_there_are_one_line_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError) as caught:
        load_base(f"hf:{tmp_path / 'nothing'}", pretrained=True, dtype=torch.float32)
    assert "\n" not in str(caught.value) and "--set backbone=hf:FOLDER" in str(caught.value)


@pytest.mark.parametrize("missing", ["transformers", "peft"])
def test_a_missing_extra_is_one_line_that_names_the_install_command(monkeypatch, missing):
    found = language_model.find_spec
    monkeypatch.setattr(language_model, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(DataError, match=rf'needs {missing}, not installed; run: pip install "auharness\[hf\]"$'):
        _tiny()


def test_a_folder_gives_its_weights_and_its_tokeniser(tmp_path, capsys):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Model

    words = {"[UNK]": 0, "Analyze": 1, "the": 2, "face": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(tmp_path)
    torch.manual_seed(7)
    model = Qwen2Model(BACKBONES["tiny-random"].config())
    model.save_pretrained(tmp_path)
    capsys.readouterr()
    base = load_base(f"hf:{tmp_path}", pretrained=True, dtype=torch.float32)
    assert base.token_ids("the face Analyze it") == (2, 3, 1, 0)
    assert capsys.readouterr().err == ""
    with pytest.raises(DataError, match="finds no word in it"):
        base.token_ids(" ")
    assert base.checksum == checksum(model.parameters()) and base_width(f"hf:{tmp_path}") == 64
    random = load_base(f"hf:{tmp_path}", pretrained=False, dtype=torch.float32)
    assert random.checksum == _tiny().checksum != base.checksum
