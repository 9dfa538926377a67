"""One plugin from its defaults and all the layers above them, with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from auharness.errors import UsageError, near

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from auharness.api import Plugin

__all__ = ["Resolved", "default_preset", "resolve"]

DEFAULT = "default"

P = TypeVar("P", bound="Plugin")


@dataclass(frozen=True, slots=True)
class Resolved(Generic[P]):
    """A plugin with all its settings, and where each came from."""

    plugin: P
    origins: dict[str, str]
    """Dotted setting -> `default`, `by_dataset bp4d`, `preset tiny`, or the origin of a layer."""
    values: dict[str, Any]
    """Dotted setting -> value, in the order in which the plugin declares them."""


def resolve(
    plugin: type[P],
    *,
    dataset: str = "",
    presets: Sequence[str] = (),
    layers: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> Resolved[P]:
    """Build a plugin from its defaults and every layer above them.

    Args:
        plugin: the plugin class.
        dataset: the training dataset, which selects the `by_dataset` values; empty for none.
        presets: names composed left to right; `paper` is the defaults unless the plugin defines it.
        layers: (origin, nested settings) from the weakest to the strongest, e.g. file, environment, flag.

    Raises:
        UsageError: if a preset is unknown, two presets disagree, or a setting is unknown or has a wrong value; one line
            per problem.
    """
    tree = _defaults(plugin)
    given: dict[str, str] = {}
    stack = [(f"by_dataset {dataset}", plugin.by_dataset.get(dataset, {}))]
    stack += [(f"preset {name}", _preset(plugin, name)) for name in presets]
    _refuse_conflicts(plugin, presets)
    for origin, settings in [*stack, *layers]:
        for key, value in _flatten(plugin, settings, origin):
            _put(tree, key, value)
            given[key] = origin
    built = _validate(plugin, tree, given)
    values = dict(_leaves(plugin, built))
    return Resolved(built, {key: given.get(key, DEFAULT) for key in values}, values)


def default_preset(plugin: type[Plugin], *, synthetic: bool) -> str:
    """Return the size that a run takes when none is asked for: `tiny` on stand-ins if there is one, else `paper`."""
    return "tiny" if synthetic and "tiny" in plugin.presets else "paper"


def _group(plugin: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the class of a field that is one group of settings, None for a plain value."""
    from pydantic import BaseModel

    annotation = plugin.model_fields[name].annotation
    groups = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
    return groups[0] if len(groups) == 1 else None


def _defaults(plugin: type[BaseModel]) -> dict[str, Any]:
    """Return the default values, groups as dictionaries; a field without a default is absent."""
    values: dict[str, Any] = {}
    for name, field in plugin.model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True, validated_data=values)
            values[name] = _as_tree(value)
    return values


def _as_tree(value: Any) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return {name: _as_tree(getattr(value, name)) for name in type(value).model_fields}
    return value


def _leaves(plugin: type[BaseModel], values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted setting, value) of a plugin or of its tree of values."""
    for name in plugin.model_fields:
        inner = _group(plugin, name)
        value = values.get(name) if isinstance(values, Mapping) else getattr(values, name)
        if inner is not None and value is not None:
            yield from _leaves(inner, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _flatten(
    plugin: type[BaseModel],
    settings: Mapping[str, Any],
    origin: str,
    prefix: str = "",
    root: type[BaseModel] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Yield (dotted setting, value) of nested settings; refuses names that the plugin does not have."""
    from pydantic import BaseModel

    root = root or plugin
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if name not in plugin.model_fields:
            raise UsageError(_unknown(root, key, origin))
        inner = _group(plugin, name)
        if isinstance(value, BaseModel):
            value = {field: getattr(value, field) for field in value.model_fields_set}
        if inner is None:
            yield key, _none_if_asked(plugin, name, value)
        elif isinstance(value, Mapping):
            yield from _flatten(inner, value, origin, f"{key}.", root)
        else:
            first = next(iter(inner.model_fields))
            raise UsageError(f"{key} is {value!r} ({origin}), expected a group of settings, e.g. {key}.{first}=...")


def _none_if_asked(plugin: type[BaseModel], name: str, value: Any) -> Any:
    """TOML has no null, so the word `none` switches off a setting that may be None and is no text."""
    choices = get_args(plugin.model_fields[name].annotation)
    return None if value == "none" and type(None) in choices and str not in choices else value


def _unknown(plugin: type[BaseModel], key: str, origin: str) -> str:
    known = [name for name, _ in _leaves(plugin, _defaults(plugin))]
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    hint = f"; did you mean '{same[0]}'?" if same else near(key, known)
    owner = getattr(plugin, "name", plugin.__name__)
    return f"'{owner}' has no setting '{key}' ({origin}){hint} (run: auharness show {owner})"


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        if tree.get(group) is None:  # an optional group that is off by default
            tree[group] = {}
        tree = tree[group]
    tree[last] = value


def _preset(plugin: type[Plugin], name: str) -> Mapping[str, Any]:
    if name in plugin.presets:
        return plugin.presets[name]
    if name == "paper":
        return {}
    known = list(dict.fromkeys(["paper", *plugin.presets]))
    raise UsageError(f"'{plugin.name}' has no preset '{name}'{near(name, known)} (presets: {', '.join(known)})")


def _refuse_conflicts(plugin: type[Plugin], presets: Sequence[str]) -> None:
    seen: dict[str, tuple[str, Any]] = {}
    for preset in presets:
        for key, value in _flatten(plugin, _preset(plugin, preset), f"preset {preset}"):
            other, earlier = seen.setdefault(key, (preset, value))
            if earlier != value:
                raise UsageError(
                    f"presets '{other}' and '{preset}' of '{plugin.name}' disagree on {key}: "
                    f"{earlier!r} and {value!r}; keep one and give the other's values with --set"
                )


def _validate(plugin: type[P], tree: dict[str, Any], origins: Mapping[str, str]) -> P:
    from pydantic import ValidationError

    try:
        return plugin.model_validate(tree)
    except ValidationError as error:
        known = {key for key, _ in _leaves(plugin, _defaults(plugin))}
        lines = [_line(plugin.name, problem, known, origins) for problem in error.errors(include_url=False)]
        raise UsageError("\n".join(lines)) from error


def _line(owner: str, problem: ErrorDetails, known: set[str], origins: Mapping[str, str]) -> str:
    """Say what one validation problem is: setting, got, origin, expected, near miss."""
    path = [str(part) for part in problem["loc"]]
    # the location may go on into the items of a tuple or the members of a union
    key = next((key for end in range(len(path), 0, -1) if (key := ".".join(path[:end])) in known), ".".join(path))
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if problem["type"] == "missing":
        item = ".".join(path[key.count(".") + 1 :])
        return f"{key}: item {item} (counted from 0) is missing" if item else f"'{owner}' needs the setting {key}"
    if problem["type"] in ("value_error", "assertion_error"):
        return f"'{owner}': {f'{key}: ' if key else ''}{message}"
    got = problem["input"]
    origin = f" ({origins[key]})" if key in origins else ""
    hint = near(got, _choices(problem)) if isinstance(got, str) else ""
    return f"{key} is {got!r}{origin}, expected {message.removeprefix('Input should be ')}{hint}"


def _choices(problem: ErrorDetails) -> list[str]:
    expected = str(problem.get("ctx", {}).get("expected", ""))
    return [word.strip().strip("'") for word in expected.replace(" or ", ",").split(",") if word.strip()]
