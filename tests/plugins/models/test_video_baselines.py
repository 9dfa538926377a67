"""The video baselines of DFEW's tables: their published sizes, their recipes, and what each makes of a clip."""

import sys

import pytest
import torch

from auharness import registry
from auharness.efficiency import count, fvcore_count
from auharness.errors import DataError
from auharness.nn.vision import import_torchvision
from auharness.records import Task
from auharness.settings import resolve

DFEW = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
NAMES = (
    "r2plus1d-18",
    "r3d-18",
    "resnet3d-18",
    "resnet18-lstm",
    "resnet18-gru",
    "former-dfer",
    "r2plus1d-resnet18",
)
ORDERED = ("resnet18-lstm", "resnet18-gru", "former-dfer")

# parameters with 7 classes, and GMACs as published for 16 frames of 112 pixels, in DFEW's tables or by fvcore and thop
RULE = {"between": "rule"}
PUBLISHED = [
    ("r2plus1d-18", {}, 31_303_716, 40.64),
    ("r2plus1d-18", RULE, 33_182_188, 42.36),
    ("r3d-18", {}, 33_169_863, 40.70),
    ("resnet3d-18", {}, 33_207_495, 8.32),
    ("resnet18-lstm", {}, 13_281_351, 7.83),
    ("resnet18-gru", {}, 12_756_039, 7.82),
    ("former-dfer", {}, 18_031_943, 8.32),
]


def task(side=112, frames=16, outputs=DFEW):
    count_of = len(outputs)
    return Task(tuple(outputs), "clip-multiclass", "dfew", (9,) * count_of, (9 * count_of,) * count_of, side, frames)


def model(name, *presets, **settings):
    return resolve(registry.load("model", name), presets=presets, layers=[("test", settings)]).plugin


def built(plugin, device="cpu"):
    torch.manual_seed(0)
    with torch.device(device):
        return plugin.build(task(plugin.preprocess.crop, plugin.preprocess.frames)).eval()


def tiny(name, **settings):
    # for clips of half the side, in half the time
    return built(model(name, "tiny", preprocess={"resize": 48, "crop": 48, "frames": 8}, **settings))


def clip(size=2, seed=1):
    return torch.rand(size, 8, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "settings", "parameters", "gmacs"), PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name, settings, parameters, gmacs):
    cost = count(built(model(name, **settings), "meta"), [torch.zeros(1, 16, 3, 112, 112, device="meta")])
    assert cost.parameters == parameters
    assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_parameters_are_torchvisions_but_for_what_is_added():
    sizes = {name: parameters for name, settings, parameters, _ in PUBLISHED if not settings}
    # torchvision documents 31,505,325 and 33,371,472 with 400 classes, and 11,689,512 of ResNet-18 with 1000
    assert sizes["r2plus1d-18"] == 31_505_325 - 393 * 513
    assert sizes["r3d-18"] == 33_371_472 - 393 * 513
    trunk = 11_689_512 - 1000 * 513
    # four and three gates of an input and a state matrix and two biases
    assert sizes["resnet18-lstm"] == trunk + 4 * 512 * (512 + 512 + 2) + 7 * 513
    assert sizes["resnet18-gru"] == trunk + 3 * 512 * (512 + 512 + 2) + 7 * 513
    hybrid = built(model("r2plus1d-resnet18"), "meta")
    assert sum(p.numel() for p in hybrid.parameters()) == 31_505_325 - 400 * 513 + trunk + 7 * 1025 == 42_483_812


def test_the_backbone_of_the_recurrent_ones_takes_what_the_tables_print():
    for name in ("resnet18-lstm", "resnet18-gru"):
        frames = built(model(name), "meta").frames
        macs = count(frames, [torch.zeros(16, 1, 3, 112, 112, device="meta")]).macs
        assert macs / 1e9 == pytest.approx(7.778, rel=0.01)


def test_the_hybrid_costs_what_its_docstring_says_beside_the_47_that_are_printed():
    cost = count(built(model("r2plus1d-resnet18"), "meta"), [torch.zeros(1, 16, 3, 112, 112, device="meta")])
    assert cost.macs / 1e9 == pytest.approx(48.3, abs=0.05)
    assert cost.macs / 47e9 == pytest.approx(1.027, abs=0.001)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "settings", "gmacs"),
    [
        ("resnet3d-18", {}, 8.319),
        ("former-dfer", {}, 8.319),
        ("resnet18-gru", {}, 7.778),
        ("r2plus1d-18", {}, 40.64),
        ("r2plus1d-18", RULE, 42.30),
        ("r3d-18", {}, 40.70),
    ],
)
def test_fvcore_counts_what_it_was_reported_to_count(name, settings, gmacs):
    pytest.importorskip("fvcore")
    module = built(model(name, **settings))
    # with its own rules, which add normalisations and count no recurrent layer
    found = fvcore_count(module, [torch.zeros(1, 16, 3, 112, 112)], handles={}).macs
    assert found / 1e9 == pytest.approx(gmacs, rel=1e-3)


def test_all_are_trained_by_the_recipe_of_former_dfer():
    former = model("former-dfer")
    recipe = former.recipe
    assert (recipe.optimiser, recipe.lr, recipe.momentum, recipe.nesterov) == ("sgd", 0.01, 0.9, False)
    assert (recipe.weight_decay, recipe.epochs, recipe.batch_size) == (1e-4, 100, 32)
    assert (recipe.schedule, recipe.step_epochs, recipe.step_factor) == ("step", 40, 0.1)
    # one crop and one flip for all frames of a clip; the whole face in tests
    augment = former.augment
    assert (augment.flip, augment.random_resized_crop, augment.random_crop) == (0.5, (0.08, 1.0), False)
    assert (augment.brightness, augment.contrast, augment.saturation) == (0, 0, 0)
    assert former.preprocess.resize == former.preprocess.crop == 112
    assert (former.preprocess.mean, former.preprocess.std) == ((0.0,) * 3, (1.0,) * 3)
    for name in NAMES:
        other = model(name)
        assert (other.recipe, other.augment) == (recipe, former.augment)
        sampler = "former-dfer" if name == "former-dfer" else "dfer-clip"
        assert other.preprocess == former.preprocess.model_copy(update={"sampler": sampler})
        (group,) = other.parameter_groups(torch.nn.Linear(2, 2))
        assert len(group["params"]) == 2 and "weight_decay" not in group


@pytest.mark.parametrize("name", ["r2plus1d-18", "r3d-18", "resnet3d-18", "resnet18-lstm"])
def test_the_recipe_of_dfew_is_a_preset_where_its_repository_has_the_row(name):
    plugin = model(name, "dfew-paper")
    recipe = plugin.recipe
    assert (recipe.optimiser, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("adam", 1e-3, 0.0, 32)
    assert (recipe.schedule, recipe.step_epochs, recipe.step_factor) == ("step", 1, 0.9)
    assert (plugin.preprocess.resize, plugin.preprocess.crop, plugin.preprocess.sampler) == (112, 112, "linspace")
    augment = plugin.augment
    assert (augment.flip, augment.random_crop, augment.random_resized_crop) == (0.0, False, None)
    assert augment.temporal_jitter


def test_the_lstm_of_dfews_repository_reads_bottlenecks_and_shows_every_state():
    module = built(model("resnet18-lstm", "dfew-paper"), "meta")
    assert (module.frames.features, module.rnn.hidden_size, module.rnn.num_layers) == (2048, 256, 3)
    assert module.fc.in_features == 16 * 256
    small = tiny("resnet18-lstm", block="bottleneck", pool="flatten", layers=3)
    assert small(clip()).shape == (2, 7)


@pytest.mark.parametrize("name", ORDERED)
def test_a_clip_in_another_order_has_other_logits(name):
    module = tiny(name)
    with torch.no_grad():
        logits = module(clip())
        for order in ([7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 2, 3, 4, 5, 6, 7]):
            assert (module(clip()[:, order]) - logits).abs().max() > 1e-5


def test_only_its_video_branch_tells_the_hybrid_the_order():
    module = tiny("r2plus1d-resnet18")
    of_video = module.video.features
    torch.nn.init.zeros_(module.fc.weight[:, :of_video])
    with torch.no_grad():
        torch.testing.assert_close(module(clip().flip(1)), module(clip()))
        torch.nn.init.ones_(module.fc.weight[:, :of_video])
        assert (module(clip().flip(1)) - module(clip())).abs().max() > 1e-5


def test_without_positions_former_dfer_does_not_see_the_order():
    module = tiny("former-dfer")
    torch.nn.init.zeros_(module.temporal.positions)
    with torch.no_grad():
        torch.testing.assert_close(module(clip().flip(1)), module(clip()), atol=1e-5, rtol=1e-5)


def test_a_silent_spatial_transformer_leaves_torchvisions_resnet18():
    import_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(weights=None).eval()
    theirs.fc = torch.nn.Identity()
    module = built(model("former-dfer", preprocess={"resize": 64, "crop": 64}, temporal_depth=1)).spatial
    module.resnet.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    block = module.transformer[0]
    with torch.no_grad():
        mixed = module(images)
        for silent in (module.positions, *block.mixer.proj.parameters(), *block.mlp[2].parameters()):
            silent.zero_()
        torch.testing.assert_close(module(images), theirs(images))
    assert (mixed - theirs(images)).abs().max() > 1e-3


def test_the_transformers_of_former_dfer_are_as_large_as_in_its_code():
    module = built(model("former-dfer"), "meta")
    spatial, temporal = module.spatial, module.temporal
    assert (spatial.positions.shape, temporal.positions.shape) == ((1, 49, 256), (1, 17, 512))
    assert (len(spatial.transformer), len(temporal.transformer)) == (1, 3)
    assert [spatial.transformer[0].mlp[0].out_features, temporal.transformer[0].mlp[0].out_features] == [512, 1024]
    assert spatial.transformer[0].mixer.heads == temporal.transformer[0].mixer.heads == 8
    # 256 x 768 and 256 x 256 + 256 of the attention, two norms, and an MLP with biases
    block = 4 * 256**2 + 256 + 4 * 256 + 2 * 256 * 512 + 512 + 256
    assert sum(p.numel() for p in spatial.transformer.parameters()) == block


def test_former_dfer_reads_the_class_token_of_a_hand_written_transformer():
    module = tiny("former-dfer", temporal_depth=2).temporal
    features = torch.randn(2, 8, 128)
    x = torch.cat((module.cls.expand(2, -1, -1), features), dim=1) + module.positions
    for block in module.transformer:
        normed = torch.nn.functional.layer_norm(x, (128,), block.norm1.weight, block.norm1.bias, 1e-5)
        q, k, v = ((normed @ w.T).view(2, 9, 8, 16).transpose(1, 2) for w in block.mixer.qkv.weight.chunk(3))
        seen = ((q @ k.transpose(2, 3) / 4).softmax(-1) @ v).transpose(1, 2).reshape(2, 9, 128)
        x = x + seen @ block.mixer.proj.weight.T + block.mixer.proj.bias
        h = torch.nn.functional.layer_norm(x, (128,), block.norm2.weight, block.norm2.bias, 1e-5)
        h = h @ block.mlp[0].weight.T + block.mlp[0].bias
        h = 0.5 * h * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (h + 0.044715 * h**3)))
        x = x + h @ block.mlp[2].weight.T + block.mlp[2].bias
    torch.testing.assert_close(module(features), x[:, 0], atol=1e-4, rtol=1e-4)


def rising_or_falling(count, generator):
    """Clips `[B,4,1,32,32]` of noise whose middle grows brighter (1) or darker (0), as bright on average."""
    target = torch.arange(count) % 2
    noise = 0.3 * torch.rand(count, 4, 1, 32, 32, generator=generator)
    clips = noise + 0.4 * torch.rand(count, 1, 1, 1, 1, generator=generator)
    ramp = torch.linspace(-0.3, 0.3, 4) * (2 * target[:, None] - 1)
    clips[..., 8:24, 8:24] += ramp[:, :, None, None, None]
    return clips, target


@pytest.mark.parametrize("name", ["r2plus1d-18", "resnet3d-18", "resnet18-lstm", "resnet18-gru", "former-dfer"])
def test_the_direction_of_time_is_learned_in_a_few_steps(name):
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(0)
    changes = Task(("falls", "rises"), "clip-multiclass", "made", (8, 8), (16, 16), 32, 4)
    module = model(name, "tiny").build(changes).train()
    optimiser = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(14):
        clips, target = rising_or_falling(16, generator)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(clips), target).backward()
        optimiser.step()
    clips, target = rising_or_falling(64, generator)
    # by the statistics of this batch, for running ones need more steps than these
    with torch.no_grad():
        correct = module(clips).argmax(1) == target
    assert correct.float().mean() > 0.85


@pytest.mark.parametrize("name", NAMES)
def test_the_later_stages_can_be_mapped_onto_the_face(name):
    plugin = model(name, "tiny")
    layers = plugin.cam_layers(built(plugin))
    hybrid = ["video-layer4", "frames-layer4"]
    assert list(layers) == (hybrid if name == "r2plus1d-resnet18" else ["layer2", "layer3", "layer4"])


@pytest.mark.parametrize("name", NAMES)
def test_one_clip_has_the_same_logits_in_any_batch(name):
    module = tiny(name).double()
    clips = clip(3).double()
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([module(one[None]) for one in clips]), module(clips))


@pytest.mark.parametrize("name", ["r2plus1d-18", "r3d-18"])
def test_weights_of_torchvisions_video_networks_fit_all_but_the_last_layer(name):
    import_torchvision()
    from torchvision.models import video

    with torch.device("meta"):
        theirs = getattr(video, name.replace("-", "_"))(weights=None)
    plugin = model(name)
    missing = plugin.load_weights(built(plugin, "meta"), theirs.state_dict())
    assert list(missing) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("name", ["resnet18-lstm", "resnet18-gru"])
def test_weights_of_a_resnet18_go_to_the_frames(name):
    plugin = model(name, "tiny")
    module, other = built(plugin), tiny(name)
    given = {key: torch.full_like(value, 0.5) for key, value in other.frames.state_dict().items()}
    missing = plugin.load_weights(module, {**given, "fc.weight": torch.zeros(1000, 512)})
    assert set(missing) == {key for key, _ in module.named_parameters() if not key.startswith("frames.")}
    assert module.frames.conv1.weight.eq(0.5).all()
    own = {key: torch.full_like(value, 0.25) for key, value in module.state_dict().items()}
    assert list(plugin.load_weights(module, own)) == []
    assert module.rnn.weight_hh_l0.eq(0.25).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_cannot_start_is_refused_before_any_data_is_read(name, monkeypatch):
    with pytest.raises(DataError, match=f"{name}: init=weights expects a file, got none"):
        model(name, init="weights").check_ready(origin="synthetic", weights=False)
    model(name, init="weights").check_ready(origin="licensed", weights=True)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r"pip install 'auharness\[vision\]'"):
        model(name).check_ready(origin="synthetic", weights=False)


@pytest.mark.parametrize("name", NAMES)
def test_colour_and_action_units_are_taken_too(name):
    plugin = model(name, "tiny", preprocess={"channels": 3})
    aus = Task(("AU1", "AU12"), "clip-multilabel", "casme2", (3, 4), (9, 9), 48, 8)
    assert plugin.build(aus).eval()(clip().expand(-1, -1, 3, -1, -1)).shape == (2, 2)
