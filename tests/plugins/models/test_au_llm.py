"""The network of au-llm and its folds: sizes, what is read, what is trained, kept and started from."""

from importlib.util import find_spec

import pytest
import torch
from torch.nn import functional as F

import auharness
from auharness.errors import IntegrityError
from auharness.losses import asl
from auharness.nn.language_model import load_base
from auharness.nn.lora import LanguageReader
from auharness.records import Task
from auharness.settings import resolve
from auharness.testing import fake_batch
from auharness.training.checkpoint import load_state
from auharness.training.seed import generator
from auharness.training.unit import TrainingUnit, make_fabric
from auharness_plugins.models.au_llm import AULLM

pytestmark = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")

CASME2 = (1, 2, 4, 7, 12, 14, 15, 17)
CONTROLS = ("no-llm", "random-llm", "frozen-llm")
BUFFERS = {"running_mean", "running_var", "num_batches_tracked", "prompt_ids", "base_checksum"}


def _plugin(*presets, **settings):
    return resolve(AULLM, presets=presets, layers=[("test", settings)]).plugin


def _task(plugin, aus=CASME2):
    outputs = tuple(f"AU{au}" for au in aus)
    counts = (len(aus) * (30,), len(aus) * (240,))
    return Task(outputs, "clip-multilabel", "casme2", *counts, plugin.preprocess.crop, plugin.preprocess.frames)


def _built(*presets, seed=0, **settings):
    plugin = _plugin(*presets, **settings)
    torch.manual_seed(seed)
    return plugin, plugin.build(_task(plugin))


def _on_meta(*presets, **settings):
    with torch.device("meta"):
        return _built(*presets, **settings)[1]


def _learned(module):
    return sum(value.numel() for value in module.parameters() if value.requires_grad)


class Clips:
    """Random clips in memory, read as the loop reads crops."""

    def __init__(self, plugin, rows=12):
        self.batch = fake_batch(plugin, _task(plugin), size=rows, seed=3)
        self.batch["clip"] = torch.sigmoid(self.batch["clip"])

    def __len__(self):
        return len(self.batch["sample_id"])

    def batches_from(self, size, *, seed, start, device=None):
        order = torch.randperm(len(self), generator=generator(seed, "order"))
        for number, which in enumerate(torch.split(order, size)):
            if number >= start:
                yield {name: self.batch[name][which] for name in ("clip", "target")}


SHORT = {"recipe": {"epochs": 2, "batch_size": 6}, "widths": (3, 4), "high": 8}


def _fold(folder, seed, plugin=None, weights=None):
    """Train one fold as a run does; return its predictor and its log."""
    plugin = plugin or _plugin("tiny", **SHORT)
    log = []
    unit = TrainingUnit(
        _task(plugin),
        Clips(plugin),
        None,
        fabric=make_fabric("cpu", plugin.recipe.precision),
        seed=seed,
        folder=folder,
        log=lambda event, **values: log.append((event, values)),
        weights=weights,
    )
    unit.checkpoint_s = 0.0
    return plugin.fit(unit), dict(log)


def test_paper_has_the_parameters_that_the_docstring_states():
    module = _on_meta()
    count = {name: _learned(part) for name, part in module.named_modules()}
    assert count["reader.projector"] == 73_940_416
    assert count["reader.llm"] == 2_179_072
    assert count["visual"] == 2_692_931
    assert count["head"] == 12_296
    assert count[""] == 78_824_715
    frozen = sum(value.numel() for value in module.reader.llm.parameters() if not value.requires_grad)
    assert frozen == 1_543_714_304


@pytest.mark.parametrize(
    ("variant", "projector"),
    [("f-high", 1_608_064), ("f-mid", 70_860_096), ("efp-minus", 16_320_000), ("all", 73_940_416)],
)
def test_the_projectors_of_table_3_at_full_size(variant, projector):
    assert _learned(_on_meta(variant).reader.projector) == projector


@pytest.mark.parametrize("variant", AULLM.variants)
def test_only_what_a_variant_does_not_use_is_declared_unused(variant):
    plugin, module = _built("tiny", variant, **SHORT)
    batch = fake_batch(plugin, _task(plugin))
    plugin.loss(module(batch["clip"]), batch, _task(plugin))["asl"].backward()
    silent = {name for name, value in module.named_parameters() if value.requires_grad and value.grad is None}
    assert silent == ({"visual.high.0.weight", "visual.high.0.bias"} if variant == "f-mid" else set())
    assert plugin.unused == (("visual.high.*",) if silent else ())


def test_the_visual_token_stands_before_the_prompt_and_the_last_word_is_read():
    plugin, module = _built("tiny")
    module.eval()
    clip = torch.rand(2, 6, 1, 48, 48)
    seen = module.visual(clip)
    token = F.gelu(module.reader.projector.project[:-1](torch.cat((seen.mid, seen.high), dim=1)))
    base = load_base("tiny-random", pretrained=False, dtype=torch.float32)
    words = base.model.get_input_embeddings()(torch.tensor(base.token_ids(plugin.prompt))).expand(2, -1, -1)
    for place, sequence in (("first", (token[:, None], words)), ("last", (words, token[:, None]))):
        module.reader.llm.prompt_first = place == "last"
        state = base.model(inputs_embeds=torch.cat(sequence, dim=1)).last_hidden_state[:, -1]
        # fresh adapters add nothing
        torch.testing.assert_close(module(clip).logits, module.head(state))
    assert _built("tiny", token_place="last")[1].reader.llm.prompt_first


def test_the_loss_is_the_asymmetric_one_or_that_of_the_released_code():
    plugin, module = _built("tiny")
    task = _task(plugin)
    batch = fake_batch(plugin, task, size=4)
    output = module.eval()(batch["clip"])
    found = plugin.loss(output, batch, task)["asl"]
    torch.testing.assert_close(found, asl(output.logits, batch["target"]))
    logits = output.logits.detach().requires_grad_()
    released = _plugin("tiny", "aullm-released").loss(type(output)(logits), batch, task)["asl"]
    (gradient,) = torch.autograd.grad(released, logits)
    coded = batch["target"] >= 0
    p = torch.sigmoid(logits)
    clipped = torch.where(batch["target"] > 0, p, (1 - p + 0.05).clamp(max=1)).log()[coded].sum()
    torch.testing.assert_close(gradient, -torch.autograd.grad(clipped, logits)[0], rtol=1e-4, atol=1e-6)


def test_learned_prompts_give_every_clip_one_state_and_the_head_the_features():
    _, module = _built("tiny", "prompt-learning")
    reader = module.eval().reader
    assert reader.vectors.shape == (1, 16, 64) and 0.015 < reader.vectors.std().item() < 0.025
    fused = torch.randn(3, module.visual.fused_size)
    out = reader(fused)
    assert torch.equal(out[:, 64:], fused) and torch.equal(out[0, :64], out[2, :64])
    assert module.head.in_features == 64 + module.visual.fused_size
    out[:, :64].sum().backward()
    assert reader.vectors.grad.abs().min() > 0


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_gives_logits_and_removes_one_thing(control):
    _, module = _built("tiny", control)
    _, full = _built("tiny")
    assert module(torch.rand(2, 6, 1, 48, 48)).logits.shape == (2, 8)
    names, all_names = ({name for name, value in m.named_parameters() if value.requires_grad} for m in (module, full))
    adapters = {name for name in all_names if "lora_" in name}
    readers = [part for part in module.modules() if isinstance(part, LanguageReader)]
    assert adapters and names == (all_names if control == "random-llm" else all_names - adapters)
    assert len(readers) == (control != "no-llm")
    assert _plugin(control).init == ("hf:backbone" if control == "frozen-llm" else "none")


def test_the_channel_weights_are_there_to_be_shown():
    _, module = _built("tiny")
    weights = module(torch.rand(2, 6, 1, 48, 48)).aux["channel_weights"]
    assert weights.shape == (2, 16, 4) and weights.min() > 0 and weights.max() < 1


@pytest.mark.parametrize("preset", ["all", "prompt-learning", "no-llm"])
def test_a_clip_gets_the_same_logits_alone_and_among_64(preset):
    _, module = _built("tiny", preset, widths=(3, 4), high=8)
    # running statistics that are no longer those of a fresh module
    module(torch.rand(8, 6, 1, 48, 48))
    module.double().eval()
    clip = torch.rand(64, 6, 1, 48, 48, dtype=torch.float64)
    with torch.inference_mode():
        together = module(clip).logits
        alone = torch.cat([module(clip[row : row + 1]).logits for row in range(64)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-7)


def test_a_fold_alone_equals_the_fold_behind_another_one(tmp_path):
    alone, _ = _fold(tmp_path / "alone", 7)
    _fold(tmp_path / "other", 5)
    torch.rand(3)
    behind, _ = _fold(tmp_path / "behind", 7)
    first, second = alone.state(), behind.state()
    assert list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)
    load_base("tiny-random", pretrained=False, dtype=torch.float32).verify()


def test_a_stopped_fold_goes_on_from_a_checkpoint_without_the_base(tmp_path):
    plugin = _plugin("tiny", **{**SHORT, "recipe": {**SHORT["recipe"], "schedule": "constant"}})
    # without a schedule one epoch is the beginning of two
    half = plugin.model_copy(update={"recipe": plugin.recipe.model_copy(update={"epochs": 1})})
    early, _ = _fold(tmp_path / "cut", 7, half)
    kept = load_state(tmp_path / "cut" / "checkpoint.safetensors")["module"]
    assert not any("base_layer" in name or "mlp" in name for name in kept) and any("lora_A" in name for name in kept)
    cut, log = _fold(tmp_path / "cut", 7, plugin)
    straight, _ = _fold(tmp_path / "straight", 7, plugin)
    assert "resumed" in log
    assert all(torch.equal(value, straight.state()[name]) for name, value in cut.state().items())
    assert not torch.equal(cut.state()["head.weight"], early.state()["head.weight"])


def test_the_saved_weights_hold_what_was_learned_and_not_the_language_model(tmp_path):
    plugin = _plugin("tiny", **SHORT)
    predictor, log = _fold(tmp_path, 7, plugin)
    learned = {name for name, value in predictor.module.named_parameters() if value.requires_grad}
    buffers = {name for name in predictor.state() if name not in learned}
    assert learned <= set(predictor.state())
    assert all(name.rpartition(".")[2] in BUFFERS for name in buffers)
    assert log["language_model"]["prompt_ids"] == predictor.state()["reader.llm.prompt_ids"].tolist()
    assert log["language_model"]["checksum"] == f"{int(predictor.state()['reader.llm.base_checksum']):x}"
    # they are enough to have the model again
    torch.manual_seed(99)
    again = plugin.build(_task(plugin)).eval()
    again.load_state_dict(dict(predictor.state()))
    clip = torch.rand(32, 6, 1, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(again(clip).logits, predictor({"clip": clip}), rtol=0, atol=0)


def test_a_warm_start_neither_expects_nor_lists_the_language_model(tmp_path):
    learned = dict(_fold(tmp_path / "cold", 7)[0].state())
    # what --weights sets; tiny-random has no weights of its own to fall back on
    plugin = _plugin("tiny", **SHORT, init="weights")
    still = plugin.model_copy(update={"recipe": plugin.recipe.model_copy(update={"lr": 1e-12, "weight_decay": 0.0})})
    warm, log = _fold(tmp_path / "warm", 9, still, weights=learned)
    assert log["weights"]["missing"] == [] and log["weights"]["loaded"] == len(learned)
    for name, value in warm.state().items():
        if name.rpartition(".")[2] not in BUFFERS:
            torch.testing.assert_close(value, learned[name], rtol=0, atol=1e-9)
    without = {name: value for name, value in learned.items() if name != "head.bias"}
    assert _fold(tmp_path / "part", 9, still, weights=without)[1]["weights"]["missing"] == ["head.bias"]


def test_weights_that_were_learned_beside_another_language_model_are_refused(tmp_path):
    learned = dict(_fold(tmp_path / "cold", 7)[0].state())
    learned["reader.llm.base_checksum"] = learned["reader.llm.base_checksum"] + 1
    with pytest.raises(IntegrityError, match="belong to another language model"):
        _fold(tmp_path / "warm", 9, _plugin("tiny", **SHORT, init="weights"), weights=learned)


def test_a_fold_that_changes_the_base_is_refused(tmp_path, monkeypatch):
    build = AULLM.build

    def thawed(self, task):
        module = build(self, task)
        weight = module.reader.llm.model.layers[0].mlp.up_proj.weight
        weight.requires_grad_(True)
        return module

    base = load_base("tiny-random", pretrained=False, dtype=torch.float32)
    kept = [value.clone() for value in base.model.parameters()]
    monkeypatch.setattr(AULLM, "build", thawed)
    try:
        with pytest.raises(IntegrityError, match="changed while it was trained"):
            _fold(tmp_path / "one", 7)
        # nor is the next fold trained on it
        with pytest.raises(IntegrityError, match="as loaded"):
            _fold(tmp_path / "two", 7)
    finally:
        for value, old in zip(base.model.parameters(), kept, strict=True):
            value.data.copy_(old)
    base.verify()


def test_the_recipe_moves_every_learned_parameter_in_one_group_with_weight_decay():
    plugin, module = _built("tiny")
    (group,) = plugin.parameter_groups(module)
    assert sum(value.numel() for value in group["params"]) == _learned(module) and "weight_decay" not in group


@pytest.mark.nightly
def test_the_tiny_preset_is_ten_points_above_chance_on_the_stand_in(tmp_path):
    # subjects of four clips each; eight of 26 folds are about three minutes on a core, and gave 17 points
    folds = ("02", "09", "13", "15", "17", "18", "19", "20")
    done = auharness.run("au-llm", "casme2-loso", data_size="small", folds=folds, runs=tmp_path, device="cpu", jobs=1)
    floors = done.score.floors
    assert done.score.headline >= max(floors["constant-0"], floors["random-prior-p95"]) + 0.1
