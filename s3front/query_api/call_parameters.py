"""The parameters of a call: what a form or a query says, by AWS's rules for lists and structures.

``UserName=Anna`` is a text, ``PolicyArns.member.1=…`` an item of a list, ``Tags.member.2.Key=…`` a
member of a structure in a list (AWS Query protocol). Items are taken in the order of their numbers.
What a call knows nothing of is ignored, as AWS does. Pure.

Each parameter that a call looks at is checked by a ``Rule``: how long it may be, and of what. The
messages are IAM's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from s3front.query_api.errors import QueryError
from shared import limits

_ITEM: Final = re.compile(r"member\.([1-9][0-9]{0,4})(?:\.(.+))?", re.DOTALL)


class Rule(msgspec.Struct, frozen=True):
    """What a text may be. Lengths are in characters, ``pattern`` is of the whole text; ``told`` is
    how the message goes on that says so, and says the pattern where there is none. ``values`` are
    all that there are."""

    minimum: int = 0
    maximum: int = limits.CALL_BYTES_MAX
    pattern: re.Pattern[str] | None = None
    told: str = ""
    values: Sequence[str] = ()


ANY_TEXT: Final = Rule()


class Parameters(msgspec.Struct, frozen=True):
    """Those of a call, or of a structure in it. ``at`` is what messages say before their names."""

    values: Mapping[str, str]
    at: str = ""

    def text(self, name: str, rule: Rule = ANY_TEXT) -> str | None:
        """A text, None where there is none; raises ValidationError."""
        value = self.values.get(name)
        if value is not None:
            _check(self._place(name), value, rule)
        return value

    def required(self, name: str, rule: Rule = ANY_TEXT) -> str:
        """A text that must be there; raises ValidationError."""
        value = self.text(name, rule)
        if value is None:
            raise invalid(
                f"Value null at '{self._place(name)}' failed to satisfy constraint: "
                "Member must not be null"
            )
        return value

    def integer(self, name: str, minimum: int, maximum: int) -> int | None:
        """A number, None where there is none; raises ValidationError and MalformedInput."""
        value = self.values.get(name)
        if value is None:
            return None
        if re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII) is None:
            raise QueryError("MalformedInput", f"{name} must be an integer.")
        number = int(value)
        for bad, side, limit in (
            (number < minimum, "greater", minimum),
            (number > maximum, "less", maximum),
        ):
            if bad:
                raise invalid(
                    f"Value '{value}' at '{self._place(name)}' failed to satisfy constraint: "
                    f"Member must have value {side} than or equal to {limit}"
                )
        return number

    def boolean(self, name: str) -> bool | None:
        """Yes or no, None where nothing is said; raises MalformedInput."""
        value = self.values.get(name)
        if value is None:
            return None
        if value.lower() not in ("true", "false"):
            raise QueryError("MalformedInput", f"{name} must be true or false.")
        return value.lower() == "true"

    def texts(self, name: str, rule: Rule = ANY_TEXT) -> list[str]:
        """A list of texts, empty where there is none; raises ValidationError."""
        items = [(number, value) for number, rest, value in self._items(name) if rest is None]
        place = self._place(name)
        found = []
        for number, value in sorted(items):
            _check(f"{place}.{number}.member", value, rule)
            found.append(value)
        return found

    def structures(self, name: str) -> list[Parameters]:
        """A list of structures, empty where there is none."""
        items: dict[int, dict[str, str]] = {}
        for number, rest, value in self._items(name):
            if rest is not None:
                items.setdefault(number, {})[rest] = value
        place = self._place(name)
        return [
            Parameters(values, f"{place}.{number}.member.")
            for number, values in sorted(items.items())
        ]

    def says(self, name: str) -> bool:
        """Whether anything is said of a list, be it that it is empty (``Name=``)."""
        return name in self.values or any(each.startswith(f"{name}.") for each in self.values)

    def _items(self, name: str) -> list[tuple[int, str | None, str]]:
        found = []
        prefix = f"{name}."
        for key, value in self.values.items():
            if key.startswith(prefix):
                match = _ITEM.fullmatch(key, len(prefix))
                if match is not None:
                    found.append((int(match[1]), match[2], value))
        return found

    def _place(self, name: str) -> str:
        return f"{self.at}{name[0].lower()}{name[1:]}"


def parse_parameters(query: Mapping[str, str], body: bytes) -> Parameters:
    """What the query and the form that is the body say together.

    Raises MalformedQueryString: no form, too many parameters, or one that is named twice.
    """
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=limits.CALL_PARAMETERS_MAX,
        )
    except ValueError as error:
        raise _malformed("The query string is malformed.") from error
    values = dict(query)
    for name, value in pairs:
        if name in values:
            raise _malformed(f"The query string has {name} more than once.")
        values[name] = value
    return Parameters(values)


def invalid(text: str) -> QueryError:
    """ValidationError of one parameter."""
    return QueryError("ValidationError", f"1 validation error detected: {text}")


def _check(place: str, value: str, rule: Rule) -> None:
    """Raises ValidationError for a value that a rule does not allow."""
    failed = None
    if rule.values and value not in rule.values:
        raise invalid(
            f"Value '{value}' at '{place}' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(rule.values)}]"
        )
    if len(value) < rule.minimum:
        failed = f"Member must have length greater than or equal to {rule.minimum}"
    elif len(value) > rule.maximum:
        failed = f"Member must have length less than or equal to {rule.maximum}"
    if failed is not None:
        raise invalid(f"Value at '{place}' failed to satisfy constraint: {failed}")
    if rule.pattern is not None and rule.pattern.fullmatch(value) is None:
        if rule.told:
            raise QueryError(
                "ValidationError", f"The specified value for {place} is invalid. {rule.told}"
            )
        raise invalid(
            f"Value at '{place}' failed to satisfy constraint: Member must satisfy regular "
            f"expression pattern: {rule.pattern.pattern}"
        )


def _malformed(text: str) -> QueryError:
    return QueryError("MalformedQueryString", text)
