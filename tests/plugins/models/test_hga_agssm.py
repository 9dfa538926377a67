"""The network of hga-agssm: sizes and costs, what learns, what it hears, how its windows behave."""

from importlib.util import find_spec

import pytest
import torch

from auharness.efficiency import count
from auharness.efficiency.memory import peak_bytes
from auharness.losses import asl
from auharness.nn.frame_encoder import frame_encoder
from auharness.nn.mixers import MIXERS
from auharness.nn.temporal import SideBySide
from auharness.records import Task
from auharness.settings import resolve
from auharness.testing import fake_batch
from auharness.training.optim import build_optimiser, lr_factor
from auharness_plugins.models.hga_agssm import HGAAGSSM

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")

AUS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
RANDOM = {
    "vision": "dinov2-random",
    "sound": "wavlm-random",
    "baseline_vision": "dinov2-random",
    "baseline_sound": "whisper-random",
    "init": "none",
    "bottleneck": 4,
    "preprocess": {"resize": 64, "crop": 56, "frames": 4, "stride": 2},
}


def _plugin(*presets, **settings):
    return resolve(HGAAGSSM, presets=presets, layers=[("test", settings)]).plugin


def _task(plugin):
    outputs = tuple(f"AU{au}" for au in AUS)
    counts, preprocess = ((30,) * 12, (240,) * 12), plugin.preprocess
    return Task(outputs, "frame-multilabel", "affwild2", *counts, preprocess.crop, preprocess.frames)


def _built(*presets, seed=0, **settings):
    plugin = _plugin(*presets, **settings)
    torch.manual_seed(seed)
    return plugin, plugin.build(_task(plugin))


def _batch(plugin, size=2):
    return fake_batch(plugin, _task(plugin), size=size)


def _answer(plugin, module, batch):
    return module(*(batch[name] for name in plugin.inputs))


def _learned(module):
    return sum(value.numel() for value in module.parameters() if value.requires_grad)


def _frozen(module):
    return sum(value.numel() for value in module.parameters() if not value.requires_grad)


@needs_hf
def test_paper_has_the_parameters_that_the_docstring_states():
    with torch.device("meta"):
        module = _built("paper")[1]
    assert (_learned(module.frames.encoder), _frozen(module.frames.encoder)) == (786_432, 304_368_640)
    assert (_learned(module.sound), _frozen(module.sound)) == (3_171_865, 315_453_120)
    assert _learned(module.frames.project) + _learned(module.project) == 1_577_472
    assert (_learned(module.frames.hga), _learned(module.temporal)) == (8_851_200, 2_808_448)
    assert (_learned(module.head), _learned(module), _frozen(module)) == (10_764, 17_206_181, 619_821_760)


@needs_hf
def test_sizes_follow_from_the_paper():
    """LoRA of rank 8 on q and v of 24 blocks, bottlenecks of 64 behind 24 feed-forward layers, 25 states."""
    with torch.device("meta"):
        module = _built("paper")[1]
    assert _learned(module.frames.encoder) == 24 * 2 * 8 * (1024 + 1024)
    assert _learned(module.sound) == 24 * (2 * 1024 * 64 + 64 + 1024) + 25
    attention, mlp = 4 * 768**2, 2304 * 768 + 768 + 768 * 768 + 768 + 2 * 768
    assert _learned(module.frames.hga) == attention + mlp + 7 * 768 * 768 + 768


@needs_hf
@pytest.mark.parametrize(
    ("row", "learned", "frozen"),
    [
        ("baseline", 4_877_068, 106_389_248),
        ("fm", 9_325_733, 619_821_760),
        ("hga", 18_176_933, 619_821_760),
        ("ag-ssm", 17_206_181, 619_821_760),
        ("full", 17_206_181, 619_821_760),
    ],
)
def test_the_rows_of_table_1_at_full_size(row, learned, frozen):
    with torch.device("meta"):
        module = _built(row)[1]
    assert (_learned(module), _frozen(module)) == (learned, frozen)


@needs_hf
@pytest.mark.parametrize(("name", "giga"), [("dinov2-vitl14", 81.0), ("dinov2-vitb14", 23.2)])
def test_multiply_accumulates_of_a_frame(name, giga):
    with torch.device("meta"):
        encoder = frame_encoder(name, image_size=224, lora=None, pretrained=True)
        macs = count(encoder, [torch.zeros(1, 3, 224, 224)]).macs
    assert macs / 1e9 == pytest.approx(giga, rel=0.01)


@needs_hf
def test_two_rates_and_what_is_averaged():
    plugin, module = _built("paper", **RANDOM)
    groups = build_optimiser(plugin, module).param_groups
    rates = {id(value): group["lr"] for group in groups for value in group["params"]}
    for name, value in module.named_parameters():
        if value.requires_grad:
            slow = "lora_" in name or "bottleneck" in name
            assert rates[id(value)] == pytest.approx(1e-5 if slow else 2e-4), name
    decay = {id(value): group["weight_decay"] for group in groups for value in group["params"]}
    assert decay[id(module.temporal.mixers[0].A_log)] == 0
    assert decay[id(module.temporal.mixers[0].in_proj.weight)] == 1e-4
    assert lr_factor(0, 100, plugin.recipe) < lr_factor(24, 100, plugin.recipe) == 1.0
    averaged = {name.split(".")[0] for name in plugin.recipe.swa_modules}
    assert averaged == {"temporal", "frames", "asks"} and _plugin("swa-all").recipe.swa_modules == ()
    assert any(name.startswith("frames.hga.attention.") for name, _ in module.named_parameters())


@needs_hf
@pytest.mark.parametrize("row", [*HGAAGSSM.variants, "asymmetric", "frozen", "au12"])
def test_every_row_learns_its_adapters_and_new_parts_only(row):
    plugin, module = _built(row, **RANDOM)
    batch = _batch(plugin)
    loss = sum(plugin.loss(_answer(plugin, module.train(), batch), batch, _task(plugin)).values())
    loss.backward()
    for name, value in module.named_parameters():
        assert (value.grad is not None) == value.requires_grad, name
    within = [name for name, value in module.named_parameters() if ".model." in name and value.requires_grad]
    assert all(".lora_" in name or ".bottleneck." in name for name in within)
    assert (within == []) == (row == "frozen")


@needs_hf
def test_a_window_does_not_depend_on_its_batch():
    plugin, module = _built("paper", **RANDOM)
    module = module.double().eval()
    batch = {
        name: value.double() if torch.is_tensor(value) and value.is_floating_point() else value
        for name, value in _batch(plugin, size=3).items()
    }
    with torch.inference_mode():
        together = _answer(plugin, module, batch).logits
        for row in range(3):
            alone = {name: value[row : row + 1] for name, value in batch.items()}
            torch.testing.assert_close(_answer(plugin, module, alone).logits[0], together[row])


@pytest.mark.parametrize("preset", [(), ("hga",), ("asymmetric",)], ids=["agssm", "tcn", "asymmetric"])
def test_sound_matters_and_a_muted_window_has_none(preset):
    plugin, module = _built("tiny", *preset)
    module.eval()
    batch = _batch(plugin)
    muted = {**batch, "audio": batch["audio"].flip(1), "audio_valid": torch.zeros_like(batch["audio_valid"])}
    with torch.inference_mode():
        heard, silent = (_answer(plugin, module, given).logits for given in (batch, muted))
        assert not torch.allclose(heard, silent)
        again = _answer(plugin, module, {**muted, "audio": torch.zeros_like(batch["audio"])}).logits
        torch.testing.assert_close(silent, again, rtol=0, atol=0)
    if not preset:
        twin = _built("tiny", "muted")[1].eval()
        twin.load_state_dict(module.state_dict())
        with torch.inference_mode():
            torch.testing.assert_close(_answer(plugin, twin, batch).logits, silent, rtol=0, atol=0)


def test_a_noise_is_heard_in_the_frames_around_it():
    plugin, module = _built("tiny")
    module.eval()
    batch = _batch(plugin, size=1)
    louder = batch["audio"].clone()
    start = round(float(batch["frame_s"][0, 10]) * 16_000) - 160
    louder[:, start : start + 320] *= 30
    seen = torch.zeros(1, 32, plugin.dim)
    with torch.inference_mode():
        before, after = (
            module.hear(seen, audio, batch["audio_valid"], batch["frame_s"]) for audio in (batch["audio"], louder)
        )
    changed = (before - after).abs().amax(-1)[0].nonzero().flatten().tolist()
    # windows of 25 ms and two convolutions over 5 tokens reach 100 ms, at 40 ms a frame
    assert {9, 10, 11} <= set(changed) <= set(range(7, 14))


def _laughter(plugin, seed):
    """Windows of noise pictures in which AU12 is there while a noise is heard, and AU25 at random."""
    random = torch.Generator().manual_seed(seed)
    batch = fake_batch(plugin, _task(plugin), size=8, seed=seed)
    frames = plugin.preprocess.frames
    heard = torch.randint(0, 2, (8, frames // 4), generator=random).repeat_interleave(4, dim=1)
    seconds = torch.arange(batch["audio"].shape[1]) / 16_000
    frame = ((seconds - float(batch["frame_s"][0, 0])) * 25 + 0.5).floor().long().clamp(0, frames - 1)
    batch["audio"] = 0.01 * batch["audio"] + 0.5 * batch["audio"] * heard[:, frame]
    target = torch.full_like(batch["target"], -1)
    target[..., AUS.index(12)] = heard
    target[..., AUS.index(25)] = torch.randint(0, 2, heard.shape, generator=random)
    return {**batch, "target": target}


def _right(plugin, module, seed):
    batch = _laughter(plugin, seed)
    with torch.inference_mode():
        said = _answer(plugin, module.eval(), batch).logits > 0
    return [float((said == (batch["target"] > 0))[..., AUS.index(au)].float().mean()) for au in (12, 25)]


@pytest.mark.parametrize(("preset", "least", "most"), [((), 0.9, 1.0), (("muted",), 0.3, 0.7)], ids=["heard", "muted"])
def test_what_only_the_sound_tells_is_learned_from_the_sound(preset, least, most):
    small = {"resize": 32, "crop": 32, "frames": 16, "stride": 8}
    plugin, module = _built("tiny", *preset, preprocess=small)
    optimiser = build_optimiser(plugin, module)
    for step in range(40):
        batch = _laughter(plugin, step)
        optimiser.zero_grad()
        sum(plugin.loss(_answer(plugin, module.train(), batch), batch, _task(plugin)).values()).backward()
        optimiser.step()
    right = [sum(each) / 4 for each in zip(*(_right(plugin, module, seed) for seed in range(900, 904)), strict=True)]
    assert least <= right[0] <= most
    assert 0.3 <= right[1] <= 0.7


@needs_hf
@pytest.mark.parametrize("row", ["full", "hga", "fm", "baseline"])
def test_frames_that_were_kept_give_the_logits_of_the_frozen_encoder(row):
    plugin, seeing = _built(row, "frozen", **RANDOM)
    batch = _batch(plugin)
    grid = seeing.frames.encoder.grid
    cached, reading = _built(row, "cached", **RANDOM, kept_grid=grid)
    kept = cached.kept_frames()
    assert kept is not None and kept.shape == (1 + grid**2, seeing.frames.encoder.width)
    tokens = kept(batch["clip"].flatten(0, 1)).unflatten(0, batch["clip"].shape[:2])
    with torch.inference_mode():
        wanted = _answer(plugin, seeing.eval(), batch).logits
        found = _answer(cached, reading.eval(), {**batch, "clip": tokens}).logits
    torch.testing.assert_close(found, wanted, atol=1e-2, rtol=0)
    assert _batch(cached)["clip"].shape == tokens.shape
    assert _learned(reading) == _learned(seeing) and _frozen(reading.frames.encoder) == 0


def test_loss_is_asl_over_coded_frames_or_binary_cross_entropy():
    plugin, module = _built("tiny")
    batch = _batch(plugin)
    output = _answer(plugin, module, batch)
    wanted = asl(output.logits, batch["target"], gamma_positive=1.0, attached=True, reduction="entries")
    assert torch.equal(plugin.loss(output, batch, _task(plugin))["asl"], wanted)
    assert list(_plugin("tiny", "ag-ssm").loss(output, batch, _task(plugin))) == ["bce"]


def test_traces_have_a_value_per_frame():
    plugin, module = _built("tiny")
    with torch.inference_mode():
        aux = _answer(plugin, module.eval(), _batch(plugin)).aux
    assert {name: tuple(value.shape) for name, value in aux.items()} == {
        "delta": (2, 1, 32),
        "audio_gate": (2, 1, 32),
        "region_attention": (2, 7, 32),
    }
    assert set(aux) == set(HGAAGSSM.traces)
    assert all(bool((value > 0).all()) for value in aux.values())
    assert all(float(aux[name].max()) <= 1.00001 for name in ("audio_gate", "region_attention"))
    assert not _answer(plugin, module.train(), _batch(plugin)).aux


@pytest.mark.parametrize("mixer", ["attention", "ttt", "mamba", "mamba-bi", "tcn"])
def test_other_mixers_take_the_place_of_ag_ssm(mixer):
    plugin, module = _built("tiny", mixer=mixer)
    logits = _answer(plugin, module.eval(), _batch(plugin)).logits
    assert logits.shape == (2, 32, 12) and logits.isfinite().all()
    kind = MIXERS.get(mixer)
    if kind is not None:
        assert isinstance(module.temporal, SideBySide) and isinstance(module.temporal.mixers[1], kind)


def test_frames_in_parts_give_the_same_logits():
    plugin, whole = _built("tiny")
    _, parts = _built("tiny", frames_at_once=5)
    batch = _batch(plugin)
    torch.testing.assert_close(
        _answer(plugin, parts, batch).logits, _answer(plugin, whole, batch).logits, atol=1e-5, rtol=1e-5
    )


def _peak(frames, *, learns):
    """Bytes that a window of so many frames takes, with its sound."""
    plugin, module = _built("tiny", preprocess={"resize": 16, "crop": 16, "frames": frames, "stride": 1})
    batch = _batch(plugin, size=1)

    def step():
        with torch.set_grad_enabled(learns):
            total = sum(plugin.loss(_answer(plugin, module, batch), batch, _task(plugin)).values())
        if learns:
            total.backward()

    step()  # gradients are there from now on
    return peak_bytes(step, device=torch.device("cpu"))


@pytest.mark.parametrize("learns", [False, True], ids=["inference", "training"])
def test_memory_of_a_window_grows_linearly_with_its_frames(learns):
    peaks = [_peak(frames, learns=learns) for frames in (64, 256, 1024)]
    # the sound begins and ends half a second outside of the window, and that does not grow
    per_frame = [(after - before) / more for before, after, more in zip(peaks, peaks[1:], (192, 768), strict=False)]
    assert per_frame[1] == pytest.approx(per_frame[0], rel=0.05)
    assert peaks[2] < 4.1 * peaks[1]


@needs_hf
@pytest.mark.parametrize("row", ["paper", "baseline", "asymmetric"])
def test_half_precision_as_in_the_recipe(row):
    plugin, module = _built(row, **RANDOM)
    batch = _batch(plugin)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # without the dropout of training
        output = _answer(plugin, module.eval(), batch)
        sum(plugin.loss(output, batch, _task(plugin)).values()).backward()
    with torch.inference_mode():
        whole = _answer(plugin, module, batch).logits
    assert float((output.logits.detach().float() - whole).abs().max()) < 0.1
    assert all(value.grad.isfinite().all() for value in module.parameters() if value.requires_grad)
