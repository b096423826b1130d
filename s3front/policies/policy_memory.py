"""How much memory a policy takes, its document and what is compiled of it. Pure.

For whoever keeps policies, so that what others write into them takes no more than is set aside: a
policy made for it takes a hundred times its text. What is said is an estimate, seldom too low (a
test measures it): some objects of Python for each element, each value, and each wildcard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_POLICY: Final = 3_000
_STATEMENT: Final = 1_200
_LIST: Final = 100
_OBJECT: Final = 260
_NAME: Final = 70
_CONDITION: Final = 1_000
_VALUE: Final = 170
_WILDCARD: Final = 130
_VARIABLE: Final = 300
_OF_ARN: Final = 2
"""Each of the parts of an ARN is a pattern."""


POLICY_MEMORY_MAX: Final = 1_536 * 1024
"""Of a policy of a bucket that is set: more than usual ones of the longest text take. To compile it
takes some twenty milliseconds."""


def policy_memory(document: Any) -> int:
    """Bytes that a policy takes, of a document of any form."""
    written = document.get("Statement") if isinstance(document, Mapping) else None
    statements = written if isinstance(written, list) else [written]
    return _POLICY + document_memory(document) + sum(map(_of_statement, statements))


def document_memory(value: Any) -> int:
    """Bytes of any JSON value, with what is in it; of texts, also what is compiled of patterns."""
    if isinstance(value, str):
        # Of other characters than Latin-1, four bytes, and an object where they stand alone.
        size = _VALUE + 2 * len(value) * (1 if value.isascii() else 12)
        wildcards = value.count("?") + value.count("*")
        return size + _WILDCARD * wildcards + _VARIABLE * value.count("${")
    if isinstance(value, list):
        return _LIST + sum(map(document_memory, value))
    if isinstance(value, Mapping):
        size = _OBJECT
        for name, each in value.items():
            size += _NAME + 4 * len(name) + document_memory(each)
        return size
    return _VALUE


def _of_statement(statement: Any) -> int:
    """What is compiled of it, besides its values."""
    size = _STATEMENT
    conditions = statement.get("Condition") if isinstance(statement, Mapping) else None
    if isinstance(conditions, Mapping):
        for operator, keys in conditions.items():
            if isinstance(keys, Mapping):
                size += _CONDITION * len(keys)
                if "arn" in operator.lower():
                    size += _OF_ARN * sum(map(document_memory, keys.values()))
    return size
