"""What is wrong with the configuration, in one line that a person can act upon."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ENVIRONMENT = "environment"
"""Stands in the place of the file's name when an environment variable is wrong."""


class ConfigError(Exception):
    """A setting that this program cannot start with.

    ``file`` is the file as the user knows it, or ``environment``; ``key`` is the dotted path of
    the setting (``metadataClient.port``, ``accounts[1].arn``) or the variable's name, empty when
    the whole file is meant; ``reason`` says what is wrong. ``str()`` is always one line, and never
    holds a secret.
    """

    def __init__(self, file: str, key: str, reason: str) -> None:
        self.file = file
        self.key = key
        self.reason = reason
        super().__init__(_one_line(": ".join(part for part in (file, key, reason) if part)))


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean X?"`` for the known name that looks most like ``name``, or nothing."""
    folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"; did you mean {folded[found[0]]}?" if found else ""


def _one_line(text: str) -> str:
    """``text`` with line breaks and control characters escaped: keys come from the user."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
