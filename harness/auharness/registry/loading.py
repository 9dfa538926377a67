"""One plugin class on request: import its module, check its hook and its name, and say in one line what is wrong.

`AUHARNESS_TRACE=1` prints every hook call to stderr.
"""

import importlib
import importlib.util
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, overload

import pluggy

from auharness.errors import AuharnessError, DataError, PluginError, UsageError, near
from auharness.hookspecs import DatasetSpecs, ModelSpecs, ProtocolSpecs
from auharness.registry.names import KINDS, Offer, require
from auharness.registry.source import culprit

if TYPE_CHECKING:
    from auharness.api import DatasetPlugin, ModelPlugin, Plugin, ProtocolPlugin

__all__ = ["EXTRAS", "import_module", "load", "load_file", "new_manager", "register"]

EXTRAS = {
    "torchvision": "vision",
    "timm": "vision",
    "onnxruntime": "vision",
    "transformers": "hf",
    "peft": "hf",
    "fvcore": "flops",
    "triton": "gpu",
    "fla": "gpu",
    "numba": "cpu",
    "ray": "dist",
    "submitit": "dist",
    "matplotlib": "viz",
    "plotly": "viz",
    "tensorboard": "viz",
    "torch_tb_profiler": "viz",
    "mamba_ssm": "mamba",
}
"""Importable module -> the extra of `auharness` that installs it."""

_SPECS: dict[str, type] = {"model": ModelSpecs, "dataset": DatasetSpecs, "protocol": ProtocolSpecs}
_HOOKS = {kind: f"auharness_{kind}" for kind in KINDS}


@overload
def load(kind: Literal["model"], name: str) -> "type[ModelPlugin]": ...
@overload
def load(kind: Literal["dataset"], name: str) -> "type[DatasetPlugin]": ...
@overload
def load(kind: Literal["protocol"], name: str) -> "type[ProtocolPlugin]": ...
@overload
def load(kind: str, name: str) -> "type[Plugin]": ...
def load(kind: str, name: str) -> "type[Plugin]":
    """Import one plugin module and return the class that its hook gives.

    Raises:
        UsageError: if no plugin has the name.
        PluginError: if two packages offer the name, the import fails, or the hook or the class is wrong.
        DataError: if an optional package is missing; names the command that installs it.
    """
    offer = require(kind, name)
    plugin = _plugin_class(offer, import_module(offer))
    if plugin.name != name:
        expected = "file name" if offer.package == "auharness" else "entry-point name"
        raise PluginError(f"{offer}: class {plugin.__name__} has the name '{plugin.name}', expected the {expected}")
    return plugin


def load_file(path: Path) -> "tuple[str, type[Plugin]]":
    """Import a plugin from a file or a package folder that need not be installed; return its kind and its class.

    Raises:
        UsageError: if there is no such file.
        PluginError: if the import fails, or the hook or the class is wrong.
        DataError: if an optional package is missing.
    """
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".py":
        raise UsageError(f"{path}: no such plugin file; expected a .py file or a package folder")
    stem = path.resolve().name if path.is_dir() else path.stem
    offer = Offer("plugin", stem.replace("_", "-"), stem, str(path))
    module = _import_file(offer, file)
    kinds = [kind for kind in KINDS if hasattr(module, _HOOKS[kind])]
    if len(kinds) != 1:
        found = ", ".join(_HOOKS[kind] for kind in kinds) or "none"
        raise PluginError(f"{path}: expected exactly one of the hooks {', '.join(_HOOKS.values())}; found {found}")
    return kinds[0], _plugin_class(Offer(kinds[0], offer.name, stem, str(path)), module)


def import_module(offer: Offer) -> ModuleType:
    """Import the module of an offer; what it prints goes to stderr, as stdout is the command's answer.

    Raises:
        PluginError: if the import fails; names the cause and the line.
        DataError: if an optional package is missing; names the command that installs it.
    """
    try:
        with redirect_stdout(sys.stderr):
            return importlib.import_module(offer.module)
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything
        raise _import_problem(offer, error) from error


def new_manager(specs: type) -> pluggy.PluginManager:
    """Return a plugin manager for one class of hook specifications; traced when `AUHARNESS_TRACE` is set."""
    manager = pluggy.PluginManager("auharness")
    manager.add_hookspecs(specs)
    if os.environ.get("AUHARNESS_TRACE", "") not in ("", "0"):
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    return manager


def register(manager: pluggy.PluginManager, offer: Offer, plugin: object) -> list[str]:
    """Register a module with a manager and return the hooks it implements; a refused module is not kept.

    Raises:
        PluginError: if a hook is misspelled, belongs to another kind, or asks for unknown arguments.
    """
    known = set(vars(manager.hook))
    try:
        manager.register(plugin, offer.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        found = [caller.name for caller in manager.get_hookcallers(plugin) or ()]
        if manager.is_registered(plugin):
            manager.unregister(plugin)
        wrong = next((name for name in found if name not in known), None)
        if wrong is None:
            raise PluginError(f"{offer}: {' '.join(str(error).split())}") from error
        raise PluginError(f"{offer}: {_wrong_hook(wrong, known)}") from error
    return [caller.name for caller in manager.get_hookcallers(plugin) or ()]


def _wrong_hook(wrong: str, known: set[str]) -> str:
    for kind, hook in _HOOKS.items():
        if hook == wrong:
            return f"the hook '{wrong}' belongs to the entry-point group auharness.{kind}s"
    wanted = ", ".join(sorted(name for name in known if name.startswith("auharness_")))
    return f"no hook '{wrong}'{near(wrong, known)} (hooks of this kind: {wanted})"


def _plugin_class(offer: Offer, module: ModuleType) -> "type[Plugin]":
    hook = _HOOKS[offer.kind]
    # a manager of its own: in a shared one a dataset and a protocol of one name would hide each other
    manager = new_manager(_SPECS[offer.kind])
    if hook not in register(manager, offer, module):
        reason = "is not marked with @hookimpl" if hasattr(module, hook) else "is missing"
        raise PluginError(f"{offer}: the hook {hook} {reason}; expected '@hookimpl def {hook}()' to return the class")
    try:
        plugin = getattr(manager.hook, hook)()
    except Exception as error:
        raise PluginError(f"{offer}: the hook {hook} raised {_cause(error)}") from error
    _check_class(offer, plugin)
    return plugin


def _check_class(offer: Offer, plugin: object) -> None:
    base = f"{offer.kind.title()}Plugin"
    # by string: the registry lies below the interfaces, which import pydantic
    wanted = getattr(importlib.import_module("auharness.api"), base)
    if not isinstance(plugin, type) or not issubclass(plugin, wanted):
        raise PluginError(f"{offer}: the hook {_HOOKS[offer.kind]} returned {plugin!r}, expected a subclass of {base}")
    if missing := sorted(getattr(plugin, "__abstractmethods__", ())):
        raise PluginError(f"{offer}: class {plugin.__name__} lacks the method {', '.join(missing)}")
    if not isinstance(getattr(plugin, "name", None), str):
        raise PluginError(f"{offer}: class {plugin.__name__} lacks a name; expected name = '{offer.name}'")


def _import_file(offer: Offer, file: Path) -> ModuleType:
    search = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(offer.module, file, submodule_search_locations=search)
    assert spec is not None and spec.loader is not None  # both exist for a file that ends in .py
    module = importlib.util.module_from_spec(spec)
    replaced = sys.modules.get(offer.module)
    sys.modules[offer.module] = module  # pydantic looks its module up when it resolves annotations
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[offer.module]
        if replaced is not None:
            sys.modules[offer.module] = replaced
        raise _import_problem(offer, error) from error
    return module


def _import_problem(offer: Offer, error: BaseException) -> AuharnessError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top in EXTRAS:
            return DataError(f'{offer} needs the package {top}; install it: pip install "auharness[{EXTRAS[top]}]"')
        if error.name == offer.module or offer.module.startswith(f"{error.name}."):
            return PluginError(f"{offer}: there is no such module; reinstall the package {offer.package}")
    return PluginError(f"{offer}: the import failed with {_cause(error)}")


def _cause(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    line = culprit(error)
    return f"{type(error).__name__}: {text}{f' ({line})' if line else ''}"
