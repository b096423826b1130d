"""Patterns with ``*`` and ``?``, matched in time that no pattern can make explode. Pure.

Theory of operation: ``*`` cuts a pattern into segments of a fixed length. The first has to be at
the beginning, the last at the end, and each of the others at the leftmost place behind the one
before: taking a later place never helps, so nothing is ever tried again. A segment is looked for
by ``str.find``; with a ``?`` in it by a regular expression of its length, which has nothing to try
either, or, if both it and the text are long, for all places at once in the bits of a number (R.
Baeza-Yates, G. H. Gonnet, "A new approach to text searching", 1992).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final

import msgspec


class Wildcard(Enum):
    """What stands for other characters."""

    ONE = auto()
    """``?``: any one."""
    MANY = auto()
    """``*``: any number of any, and none."""


Token = str | Wildcard
"""A piece of a pattern; of text, every character stands for itself."""

_STEPS_MAX: Final = 65_536
"""Characters of a segment times places that a regular expression may look at."""

_OF_CHARACTERS: Final = {"*": Wildcard.MANY, "?": Wildcard.ONE}


def tokens_of(text: str) -> list[Token]:
    """The tokens of a pattern as it is written."""
    tokens: list[Token] = []
    begin = 0
    for index, character in enumerate(text):
        wildcard = _OF_CHARACTERS.get(character)
        if wildcard is not None:
            if begin < index:
                tokens.append(text[begin:index])
            tokens.append(wildcard)
            begin = index + 1
    if begin < len(text):
        tokens.append(text[begin:])
    return tokens


def _joined(tokens: Iterable[Token]) -> list[Token]:
    """The same, with texts that follow each other made one."""
    joined: list[Token] = []
    for token in tokens:
        if isinstance(token, str) and joined and isinstance(joined[-1], str):
            joined[-1] += token
        elif token:
            joined.append(token)
    return joined


class Segment:
    """What stands between two ``*``: ``length`` characters, some of which may be any."""

    __slots__ = ("_any", "_expression", "_literals", "_masks", "length")

    def __init__(self, tokens: Iterable[Token]) -> None:
        self.length = 0
        literals: list[tuple[int, str]] = []
        for token in _joined(tokens):
            if isinstance(token, str):
                literals.append((self.length, token))
                self.length += len(token)
            else:
                self.length += 1
        self._literals = literals
        self._expression: re.Pattern[str] | None = None
        self._masks: dict[str, int] | None = None
        self._any = 0

    @property
    def literal(self) -> str | None:
        """Its text, where no character of it may be any."""
        if not self.length:
            return ""
        if len(self._literals) == 1 and len(self._literals[0][1]) == self.length:
            return self._literals[0][1]
        return None

    def at(self, text: str, position: int) -> bool:
        """Whether it stands there; the text has to be long enough."""
        return all(text.startswith(literal, position + at) for at, literal in self._literals)

    def find(self, text: str, begin: int, end: int) -> int:
        """Where the leftmost place of it ends, from ``begin`` on and up to ``end``; -1: nowhere."""
        literal = self.literal
        if literal is not None:
            found = text.find(literal, begin, end)
            return found if found < 0 else found + self.length
        if end - begin < self.length:
            return -1
        if (end - begin) * self.length <= _STEPS_MAX:
            if self._expression is None:
                self._expression = self._make_expression()
            place = self._expression.search(text, begin, end)
            return -1 if place is None else place.end()
        return self._find_by_bits(text, begin, end)

    def _find_by_bits(self, text: str, begin: int, end: int) -> int:
        if self._masks is None:
            self._masks = self._make_masks()
        masks, other = self._masks, self._any
        done = 1 << (self.length - 1)
        # Bit n is set where the first n+1 characters of the segment end at this character.
        state = 0
        for index in range(begin, end):
            state = ((state << 1) | 1) & masks.get(text[index], other)
            if state & done:
                return index + 1
        return -1

    def _make_expression(self) -> re.Pattern[str]:
        """Each character as itself, or as any."""
        written, at = [], 0
        for place, literal in self._literals:
            written += ["." * (place - at), re.escape(literal)]
            at = place + len(literal)
        written.append("." * (self.length - at))
        return re.compile("".join(written), re.DOTALL)

    def _make_masks(self) -> dict[str, int]:
        """For each character the places of the segment that it may stand at; others may stand
        where any may."""
        fixed = 0
        at_places: dict[str, int] = {}
        for at, literal in self._literals:
            for place, character in enumerate(literal, at):
                bit = 1 << place
                fixed |= bit
                at_places[character] = at_places.get(character, 0) | bit
        self._any = ((1 << self.length) - 1) & ~fixed
        return {character: bits | self._any for character, bits in at_places.items()}


def segments_of(tokens: Iterable[Token]) -> list[Segment]:
    """The segments of a pattern: one more than it has ``*``."""
    segments: list[list[Token]] = [[]]
    for token in tokens:
        if token is Wildcard.MANY:
            segments.append([])
        else:
            segments[-1].append(token)
    # Nothing stands between two ``*`` that follow each other.
    inner = [segment for segment in segments[1:-1] if segment]
    kept = segments if len(segments) == 1 else [segments[0], *inner, segments[-1]]
    return [Segment(segment) for segment in kept]


def matches(segments: Sequence[Segment], text: str) -> bool:
    """Whether a whole text is one that the pattern describes."""
    first, last = segments[0], segments[-1]
    size = len(text)
    if len(segments) == 1:
        return size == first.length and first.at(text, 0)
    end = size - last.length
    if end < first.length or not first.at(text, 0) or not last.at(text, end):
        return False
    position = first.length
    for segment in segments[1:-1]:
        position = segment.find(text, position, end)
        if position < 0:
            return False
    return True


def starred(parts: Sequence[str], text: str) -> bool:
    """The same of a pattern that has no ``?``, of which the parts between its ``*`` are given: two
    or more."""
    first, last = parts[0], parts[-1]
    if not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    if position > end:
        return False
    for part in parts[1:-1]:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def literals_of(tokens: Iterable[Token]) -> tuple[str, ...] | None:
    """The parts between the ``*`` of a pattern, joined; None where it has a ``?``."""
    parts = [""]
    for token in tokens:
        if token is Wildcard.MANY:
            parts.append("")
        elif isinstance(token, str):
            parts[-1] += token
        else:
            return None
    return tuple(parts)


class Patterns(msgspec.Struct, frozen=True):
    """Several patterns, sorted by how fast they are asked."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    with_stars: tuple[tuple[str, ...], ...] = ()
    others: tuple[Sequence[Segment], ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[Sequence[Token]]) -> Patterns:
        """Those of each one's tokens."""
        exact: list[str] = []
        prefixes: list[str] = []
        with_stars: list[tuple[str, ...]] = []
        others: list[Sequence[Segment]] = []
        for tokens in patterns:
            parts = literals_of(tokens)
            if parts is None:
                others.append(segments_of(tokens))
            elif len(parts) == 1:
                exact.append(parts[0])
            elif not any(parts[1:]):
                prefixes.append(parts[0])
            else:
                with_stars.append(parts)
        return cls(frozenset(exact), tuple(prefixes), tuple(with_stars), tuple(others))

    @property
    def is_simple(self) -> bool:
        """Whether ``exact`` and ``prefixes`` are all there is."""
        return not self.with_stars and not self.others

    def matched_by(self, text: str) -> bool:
        """Whether one of them describes a text."""
        if text in self.exact or text.startswith(self.prefixes):
            return True
        for parts in self.with_stars:
            if starred(parts, text):
                return True
        return any(matches(segments, text) for segments in self.others)
