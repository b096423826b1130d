"""Who signs, remembered with the policies that decide what they may, in bounded memory.

Many have the same policies: each is counted once, however many have it, and as long as one of them
is remembered. Those that were not asked for the longest time go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from s3front.auth.identity import Principal
from s3front.policies.policy import Policy

Kept = TypeVar("Kept")


class _Entry(NamedTuple, Generic[Kept]):
    kept: Kept
    size: int
    policies: Sequence[Policy]


class KeptSigners(Generic[Kept]):
    """Entries by their keys: ``entries_max`` of them, of ``bytes_max`` of memory, as far as can be
    said."""

    def __init__(self, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries: OrderedDict[str, _Entry[Kept]] = OrderedDict()
        self._held: dict[int, int] = {}
        self.memory = 0
        """Bytes of all of them."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Kept | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.kept

    def keep(self, key: str, kept: Kept, size: int, principal: Principal | None) -> None:
        """Keep something in place of an earlier one of its key, unless it is too large: ``size``
        bytes besides the policies of a principal."""
        self.forget(key)
        policies = () if principal is None else tuple(_policies_of(principal))
        self._entries[key] = _Entry(kept, size, policies)
        self.memory += size
        for policy in policies:
            # It is the same one as long as an entry holds it.
            count = self._held.get(id(policy), 0)
            self._held[id(policy)] = count + 1
            if not count:
                self.memory += policy.memory
        if size + sum(policy.memory for policy in policies) > self._bytes_max:
            self.forget(key)
        while self.memory > self._bytes_max or len(self._entries) > self._entries_max:
            self.forget(next(iter(self._entries)))

    def forget(self, key: str) -> None:
        """Keep it no longer."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.memory -= entry.size
        for policy in entry.policies:
            count = self._held[id(policy)] - 1
            if count:
                self._held[id(policy)] = count
            else:
                del self._held[id(policy)]
                self.memory -= policy.memory


def _policies_of(principal: Principal) -> Iterator[Policy]:
    rights = principal.rights
    if rights is None:
        return
    boundary = () if rights.boundary is None else (rights.boundary,)
    for named in (*rights.policies, *boundary, *(rights.session or ())):
        yield named.policy
