"""How much work one decision may be. Pure.

Policies are written by anybody who has a bucket or an identity, and are asked for everybody's
requests, on the thread that serves all others. However they are written, and whatever a request
says, a decision ends after ``STEPS_MAX``: what would take longer is not judged, so that an Allow
does not apply and a Deny does (``s3front.policies.judge``). A step is about a nanosecond.
"""

from __future__ import annotations

from typing import Final

STEPS_MAX: Final = 10_000_000
"""Steps of one decision. A policy of 20 KiB whose resources all have a ``*`` in their middle takes
some five million for a key of 1,000 characters; usual ones some ten thousand."""

STATEMENT: Final = 500
"""To look at a statement, its principals and its resources."""

PREFIX: Final = 32
"""To compare the beginning of a text."""

CONDITION: Final = 2_000
"""To find the values of a condition key, and to compare them with one or two."""

COMPARISON: Final = 400
"""To compare one of several values, besides what its operator does."""

VALUE: Final = 100
"""To compare a value with a number, a time, or a range of addresses."""

ARN: Final = 2_000
"""To compare the six parts of an ARN, besides what their patterns take."""

FOLDED: Final = 4
"""To take a character without regard to its case."""

PIECE: Final = 300
"""To look at a piece of a pattern, besides what is done for each character."""

ALIKE_CHARACTERS_MAX: Final = 128
"""Characters of a long text that ``str.find`` compares anew at each place, at most: of longer ones
it makes a table first."""


class OutOfWorkError(Exception):
    """A decision takes too long. It is for ``judge``, and reaches nobody else."""


class Work:
    """What is left of the steps of a decision, which all that it asks share."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take some of them. Raises OutOfWorkError when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise OutOfWorkError


def searching(wanted: int, scanned: int) -> int:
    """The steps of ``str.find``: how many characters it looks for, and how many it went through.
    What makes it slow is a text that is nearly the same in many places."""
    alike = wanted if wanted < ALIKE_CHARACTERS_MAX else ALIKE_CHARACTERS_MAX
    return PIECE + scanned * (3 + alike // 5)
