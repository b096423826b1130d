"""Client tokens: a request that is repeated with one is done once (AWS: "idempotency").

What a request with a token did is committed together with a record of the token, in the sub-level
``CLIENT_TOKENS``, and that commit requires that there is none yet: of two that come at the same
time, one is done. A key begins with the period of wall-clock time in which it was written, so that
old ones are removed as a range; looked for is in the current period and in the last one. A token is
thus known for ``PERIOD_SECONDS`` at least, as far as the clocks of front-ends agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import Operation, Requirement
from shared.records.names import CLIENT_TOKENS

PERIOD_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A token of an account. ``request`` identifies what it was sent with, ``keys`` are the places
    of its record, the one to be written first."""

    request: str
    keys: tuple[str, ...]

    @classmethod
    def create(cls, account: str, token: str, request: Sequence[str], now: float) -> ClientToken:
        """``now`` is the wall clock, in seconds."""
        name = _digest((account, token))
        period = int(now) // PERIOD_SECONDS
        return cls(_digest(request), tuple(_key(number, name) for number in (period, period - 1)))

    @property
    def addresses(self) -> list[tuple[str, str]]:
        """Where a record of it may be."""
        return [(CLIENT_TOKENS, key) for key in self.keys]

    @property
    def requirements(self) -> list[Requirement]:
        """That nothing was done with it yet."""
        return [gateway.is_absent(CLIENT_TOKENS, key) for key in self.keys]

    def put(self) -> Operation:
        """Remember it."""
        value = orjson.dumps({"request": self.request}).decode()
        return gateway.put(CLIENT_TOKENS, self.keys[0], value)

    def is_same_request(self, record: str) -> bool:
        """Whether a record of it is of the same request."""
        return bool(orjson.loads(record).get("request") == self.request)


def forgotten_before(now: float) -> str:
    """The keys before this one are looked for by nobody."""
    return _key(int(now) // PERIOD_SECONDS - 1, "")


def _key(period: int, name: str) -> str:
    return f"{period:012}.{name}"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(orjson.dumps(list(parts))).hexdigest()
