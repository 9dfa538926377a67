"""The source of a plugin: its file, the digest that enters every unit id, and the line that raised an error."""

import hashlib
import sys
from pathlib import Path

from auharness.errors import PluginError
from auharness.registry.names import KINDS, find_spec, offers, require

__all__ = ["code_digest", "culprit", "plugin_digest", "source_digest", "source_file"]


def source_file(kind: str, name: str) -> Path:
    """Return the file that holds a plugin (`__init__.py` of a package), without importing it.

    Raises:
        UsageError: if no plugin has the name.
        PluginError: if two packages offer the name, or the entry point names a module that does not exist.
    """
    offer = require(kind, name)
    spec = find_spec(offer.module)
    if spec is None or spec.origin is None:
        raise PluginError(f"{offer}: there is no such module; reinstall the package {offer.package}")
    return Path(spec.origin)


def source_digest(kind: str, name: str) -> str:
    """Return `plugin_digest` of a plugin without importing it.

    Raises:
        UsageError: if no plugin has the name.
        PluginError: if two packages offer the name, or its module does not exist.
    """
    return code_digest(source_file(kind, name))


def code_digest(file: Path) -> str:
    """Return the sha256 of a module and the csv table of the same name, or of all of a package by its `__init__.py`."""
    if file.name == "__init__.py":
        found = [path for path in file.parent.rglob("*") if path.suffix in {".py", ".csv"}]
        files = sorted(found, key=lambda path: path.relative_to(file.parent).as_posix())
    else:
        files = [path for path in (file, file.with_suffix(".csv")) if path.is_file()]
    digest = hashlib.sha256()
    for path in files:
        # name and length first, so that bytes moved from one file to another are seen
        digest.update(f"{path.relative_to(file.parent).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def plugin_digest(plugin: type) -> str:
    """Return the sha256 of a plugin's source.

    That is its file and the csv table of the same name, or every `.py` and `.csv` below the package that holds it; a
    reported table (json) is left out, because it changes no result.

    Raises:
        PluginError: if the class was not defined in a file.
    """
    home = _home(plugin)
    file = getattr(sys.modules.get(home), "__file__", None)
    if file is None:
        raise PluginError(f"class {plugin.__name__}: module {home} is no file, so its source cannot be recorded")
    return code_digest(Path(file))


def culprit(error: BaseException, source: Path | None = None) -> str:
    """Return the innermost line of a plugin's source that raised, e.g. `my_net.py:12`, or an empty string.

    Args:
        error: a caught exception.
        source: the plugin's file or the folder of its package; None takes the innermost line outside the import system.
    """
    import traceback  # with what it imports it would be a tenth of `auharness --help`

    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    lines = [line for line in traceback.extract_tb(error.__traceback__) if not line.filename.startswith("<")]
    own = [line for line in lines if source is None or Path(line.filename).is_relative_to(source)]
    own = [line for line in own if not Path(line.filename).is_relative_to(Path(__file__).parent)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _home(plugin: type) -> str:
    """Return the module that the plugin was offered as; its class may be defined in a submodule of it."""
    name = getattr(plugin, "name", "")
    modules = [offer.module for kind in KINDS for offer in offers(kind).get(name, ())]
    return next((m for m in modules if f"{plugin.__module__}.".startswith(f"{m}.")), plugin.__module__)
