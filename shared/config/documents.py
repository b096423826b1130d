"""Reading the JSON files of the configuration: where they are, and what JSON they hold.

Says nothing about their content beyond "a JSON object".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.config.errors import ConfigError

Document = dict[str, Any]


def find(directory: Path, name: str) -> Path | None:
    """The file ``name`` in ``directory/conf``, else in ``directory`` itself, else None."""
    for candidate in (directory / "conf" / name, directory / name):
        if candidate.exists():
            return candidate
    return None


def display_name(path: Path, directory: Path) -> str:
    """How messages call the file: relative to ``directory`` when it is inside."""
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)


def read_document(path: Path, name: str) -> Document:
    """The JSON object of the file at ``path``; ``name`` is its name in messages.

    Raises ConfigError when it cannot be read, is not UTF-8, is not valid JSON (with line and
    column), has the same key twice in one object (JSON would silently keep the last), or is not
    an object.
    """
    try:
        # Editors of some systems begin a file with a byte-order mark, which utf-8-sig drops.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(name, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(name, "", "is not UTF-8") from None
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(name, "", f"{where}: not valid JSON: {error.msg}") from None
    except _DuplicateKeyError as error:
        raise ConfigError(name, error.key, "is given twice in one object") from None
    except (ValueError, RecursionError):
        raise ConfigError(name, "", "a number is too long, or the nesting too deep") from None
    if not isinstance(document, dict):
        raise ConfigError(name, "", "must hold a JSON object")
    return document


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Document:
    document: Document = {}
    for key, value in pairs:
        if key in document:
            raise _DuplicateKeyError(key)
        document[key] = value
    return document
