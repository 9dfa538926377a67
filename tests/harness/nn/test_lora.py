import copy
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from auharness.errors import IntegrityError
from auharness.nn.language_model import load_base
from auharness.nn.lora import LanguageReader

pytestmark = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")

WIDTH = 64


@pytest.fixture
def base():
    return load_base("tiny-random", pretrained=False, dtype=torch.float32)


def _reader(base, **options):
    return LanguageReader(base, prompt="one two three", **options)


def _adapters(module):
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


def _train(reader, steps=3):
    learned = list(_adapters(reader).values())
    optimiser = torch.optim.Adam(learned, lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        reader(torch.randn(4, 1, WIDTH)).square().sum().backward()
        optimiser.step()


def test_a_1_5b_model_gets_2_179_072_adapter_parameters():
    with torch.device("meta"):
        reader = LanguageReader(load_base("qwen2-1.5b", pretrained=True, dtype=torch.bfloat16), prompt="one two")
        state = reader(torch.zeros(3, 1, 1536))
    found = _adapters(reader)
    # 28 layers; rank 16 x (1536 + 1536) for q, 16 x (1536 + 256) for v
    assert sum(value.numel() for value in found.values()) == 28 * (49_152 + 28_672) == 2_179_072
    assert len(found) == 28 * 4 and all("q_proj.lora_" in n or "v_proj.lora_" in n for n in found)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert state.shape == (3, 1536) and state.dtype == torch.float32


@pytest.mark.parametrize("prompt_first", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_fresh_adapters_give_the_last_state_of_the_frozen_model(base, prompt_first, count):
    reader = _reader(base, prompt_first=prompt_first).eval()
    tokens = torch.randn(3, count, WIDTH)
    words = base.model.get_input_embeddings()(torch.tensor(base.token_ids("one two three"))).expand(3, -1, -1)
    sequence = torch.cat((words, tokens) if prompt_first else (tokens, words), dim=1)
    # the library's own causal mask
    truth = base.model(inputs_embeds=sequence).last_hidden_state[:, -1]
    torch.testing.assert_close(reader(tokens), truth)


def test_the_adapters_are_added_as_their_paper_says(base):
    reader = _reader(base, rank=2, alpha=6, dropout=0.0)
    _train(reader)
    attention = reader.model.layers[0].self_attn
    x = torch.randn(5, WIDTH)
    for layer in (attention.q_proj, attention.v_proj):
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        wanted = layer.base_layer(x) + 6 / 2 * (x @ down.T) @ up.T
        torch.testing.assert_close(layer(x), wanted)
        assert (wanted - layer.base_layer(x)).abs().max() > 0.01
    assert isinstance(attention.k_proj, nn.Linear) and isinstance(attention.o_proj, nn.Linear)


def test_training_changes_the_adapters_and_no_bit_of_the_base(base):
    reader = _reader(base)
    fresh = {name: value.clone() for name, value in _adapters(reader).items()}
    _train(reader)
    assert all(not torch.equal(value, fresh[name]) for name, value in _adapters(reader).items())
    reader.verify()
    base.verify()


def test_a_base_that_training_changed_is_refused(base):
    # a base of its own: the shared one must stay whole
    own = type(base)(copy.deepcopy(base.model), base.token_ids, base.checksum)
    reader = _reader(own)
    reader.verify()
    reader.model.layers[1].mlp.up_proj.weight.data[3, 4] += 1e-6
    with pytest.raises(IntegrityError, match="changed while it was trained"):
        reader.verify()
    with pytest.raises(IntegrityError, match="as loaded"):
        own.verify()


def test_the_next_fold_has_the_adapters_of_a_first_one(base):
    torch.manual_seed(5)
    first = {name: value.clone() for name, value in _adapters(_reader(base)).items()}
    other = _reader(base)
    _train(other)
    torch.manual_seed(5)
    second = _adapters(_reader(base))
    assert all(torch.equal(value, first[name]) for name, value in second.items())
    assert not hasattr(base.model.layers[0].self_attn.q_proj, "lora_A")


def test_folds_and_copies_share_the_memory_of_the_base(base):
    reader = _reader(base)
    twin = copy.deepcopy(reader)
    for part in (reader, twin):
        own = part.model.layers[0].mlp.up_proj.weight
        assert own.data_ptr() == base.model.layers[0].mlp.up_proj.weight.data_ptr()
    mine, copied = (part.model.layers[0].self_attn.q_proj.lora_A["default"].weight for part in (reader, twin))
    assert mine.data_ptr() != copied.data_ptr() and torch.equal(mine, copied)


def test_a_cast_of_a_copy_leaves_the_base_as_it_is(base):
    reader = _reader(base)
    copy.deepcopy(reader).double()
    assert {value.dtype for value in reader.parameters()} == {torch.float32}
    reader.double()
    base.verify()


def test_the_state_holds_adapters_prompt_and_checksum_and_comes_back(base):
    module = nn.ModuleDict({"head": nn.Linear(2, 2), "llm": _reader(base)})
    _train(module["llm"])
    state = module.state_dict()
    learned = {name for name, value in module.named_parameters() if value.requires_grad}
    assert set(state) == learned | {"llm.prompt_ids", "llm.base_checksum"}
    assert int(state["llm.base_checksum"]) == base.checksum
    assert tuple(state["llm.prompt_ids"].tolist()) == base.token_ids("one two three")
    other = nn.ModuleDict({"head": nn.Linear(2, 2), "llm": _reader(base)})
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    tokens = torch.randn(2, 1, WIDTH)
    torch.testing.assert_close(other["llm"].eval()(tokens), module["llm"].eval()(tokens), rtol=0, atol=0)


def test_a_state_without_an_adapter_is_refused(base):
    reader = _reader(base)
    state = reader.state_dict()
    del state["model.layers.0.self_attn.q_proj.lora_A.default.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*layers\.0\.self_attn\.q_proj\.lora_A\.default\.weight"):
        reader.load_state_dict(state)


def test_weights_of_another_language_model_are_refused(base):
    reader = _reader(base)
    state = reader.state_dict()
    state["base_checksum"] = state["base_checksum"] + 1
    with pytest.raises(IntegrityError, match="belong to another language model"):
        reader.load_state_dict(state)


def test_without_adapters_nothing_learns_and_the_token_still_gets_its_gradient(base):
    reader = _reader(base, rank=0)
    assert _adapters(reader) == {}
    token = torch.randn(2, 1, WIDTH, requires_grad=True)
    reader(token).sum().backward()
    assert token.grad.abs().max() > 0
    assert set(reader.state_dict()) == {"prompt_ids", "base_checksum"}


def test_a_half_precision_base_keeps_its_adapters_and_its_answer_in_single():
    base = load_base("tiny-random", pretrained=False, dtype=torch.bfloat16)
    reader = _reader(base)
    assert {value.dtype for value in _adapters(reader).values()} == {torch.float32}
    out = reader(torch.randn(2, 1, WIDTH))
    assert out.dtype == torch.float32
    out.sum().backward()
    assert all(value.grad.isfinite().all() for value in _adapters(reader).values())
    reader.verify()
