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
    starred,
    tokens_of,
)
from s3front.policies.work import FOLDED, PIECE

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


Piece = Token | Variable


def pieces_of(text: str) -> list[Piece]:
    """A pattern with its variables, as version 2012-10-17 reads it."""
    tokens: list[Piece] = []
    begin = 0
    while True:
        opened = text.find("${", begin)
        closed = -1 if opened < 0 else text.find("}", opened)
        if closed < 0:
            return [*tokens, *tokens_of(text[begin:])]
        tokens += tokens_of(text[begin:opened])
        inside = text[opened + 2 : closed]
        if inside in _ESCAPED:
            tokens.append(inside)
        else:
            named = _NAMED.match(inside)
            tokens.append(Variable("") if named is None else Variable(named[1], named[2]))
        begin = closed + 1


class Template(msgspec.Struct, frozen=True):
    """A pattern with variables. ``prefix`` is what all texts begin with that it may describe;
    ``single`` whether it has a ``?``."""

    pieces: Sequence[Piece]
    prefix: str
    single: bool
    folded: bool

    @classmethod
    def of(cls, pieces: Sequence[Piece], *, folded: bool) -> Template:
        """That of its pieces."""
        if folded:
            pieces = [piece.lower() if isinstance(piece, str) else piece for piece in pieces]
        first = pieces[0]
        prefix = first if isinstance(first, str) else ""
        return cls(pieces, prefix, Wildcard.ONE in pieces, folded)

    def matched_by(self, text: str, question: Question) -> bool | None:
        """Whether it describes a text; None where it might, had a variable a value. Raises
        OutOfWorkError."""
        if not text.startswith(self.prefix):
            return False
        work = question.work
        # To put a pattern together takes longer than to compare one that is ready.
        work.spend(PIECE * (2 + (1 + 4 * self.single) * len(self.pieces)))
        tokens: list[Token] = []
        parts: list[str] = []
        part = ""
        for piece in self.pieces:
            if isinstance(piece, Variable):
                value = piece.value(question)
                if value is None:
                    return None
                work.spend(len(value))
                part += value.lower() if self.folded else value
            elif isinstance(piece, str):
                part += piece
            elif self.single:
                tokens += (part, piece)
                part = ""
            else:
                parts.append(part)
                part = ""
        if self.single:
            return matches(segments_of([*tokens, part]), text, work)
        return starred([*parts, part], text, work) if parts else part == text


class VariablePatterns(msgspec.Struct, frozen=True):
    """Several patterns, ``fixed`` those without variables. ``folded``: compared without regard to
    case."""

    fixed: Patterns
    templates: tuple[Template, ...] = ()
    folded: bool = False

    def matched_by(self, text: str, question: Question) -> bool | None:
        """Whether one of them describes a text; None where none does, and the value of a variable
        is missing in one that might. Raises OutOfWorkError."""
        if self.folded:
            question.work.spend(FOLDED * len(text))
            text = text.lower()
        if self.fixed.matched_by(text, question.work):
            return True
        answer: bool | None = False
        for template in self.templates:
            found = template.matched_by(text, question)
            if found:
                return True
            if found is None:
                answer = None
        return answer


def patterns_of(
    texts: Iterable[str], *, variables: bool, wildcards: bool = True, folded: bool = False
) -> VariablePatterns:
    """Those of some texts; without ``wildcards``, ``*`` and ``?`` are characters like others."""
    fixed: list[Sequence[Token]] = []
    templates: list[Template] = []
    for text in texts:
        pieces: list[Piece] = pieces_of(text) if variables else [*tokens_of(text)]
        if not wildcards:
            pieces = [_SIGNS.get(piece, piece) for piece in pieces]
        plain = [piece for piece in pieces if not isinstance(piece, Variable)]
        if len(plain) < len(pieces):
            templates.append(Template.of(pieces, folded=folded))
        else:
            fixed.append(_lowered(plain) if folded else plain)
    return VariablePatterns(Patterns.of(fixed), tuple(templates), folded)


def _lowered(tokens: list[Token]) -> list[Token]:
    return [token.lower() if isinstance(token, str) else token for token in tokens]
