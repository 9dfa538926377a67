import pytest
import torch
from torch.nn import functional as F

from auharness.api import Output
from auharness.errors import DataError, UsageError
from auharness.losses import mdwa, wdi
from auharness.nn.au_heatmap import au_heatmaps, signed_heatmaps
from auharness.nn.mixers import Attention, BiMamba, BiTTT, Mamba, TTTLinear
from auharness.records import Task
from auharness_plugins.models.au_ttt import AUTTT, AUTTTBlock, RoiBranch

BP4D = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
SMALL = {"patch": 8, "dim": 16, "depth": 2, "heads": 2}


def _task(image_size=32, aus=BP4D):
    outputs = tuple(f"AU{au}" for au in aus)
    positives = tuple(20 + 5 * i for i in range(len(aus)))
    return Task(outputs, "frame-multilabel", "bp4d", positives, (100,) * len(aus), image_size=image_size)


def _batch(task, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    side = task.image_size
    return {
        "image": torch.randn(size, 3, side, side, generator=generator),
        "landmarks": torch.rand(size, 68, 2, generator=generator) * side,
        "target": torch.randint(-1, 2, (size, task.num_outputs), generator=generator),
    }


def _settings(*names):
    merged = dict(SMALL)
    for name in names:
        merged |= {key: value for key, value in AUTTT.presets[name].items() if key not in ("preprocess", "recipe")}
    return merged


def _built(*names, task=None, seed=0, **changes):
    plugin = AUTTT(**(_settings(*names) | changes))
    torch.manual_seed(seed)
    return plugin, plugin.build(task or _task())


def _run(module, batch):
    return module(batch["image"], batch["landmarks"])


def test_section_3a_implementation_details():
    plugin = AUTTT()
    assert (plugin.patch, plugin.dim, plugin.depth, plugin.heads) == (16, 384, 12, 6)
    assert plugin.dilations == (1, 3, 5)
    assert (plugin.boundary_left, plugin.boundary_right) == (1.0, 2.0)
    assert AUTTT.by_dataset == {"bp4d": {"margin": 0.1}, "disfa": {"margin": 0.15}}
    assert plugin.smooth == 1.0
    assert AUTTT.pretrained_on == "ImageNet-1K"
    assert (plugin.init, plugin.preprocess.crop) == ("weights", 224)


def test_the_recipe_is_me_graphaus_where_the_paper_gives_none():
    recipe, augment = AUTTT().recipe, AUTTT().augment
    assert (recipe.optimiser, recipe.weight_decay, recipe.batch_size, recipe.epochs) == ("adamw", 5e-4, 64, 20)
    assert (recipe.schedule, recipe.lr, AUTTT().preprocess.resize) == ("cosine", 1e-4, 256)
    assert (augment.flip, augment.brightness, augment.contrast, augment.saturation) == (0.5, 0.4, 0.4, 0.4)


def test_section_2c_lambdas_of_equation_11_are_one():
    plugin = AUTTT()
    assert (plugin.mdwa_weight, plugin.wdi_weight, plugin.mse_weight) == (1.0, 1.0, 1.0)


def _counts(plugin, part):
    with torch.device("meta"):
        module = plugin.build(_task(224))
    return sum(p.numel() for name, p in module.named_parameters() if part in name)


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("", 42_305_617),
        (".mixer.", 14_847_456 + 3_543_552 + 7_423_704),
        (".roi.", 7_423_704),
        (".msp.", 1_912_320),
        ("_head.", 9_240),
        ("alpha", 1),
    ],
)
def test_paper_has_the_parameters_that_the_docstring_states(part, count):
    assert _counts(AUTTT(), part) == count


def test_paper_with_tied_directions_has_34_9_million_parameters():
    assert _counts(AUTTT(**AUTTT.presets["literal"]), "") == 34_881_889


def test_section_3a_disfa_has_8_aus_and_bp4d_12():
    disfa = _task(aus=(1, 2, 4, 6, 9, 12, 25, 26))
    _, module = _built(task=disfa)
    assert _run(module, _batch(disfa)).logits.shape == (3, 8)
    _, module = _built()
    assert _run(module, _batch(_task())).logits.shape == (3, 12)


def test_a_block_is_the_stated_sum():
    # Z' = Z + Bi-TTT + RoI + MSP of one LayerNorm, then Z' + MLP(LN(Z'))
    torch.manual_seed(0)
    _, module = _built()
    block = module.encoder.blocks[0]
    assert isinstance(block, AUTTTBlock)
    tokens, masks = torch.randn(2, 17, 16), torch.rand(2, 12, 4, 4)
    normed = block.norm1(tokens)
    middle = tokens + block.mixer(normed) + block.roi(normed[:, :16], masks)
    middle = middle + torch.cat((block.msp(normed[:, :16]), torch.zeros(2, 1, 16)), dim=1)
    torch.testing.assert_close(block(tokens, masks), middle + block.mlp(block.norm2(middle)))


def test_the_logit_is_the_class_head_plus_alpha_times_the_mean_heatmap():
    _, module = _built(alpha=0.5)
    batch = _batch(_task())
    output = _run(module, batch)
    masks = au_heatmaps(batch["landmarks"], BP4D, grid=4, image_size=32)
    tokens = module.encoder(batch["image"], masks)
    expected = module.class_head(tokens[:, -1]) + 0.5 * module.heatmap_head(tokens[:, :-1]).mean(dim=1)
    torch.testing.assert_close(output.logits, expected)
    torch.testing.assert_close(
        output.aux["heatmap"][0, 3, 1, 2], module.heatmap_head(tokens[0, 6])[3], atol=1e-6, rtol=1e-5
    )


def test_losses_are_equations_8_9_and_10():
    plugin, task = AUTTT(**SMALL, margin=0.15), _task()
    batch = _batch(task)
    logits, heatmap = torch.randn(3, 12), torch.randn(3, 12, 4, 4)
    terms = plugin.loss(Output(logits, {"heatmap": heatmap}), batch, task)
    coded = batch["target"] >= 0
    truth = signed_heatmaps(au_heatmaps(batch["landmarks"], BP4D, grid=4, image_size=32), batch["target"])
    assert list(terms) == ["mdwa", "wdi", "mse"]
    torch.testing.assert_close(terms["mdwa"], mdwa(logits, batch["target"], rates=task.rates, margin=0.15))
    torch.testing.assert_close(terms["wdi"], wdi(logits, batch["target"], rates=task.rates))
    torch.testing.assert_close(terms["mse"], F.mse_loss(heatmap[coded], truth[coded]))


def test_each_loss_term_carries_its_lambda():
    batch = _batch(_task())
    output = Output(torch.randn(3, 12), {"heatmap": torch.randn(3, 12, 4, 4)})
    plain = AUTTT(**SMALL).loss(output, batch, _task())
    scaled = AUTTT(**SMALL, mdwa_weight=2, wdi_weight=3, mse_weight=0).loss(output, batch, _task())
    for name, factor in (("mdwa", 2), ("wdi", 3), ("mse", 0)):
        torch.testing.assert_close(scaled[name], factor * plain[name])


def test_literal_takes_the_squared_norm_and_attaches_the_focusing_weight():
    batch = _batch(_task())
    logits = torch.randn(3, 12, requires_grad=True)
    output = Output(logits, {"heatmap": torch.randn(3, 12, 4, 4)})
    usual = AUTTT(**SMALL).loss(output, batch, _task())
    literal = AUTTT(**_settings("literal")).loss(output, batch, _task())
    coded_cells = (batch["target"] >= 0).sum() * 16
    torch.testing.assert_close(literal["mse"], usual["mse"] * coded_cells / 3)
    torch.testing.assert_close(literal["mdwa"], usual["mdwa"])
    gradients = [torch.autograd.grad(terms["mdwa"], logits, retain_graph=True)[0] for terms in (usual, literal)]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("names", [(variant,) for variant in AUTTT.variants] + [("literal",)])
def test_every_parameter_gets_a_gradient(names):
    plugin, module = _built(*names)
    batch = _batch(_task())
    sum(plugin.loss(_run(module, batch), batch, _task()).values()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "changes", [{"mixer": "attention"}, {"mixer": "mamba"}, {"mixer": "linear"}, {"fusion": "cls"}]
)
def test_other_mixers_and_readouts_train_too(changes):
    plugin, module = _built(**changes)
    batch = _batch(_task())
    sum(plugin.loss(_run(module, batch), batch, _task()).values()).backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_mixers_swap_within_the_same_frame():
    frames = {}
    for mixer, kinds in {
        "ttt": (BiTTT, TTTLinear),
        "mamba": (BiMamba, Mamba),
        "attention": (Attention, Attention),
    }.items():
        _, module = _built(mixer=mixer)
        block = module.encoder.blocks[0]
        assert (type(block.mixer), type(block.roi.mixer)) == kinds
        frames[mixer] = {name: p.shape for name, p in module.named_parameters() if ".mixer." not in name}
    assert frames["ttt"] == frames["mamba"] == frames["attention"]
    assert type(_built(mixer="mamba", scan="forward")[1].encoder.blocks[0].mixer) is Mamba


@pytest.mark.parametrize("variant", AUTTT.variants)
def test_logits_change_with_the_image_in_every_variant(variant):
    _, module = _built(variant)
    batch = _batch(_task())
    other = {**batch, "image": batch["image"].flip(0)}
    assert (_run(module, batch).logits - _run(module, other).logits).abs().max() > 1e-3


@pytest.mark.parametrize("variant", AUTTT.variants)
def test_the_readout_is_the_same_in_every_variant(variant):
    _, module = _built(variant)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters() if not name.startswith("encoder.")}
    assert shapes == {
        "alpha": (),
        "class_head.weight": (12, 16),
        "class_head.bias": (12,),
        "heatmap_head.weight": (12, 16),
        "heatmap_head.bias": (12,),
    }
    assert module.alpha.item() == 1.0


@pytest.mark.parametrize("variant", AUTTT.variants)
def test_the_batch_changes_no_logit(variant):
    _, module = _built(variant)
    module.eval()
    batch = _batch(_task(), size=9)
    with torch.no_grad():
        together = _run(module, batch).logits
        alone = torch.cat([_run(module, {k: v[i : i + 1] for k, v in batch.items()}).logits for i in range(9)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_table_3_rows_differ_by_one_part_each():
    rows = {name: AUTTT(**_settings(name)) for name in AUTTT.variants}
    parts = {name: (p.mixer, p.mini_batch, p.scan, p.msp, p.roi) for name, p in rows.items()}
    assert parts == {
        "baseline": ("linear", "row", "both", False, False),
        "original-ttt": ("ttt", 16, "forward", False, False),
        "msp": ("ttt", 16, "forward", True, False),
        "forward-ttt": ("ttt", "row", "forward", True, False),
        "bi-ttt": ("ttt", "row", "both", True, False),
        "roi-ttt": ("ttt", "row", "both", True, True),
    }
    assert {p.init for p in rows.values()} == {"none"}  # sec. III-C: without pre-training


def test_a_variant_composes_with_every_size_without_a_conflict():
    for variant in AUTTT.variants:
        for size in ("paper", "tiny"):
            shared = AUTTT.presets[size].keys() & AUTTT.presets[variant].keys()
            assert all(AUTTT.presets[size][key] == AUTTT.presets[variant][key] for key in shared)


@pytest.mark.parametrize(("image_size", "row"), [(112, 7), (224, 14), (448, 28)])
def test_mini_batch_rotary_period_token_scale_and_positions_follow_the_grid(image_size, row):
    with torch.device("meta"):
        encoder = AUTTT(depth=1).encoder(image_size, num_aus=12)
    layers = {name: layer for name, layer in encoder.named_modules() if isinstance(layer, TTTLinear)}
    facts = {
        name: (layer.mini_batch, layer.rope_period, len(layer.scale_offset), layer.direction)
        for name, layer in layers.items()
    }
    roi = "blocks.0.roi.mixer"
    assert facts.pop(roi) == (12, 12, 12, "forward")
    assert set(facts.values()) == {(row, row, row, "forward")}
    assert len(facts) == 2
    assert encoder.positions.shape[1] == row**2 + 1


def test_rotary_positions_can_be_switched_off():
    encoder = AUTTT(**SMALL, rope=False).encoder(32, num_aus=12)
    assert {layer.rope_period for layer in encoder.modules() if isinstance(layer, TTTLinear)} == {None}


def test_the_class_token_reads_the_last_patch_and_no_patch_reads_the_class_token():
    _, module = _built("bi-ttt", msp=False)
    block = module.encoder.blocks[0]
    tokens = torch.randn(1, 17, 16, generator=torch.Generator().manual_seed(1))
    changed_cls, changed_patch = tokens.clone(), tokens.clone()
    # a LayerNorm would swallow a constant
    changed_cls[:, -1] += torch.randn(16)
    changed_patch[:, 15] += torch.randn(16)
    out = block(tokens)
    torch.testing.assert_close(block(changed_cls)[:, :-1], out[:, :-1])
    assert (block(changed_patch)[:, -1] - out[:, -1]).abs().max() > 1e-6
    assert (block(changed_patch)[:, 0] - out[:, 0]).abs().max() > 1e-7


def test_landmarks_steer_the_logits_only_through_the_roi_branch():
    batch = _batch(_task())
    moved = {**batch, "landmarks": batch["landmarks"].flip(0)}
    _, full = _built()
    _, without = _built("bi-ttt")
    assert (_run(full, batch).logits - _run(full, moved).logits).abs().max() > 1e-6
    torch.testing.assert_close(_run(without, batch).logits, _run(without, moved).logits, atol=0, rtol=0)


def test_the_encoder_for_pre_training_has_no_roi_branch_and_needs_no_landmarks():
    encoder = AUTTT(**SMALL).encoder(32)
    assert not any(isinstance(part, RoiBranch) for part in encoder.modules())
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (2, 17, 16)


@pytest.mark.parametrize("mixer", ["ttt", "mamba", "attention", "linear"])
def test_after_loading_pre_trained_weights_the_new_parts_are_silent(mixer):
    plugin, module = _built(mixer=mixer)
    torch.manual_seed(9)
    encoder = plugin.encoder(32)
    missing = plugin.load_weights(module, {f"encoder.{k}": v for k, v in encoder.state_dict().items()})
    batch = _batch(_task())
    expected = module.class_head(encoder(batch["image"])[:, -1])
    torch.testing.assert_close(_run(module, batch).logits, expected)
    assert all(".roi." in name or "head" in name or name == "alpha" for name in missing)


def test_weights_of_a_finished_run_load_without_silencing_anything():
    plugin, module = _built()
    _, other = _built(seed=1)
    assert list(plugin.load_weights(other, module.state_dict())) == []
    batch = _batch(_task())
    torch.testing.assert_close(_run(other, batch).logits, _run(module, batch).logits)


def test_the_decay_rates_of_mamba_are_free_of_weight_decay():
    plugin, module = _built(mixer="mamba")
    free = {id(p) for group in plugin.parameter_groups(module) if "weight_decay" in group for p in group["params"]}
    rates = [p for name, p in module.named_parameters() if name.endswith("_log")]
    assert {p.ndim for p in rates} == {2}
    assert {id(p) for p in rates} <= free
    assert all((id(p) in free) == (p.ndim <= 1) for name, p in module.named_parameters() if not name.endswith("_log"))


def test_paper_on_licensed_data_without_weights_names_the_three_ways_out():
    with pytest.raises(DataError) as caught:
        AUTTT().check_ready(origin="licensed", weights=False)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in ("auharness pretrain", "--weights FILE", "--set init=none"))


def test_a_run_is_ready_with_weights_from_scratch_or_on_stand_ins():
    AUTTT().check_ready(origin="licensed", weights=True)
    AUTTT(init="none").check_ready(origin="licensed", weights=False)
    AUTTT().check_ready(origin="synthetic", weights=False)


def test_a_heatmap_of_another_size_is_upsampled_for_the_loss():
    plugin, module = _built(heatmap_size=16)
    batch = _batch(_task())
    output = _run(module, batch)
    assert output.aux["heatmap"].shape == (3, 12, 16, 16)
    assert plugin.loss(output, batch, _task())["mse"].isfinite()


def test_unsigned_targets_ignore_the_label():
    plugin, batch = AUTTT(**SMALL, heatmap_target="unsigned"), _batch(_task())
    batch["target"] = batch["target"].clamp(min=0)
    output = Output(torch.zeros(3, 12), {"heatmap": torch.randn(3, 12, 4, 4)})
    first = plugin.loss(output, batch, _task())["mse"]
    batch["target"] = 1 - batch["target"]
    torch.testing.assert_close(plugin.loss(output, batch, _task())["mse"], first)


@pytest.mark.parametrize(("outputs", "message"), [(("Happy", "Sad"), "such as AU12, got Happy"), (("AU5",), "AU5")])
def test_outputs_that_are_no_known_aus_are_refused_at_build(outputs, message):
    task = Task(outputs, "frame-multilabel", "x", (1,) * len(outputs), (2,) * len(outputs), image_size=32)
    with pytest.raises(UsageError, match=message):
        AUTTT(**SMALL).build(task)
