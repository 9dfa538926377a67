"""What every plugin is: a frozen pydantic model; fields are its settings, class variables say what it is."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from auharness.errors import near

__all__ = ["Plugin", "Settings"]


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True, validate_default=True
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            owner = getattr(cls, "name", None) or cls.__name__.lower()
            for key in values:
                if key not in cls.model_fields:
                    known = ", ".join(cls.model_fields)
                    raise ValueError(
                        f"'{owner}' has no setting '{key}'{near(str(key), cls.model_fields)} (settings: {known})"
                    )
        return values


class Plugin(Settings):
    """Base of models, datasets and protocols."""

    name: ClassVar[str]
    """Lower case with hyphens; equals the file name with underscores, or the entry-point name."""
    paper: ClassVar[str] = ""
    """Citation: authors or title, venue, year."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named nested settings, composed left to right; two that disagree on a key are an error."""
    by_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Nested settings that differ by training dataset, applied between the defaults and the preset."""
