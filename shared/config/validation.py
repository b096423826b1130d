"""Turns pydantic's view of a wrong document into one ConfigError, in the user's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from shared.config.errors import ConfigError, nearest

_REASONS: Final = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
"""Reasons by pydantic's error type. They never quote the value: it may be a secret."""


class Section(BaseModel):
    """A JSON object of a configuration file: frozen, camelCase keys, no unknown key.

    In Python its attributes are also accepted as arguments by their own names.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


SectionT = TypeVar("SectionT", bound=Section)


def parse(
    model: type[SectionT],
    document: Mapping[str, Any],
    file: str,
    prefix: str = "",
    also_known: Iterable[str] = (),
) -> SectionT:
    """The ``document`` as a ``model``, by the file's camelCase names only.

    Raises ConfigError for the first thing wrong, an unknown key before anything else: the key
    that is missing is most often the one that was misspelt. ``prefix`` is the dotted path of
    ``document`` in its file; ``also_known`` are dotted keys to suggest besides the model's own.
    """
    try:
        return model.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path = dotted(first["loc"])
    key = f"{prefix}.{path}" if prefix and path else prefix or path
    raise ConfigError(file, key, _reason(model, first, also_known))


def dotted(location: Iterable[str | int]) -> str:
    """``("accounts", 1, "arn")`` as ``accounts[1].arn``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _reason(model: type[BaseModel], error: ErrorDetails, also_known: Iterable[str]) -> str:
    if error["type"] == "extra_forbidden":
        *parents, name = error["loc"]
        return "unknown key" + nearest(str(name), _known_keys(model, parents, also_known))
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    template = _REASONS.get(error["type"])
    return template.format_map(context) if template else error["msg"]


def _known_keys(
    model: type[BaseModel], parents: list[str | int], also_known: Iterable[str]
) -> set[str]:
    """The keys that the object at ``parents`` may have."""
    names = [str(part) for part in parents if isinstance(part, str)]
    for name in names:
        fields = {field.alias or own: field for own, field in model.model_fields.items()}
        model = _section_within(fields[name].annotation)
    known = {field.alias or own for own, field in model.model_fields.items()}
    for key in also_known:
        *above, last = key.split(".")
        if above == names:
            known.add(last)
    return known


def _section_within(annotation: Any) -> type[BaseModel]:
    """The Section of ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_section_within(argument) for argument in get_args(annotation))
