"""Records that this process has read and parsed, so that it need not be told them again.

Nothing is decided on a kept record alone: a read says which revision it has, and the daemon
confirms that this is still the one, in the snapshot of that read; or it is the commit that requires
this, and nothing is refused before a read. Revisions are numbered by a store, and a daemon that is
restarted may have another one (restored, or in memory), so what was told over one connection counts
for nothing over the next.

At most so many records, of so much text, are kept; those that were not asked for the longest time
go first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What is kept of a record."""

    @property
    def size(self) -> int:
        """How much text it has."""


Key = TypeVar("Key")
Kept = TypeVar("Kept", bound=Sized)


class KeptRecords(Generic[Key, Kept]):
    """See the module."""

    def __init__(self, entries_max: int, size_max: int) -> None:
        self._entries_max = entries_max
        self._size_max = size_max
        self._entries: OrderedDict[Key, Kept] = OrderedDict()
        self._size = 0

    def get(self, key: Key) -> Kept | None:
        """What is kept of the record of this key."""
        kept = self._entries.get(key)
        if kept is not None:
            self._entries.move_to_end(key)
        return kept

    def keep(self, key: Key, kept: Kept) -> None:
        """Keep a record in place of an earlier one of its key, unless it is too large."""
        self.forget(key)
        if kept.size > self._size_max:
            return
        self._entries[key] = kept
        self._size += kept.size
        while self._size > self._size_max or len(self._entries) > self._entries_max:
            _, oldest = self._entries.popitem(last=False)
            self._size -= oldest.size

    def forget(self, key: Key) -> None:
        """Keep the record no longer."""
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._size -= kept.size


class RecentKeys(Generic[Key]):
    """The keys that were asked for last: at most so many, forgotten all at once.

    For records of which there are many more than are kept. Those that are read once, as by whoever
    goes through a bucket, neither cost what keeping costs nor take the place of others.
    """

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._keys: set[Key] = set()

    def again(self, key: Key) -> bool:
        """Whether this key is one of them; from now on it is."""
        keys = self._keys
        if key in keys:
            return True
        if len(keys) >= self._keys_max:
            keys.clear()
        keys.add(key)
        return False
