"""Patterns that say something of the caller or the request: ``${aws:username}``. Pure.

What stands in for a variable is text: a ``*`` in the name of a user or a key matches a ``*``.

Source: IAM user guide, "IAM policy elements: Variables and tags".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from s3front.policies.question import Question
from s3front.policies.wildcards import (
    Patterns,
    Token,
    Wildcard,
    matches,
    segments_of,
    tokens_of,
)

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_NAMED: Final = re.compile(
    r"\s*([A-Za-z0-9_.+=@/-]+:[^,'\s]+(?: [^,'\s]+)*)\s*(?:,\s*'([^']*)'\s*)?\Z"
)
_ESCAPED: Final = frozenset("*?$")
_SIGNS: Final[dict[object, str]] = {Wildcard.MANY: "*", Wildcard.ONE: "?"}


class Variable(msgspec.Struct, frozen=True):
    """``key`` is a condition key, empty of what is none and so is never known; ``default`` stands
    in where the request has no such key."""

    key: str
    default: str | None = None

    def value(self, question: Question) -> str | None:
        """Its text; None where nothing is known, or several things are."""
        found = question.values(self.key) if self.key else None
        if not found:
            return self.default
        return found[0] if len(found) == 1 else None


Template = list[Token | Variable]


def template_of(text: str) -> Template:
    """A pattern with its variables, as version 2012-10-17 reads it."""
    tokens: list[Token | Variable] = []
    begin = 0
    for variable in _VARIABLE.finditer(text):
        tokens += tokens_of(text[begin : variable.start()])
        inside = variable[1]
        if inside in _ESCAPED:
            tokens.append(inside)
        else:
            named = _NAMED.match(inside)
            tokens.append(Variable("") if named is None else Variable(named[1], named[2]))
        begin = variable.end()
    return [*tokens, *tokens_of(text[begin:])]


def filled(template: Template, question: Question) -> list[Token] | None:
    """The pattern that it is for a question; None where a variable has no value."""
    tokens: list[Token] = []
    for token in template:
        if isinstance(token, Variable):
            value = token.value(question)
            if value is None:
                return None
            tokens.append(value)
        else:
            tokens.append(token)
    return tokens


class VariablePatterns(msgspec.Struct, frozen=True):
    """Several patterns, ``fixed`` those without variables. ``folded``: compared without regard to
    case."""

    fixed: Patterns
    templates: tuple[Template, ...] = ()
    folded: bool = False

    def matched_by(self, text: str, question: Question) -> bool | None:
        """Whether one of them describes a text; None where none does, and the value of a variable
        is missing in one that might."""
        if self.folded:
            text = text.lower()
        if self.fixed.matched_by(text):
            return True
        answer: bool | None = False
        for template in self.templates:
            tokens = filled(template, question)
            if tokens is None:
                answer = None
            elif matches(segments_of(_lowered(tokens) if self.folded else tokens), text):
                return True
        return answer


def patterns_of(
    texts: Iterable[str], *, variables: bool, wildcards: bool = True, folded: bool = False
) -> VariablePatterns:
    """Those of some texts; without ``wildcards``, ``*`` and ``?`` are characters like others."""
    fixed: list[Sequence[Token]] = []
    templates: list[Template] = []
    for text in texts:
        template: Template = template_of(text) if variables else [*tokens_of(text)]
        if not wildcards:
            template = [_SIGNS.get(token, token) for token in template]
        plain = [token for token in template if not isinstance(token, Variable)]
        if len(plain) < len(template):
            templates.append(template)
        else:
            fixed.append(_lowered(plain) if folded else plain)
    return VariablePatterns(Patterns.of(fixed), tuple(templates), folded)


def _lowered(tokens: list[Token]) -> list[Token]:
    return [token.lower() if isinstance(token, str) else token for token in tokens]
