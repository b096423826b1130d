"""Patterns with ``*`` and ``?``, matched in time that no pattern can make explode. Pure.

Theory of operation: ``*`` cuts a pattern into segments of a fixed length. The first has to be at
the beginning, the last at the end, and each of the others at the leftmost place behind the one
before: taking a later place never helps, so nothing is ever tried again. A segment is looked for
by the longest text in it, with ``str.find``, and compared where that is found. Texts and patterns
that are alike in many places can make that long: so the steps are counted
(``s3front.policies.work``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final

import msgspec

from s3front.policies.work import PIECE, PREFIX, Work, searching


class Wildcard(Enum):
    """What stands for other characters."""

    ONE = auto()
    """``?``: any one."""
    MANY = auto()
    """``*``: any number of any, and none."""


Token = str | Wildcard
"""A piece of a pattern; of text, every character stands for itself."""

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


class Segment(msgspec.Struct, frozen=True):
    """What stands between two ``*``: ``length`` characters, some of which may be any. ``pieces`` is
    the text between the ``?``; ``anchor`` is the longest of them, ``offset`` characters from the
    beginning."""

    pieces: tuple[str, ...]
    length: int
    anchor: str
    offset: int

    @classmethod
    def of(cls, tokens: Iterable[Token]) -> Segment:
        """That of tokens without a ``*``."""
        written = [[""]]
        for token in tokens:
            if isinstance(token, str):
                written[-1].append(token)
            else:
                written.append([])
        pieces = tuple("".join(texts) for texts in written)
        length, anchor, offset = -1, "", 0
        for piece in pieces:
            if len(piece) > len(anchor):
                anchor, offset = piece, length + 1
            length += len(piece) + 1
        return cls(pieces, length, anchor, offset)

    def at(self, text: str, position: int, work: Work) -> bool:
        """Whether it stands there; the text has to be long enough. Raises OutOfWorkError."""
        for compared, piece in enumerate(self.pieces, 1):
            if piece and not text.startswith(piece, position):
                work.spend(PIECE * compared)
                return False
            position += len(piece) + 1
        work.spend(PIECE * len(self.pieces))
        return True

    def find(self, text: str, begin: int, end: int, work: Work) -> int:
        """Where the leftmost place of it ends, from ``begin`` on and up to ``end``; -1: nowhere.
        Raises OutOfWorkError."""
        length, anchor, offset = self.length, self.anchor, self.offset
        if end - begin < length:
            return -1
        if not anchor:
            return begin + length
        place, last = begin + offset, end - length + offset + len(anchor)
        while True:
            found = text.find(anchor, place, last)
            work.spend(searching(len(anchor), (last if found < 0 else found) - place))
            if found < 0:
                return -1
            if self.at(text, found - offset, work):
                return found - offset + length
            place = found + 1


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
    return [Segment.of(segment) for segment in kept]


def matches(segments: Sequence[Segment], text: str, work: Work) -> bool:
    """Whether a whole text is one that the pattern describes. Raises OutOfWorkError."""
    first, last = segments[0], segments[-1]
    size = len(text)
    if len(segments) == 1:
        return size == first.length and first.at(text, 0, work)
    end = size - last.length
    if end < first.length or not first.at(text, 0, work) or not last.at(text, end, work):
        return False
    position = first.length
    for segment in segments[1:-1]:
        position = segment.find(text, position, end, work)
        if position < 0:
            return False
    return True


def starred(parts: Sequence[str], text: str, work: Work) -> bool:
    """The same of a pattern that has no ``?``, of which the parts between its ``*`` are given: two
    or more. Raises OutOfWorkError."""
    first, last = parts[0], parts[-1]
    if not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    if position > end:
        return False
    for part in parts[1:-1]:
        found = text.find(part, position, end)
        work.spend(searching(len(part), (end if found < 0 else found) - position))
        if found < 0:
            return False
        position = found + len(part)
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


Pattern = str | tuple[str, ...] | list[Segment]
"""One pattern, in as little room as it needs: a text without wildcards, the parts between its
``*``, or segments where it has a ``?``."""


def pattern_of(tokens: Sequence[Token]) -> Pattern:
    """That of its tokens."""
    parts = literals_of(tokens)
    if parts is None:
        return segments_of(tokens)
    return parts[0] if len(parts) == 1 else parts


def describes(pattern: Pattern, text: str, work: Work) -> bool:
    """Whether a whole text is one that the pattern describes. Raises OutOfWorkError."""
    if isinstance(pattern, str):
        return pattern == text
    if isinstance(pattern, tuple):
        return starred(pattern, text, work)
    return matches(pattern, text, work)


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

    def matched_by(self, text: str, work: Work) -> bool:
        """Whether one of them describes a text. Raises OutOfWorkError."""
        if text in self.exact:
            return True
        if prefixes := self.prefixes:
            work.spend(PREFIX * len(prefixes))
            if text.startswith(prefixes):
                return True
        if with_stars := self.with_stars:
            work.spend(PIECE * len(with_stars))
            for parts in with_stars:
                if starred(parts, text, work):
                    return True
        return any(matches(segments, text, work) for segments in self.others)
