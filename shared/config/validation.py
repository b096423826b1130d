"""Reads a document as a ``Section``, and says what is wrong with it in the user's words.

A section is a frozen value whose annotations say what may stand in the file: text, flags and
paths (not empty: that would be the working directory), a ``Literal``, other sections, tuples of any
of these, or whatever a ``Rule`` makes of the JSON value. No library does it: pydantic takes 100 ms
of the start of each process, and 5 MB of its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from shared.config.errors import ConfigError, nearest
from shared.config.values import MemberError, Rule, read_flag, read_path, read_text

_Location = tuple[str | int, ...]
"""Keys and indexes, from the document down to a value."""

ONE_OR_MORE: Final = "one or more"
"""Marks a tuple of sections that may be written as one of them, without a list around it."""

_NAME_CHARACTERS_MAX: Final = 40
"""Those that are known are shorter, and 32 bytes in base64 or hex digits longer."""

_PLAIN: Final[dict[Any, Rule]] = {
    str: Rule(read_text),
    bool: Rule(read_flag),
    Path: Rule(read_path),
}


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object of a configuration file: frozen, camelCase keys, no unknown key."""

    def check(self) -> None:
        """Raises ValueError when members do not go together, MemberError when one of them has to
        change."""


SectionT = TypeVar("SectionT", bound=Section)


def parse(
    model: type[SectionT],
    document: object,
    file: str,
    prefix: str = "",
    also_known: Iterable[str] = (),
) -> SectionT:
    """The ``document`` as a ``model``, by the file's camelCase names only.

    Raises ConfigError for the first thing wrong, an unknown key before anything else: the key
    that is missing is most often the one that was misspelt. ``prefix`` is the dotted path of
    ``document`` in its file; ``also_known`` are dotted keys to suggest besides the model's own.
    """
    reading = _Reading(also_known)
    read: SectionT | None = reading.section(model, document, ())
    if read is not None:
        return read
    location, reason = (reading.unknown or reading.wrong)[0]
    path = _dotted(location)
    raise ConfigError(file, f"{prefix}.{path}" if prefix and path else prefix or path, reason)


def _dotted(location: _Location) -> str:
    """``("accounts", 1, "arn")`` as ``accounts[1].arn``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _shown(key: str) -> str:
    """The name of an unknown member: a long one may be a secret in the wrong place."""
    return key if len(key) <= _NAME_CHARACTERS_MAX else f"<a name of {len(key)} characters>"


class _Reading:
    """One document: what was found wrong in it so far, in its order. No reason quotes the value
    unless its rule does: it may be a secret."""

    def __init__(self, also_known: Iterable[str]) -> None:
        self.unknown: list[tuple[_Location, str]] = []
        self.wrong: list[tuple[_Location, str]] = []
        self._also_known = [key.rpartition(".") for key in also_known]

    def section(self, model: type[SectionT], document: object, at: _Location) -> SectionT | None:
        """None when something in it is wrong."""
        if not isinstance(document, dict):
            self.wrong.append((at, "must be an object"))
            return None
        wrong_before = len(self.unknown) + len(self.wrong)
        fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
        for key in [name for name in document if name not in fields]:
            hint = nearest(key, fields.keys() | self._suggested(at))
            self.unknown.append(((*at, _shown(key)), f"unknown key{hint}"))
        values = {}
        for key, field in fields.items():
            if key in document:
                values[field.name] = self._value(field.type, document[key], (*at, key))
            elif field.required:
                self.wrong.append(((*at, key), "is missing"))
        if len(self.unknown) + len(self.wrong) > wrong_before:
            return None
        made = model(**values)
        try:
            made.check()
        except ValueError as error:
            self._note(error, at)
            return None
        return made

    def _suggested(self, at: _Location) -> set[str]:
        parent = ".".join(part for part in at if isinstance(part, str))
        return {key for above, _, key in self._also_known if above == parent}

    def _value(self, kind: Any, given: object, at: _Location) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Section):
            return self.section(kind, given, at)
        if origin is not Annotated and NoneType in arguments:
            return None if given is None else self._value(arguments[0], given, at)
        if origin is Annotated and ONE_OR_MORE in kind.__metadata__:
            if isinstance(given, dict):
                return (self._value(get_args(arguments[0])[0], given, at),)
            return self._value(arguments[0], given, at)
        if origin is tuple:
            if isinstance(given, list):
                return tuple(
                    self._value(arguments[0], entry, (*at, index))
                    for index, entry in enumerate(given)
                )
            self.wrong.append((at, "must be a list"))
            return None
        try:
            return _rule(kind).read(given)
        except ValueError as error:
            self._note(error, at)
            return None

    def _note(self, error: ValueError, at: _Location) -> None:
        if isinstance(error, MemberError):
            at = (*at, error.key)
        self.wrong.append((at, str(error)))


def _rule(kind: Any) -> Rule:
    """How a value of a field's type is read."""
    origin = get_origin(kind)
    if origin is Annotated:
        return next(part for part in kind.__metadata__ if isinstance(part, Rule))
    return _one_of(get_args(kind)) if origin is Literal else _PLAIN[kind]


def _one_of(accepted: tuple[str, ...]) -> Rule:
    def read(value: object) -> object:
        if value in accepted:
            return value
        *others, last = (repr(choice) for choice in accepted)
        choices = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"must be one of {choices}")

    return Rule(read)
