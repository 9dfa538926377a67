"""The model of a request: its presets and settings, and what can be refused without data."""

from auharness import registry
from auharness.api import ModelPlugin, ProtocolPlugin
from auharness.api.model import INPUTS
from auharness.errors import UsageError
from auharness.runner.request import Request, model_layers
from auharness.runner.weights import weights_origin
from auharness.settings import Resolved, default_preset, resolve

__all__ = ["SIZES", "resolve_model", "variant_presets"]

SIZES = ("paper", "tiny")


def resolve_model(
    request: Request, protocol: ProtocolPlugin, *, origin: str
) -> tuple[tuple[str, ...], Resolved[ModelPlugin]]:
    """Return the presets and the model of a request; all that can be refused without data is refused here.

    Args:
        request: what is asked.
        protocol: on which the model trains.
        origin: `licensed` or `synthetic`.

    Raises:
        UsageError: if a preset or setting is wrong, or the model does not read what the protocol scores.
        DataError: if the model cannot give the paper's number with what is there.
    """
    model_class = registry.load("model", request.model)
    presets = variant_presets(model_class, request.presets, synthetic=origin == "synthetic")
    layers = model_layers(request)
    if request.weights is not None:
        if request.settings.get("init") == "none":
            raise UsageError("--weights and --set init=none contradict each other; give one of them")
        weights_origin(request.weights)  # a file that is none stops here rather than in every unit
        layers.append(("flag", {"init": "weights"}))
    model = resolve(model_class, dataset=protocol.train_on[0], presets=presets, layers=layers)
    _check_inputs(model.plugin, registry.load("dataset", protocol.train_on[0]).kind, protocol.name)
    model.plugin.check_ready(origin=origin, weights=request.weights is not None)
    return presets, model


def variant_presets(model: type[ModelPlugin], asked: tuple[str, ...], *, synthetic: bool) -> tuple[str, ...]:
    """Return the presets with a size in front: the asked one, else `paper` on licensed data and `tiny` on stand-ins."""
    sizes = [name for name in asked if name in SIZES]
    if len(sizes) > 1:
        raise UsageError(f"--preset {','.join(asked)}: {' and '.join(sizes)} are both sizes; give one of them")
    if sizes:
        return asked
    return (default_preset(model, synthetic=synthetic), *asked)


def _check_inputs(plugin: ModelPlugin, kind: str, protocol: str) -> None:
    """Refuse a model that asks for what no batch holds, or reads clips where single frames are scored or vice versa."""
    odd = next((name for name in plugin.inputs if name not in INPUTS), None)
    if odd is not None:
        raise UsageError(f"{plugin.name}: no batch holds the input '{odd}'; expected some of {', '.join(INPUTS)}")
    frames, clips = plugin.preprocess.frames, "clip" in plugin.inputs
    if plugin.per_frame:
        if kind != "frame-multilabel":
            raise UsageError(f"{plugin.name} answers for each frame: {protocol} scores whole clips")
        return
    heard = next((name for name in plugin.inputs if name in ("audio", "audio_valid", "frame_s")), None)
    if heard is not None:
        raise UsageError(f"{plugin.name}: only models that answer for each frame are given '{heard}'")
    if kind == "frame-multilabel":
        if frames != 1 or clips:
            what = f"{plugin.name} reads clips" if clips else f"preprocess.frames is {frames}, expected 1"
            raise UsageError(f"{what}: {protocol} scores single frames")
    elif "image" in plugin.inputs and not clips and type(plugin).fit is ModelPlugin.fit:
        raise UsageError(f"{plugin.name} reads single images: {protocol} scores clips; take a model that reads clips")
