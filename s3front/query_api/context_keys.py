"""Which condition keys a policy asks about: in its conditions, and as variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_VARIABLE: Final = re.compile(r"\$\{\s*([^},*?$\s]+:[^},]+?)\s*(?:,[^}]*)?\}")
_BLOCKS: Final = ("Resource", "NotResource", "Condition")


def statements_of(document: Mapping[str, Any]) -> Sequence[Any] | None:
    """The statements of a policy that nobody has checked; None: it is none."""
    found = document.get("Statement")
    if isinstance(found, list):
        return found
    return [found] if isinstance(found, Mapping) else None


def context_keys(document: Mapping[str, Any]) -> Iterator[str]:
    """Their names as the policy writes them, each as often as it does."""
    for statement in statements_of(document) or ():
        if not isinstance(statement, Mapping):
            continue
        condition = statement.get("Condition")
        if isinstance(condition, Mapping):
            for operands in condition.values():
                if isinstance(operands, Mapping):
                    yield from map(str, operands)
        for name in _BLOCKS:
            yield from _variables(statement.get(name))


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (found[1] for found in _VARIABLE.finditer(value))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _variables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _variables(inner)
