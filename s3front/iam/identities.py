"""All records of identities in memory, and what is found by more than their keys. Pure.

Records stay texts until somebody asks for them: ten thousand users take the room of their texts,
and little time to load. What they refer to is indexed when they come in.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from s3front.iam.records import (
    AccessKey,
    Account,
    AnyRecord,
    Group,
    ManagedPolicy,
    Provider,
    Record,
    Role,
    SealingKeys,
    User,
    account_key,
)

_OF_ALL_ACCOUNTS: Final = frozenset(("account", "key", "sessions"))
_INDEXED: Final = frozenset(("user", "group", "role"))


class _Links(msgspec.Struct, rename="camel"):
    """What of a user, group or role is indexed."""

    id: str = ""
    attached: tuple[str, ...] = ()
    boundary: str | None = None
    groups: tuple[str, ...] = ()


class _Owned(msgspec.Struct):
    """What says whose an access key is."""

    account: str = ""


_RECORD_BYTES: Final = 500
"""What a record takes besides its characters, with what finds it and whom it refers to."""

_OWNED: Final = msgspec.json.Decoder(_Owned)
_LINKS: Final = msgspec.json.Decoder(_Links)
_KINDS: Final = (Account, User, Group, Role, ManagedPolicy, AccessKey, Provider, SealingKeys)
_DECODERS: Final[Mapping[type, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind) for kind in _KINDS
}


class Identities:
    """See the module. A record that cannot be read is as one that is not there; ``unreadable`` has
    the keys of those of which even what they refer to is not known."""

    def __init__(self) -> None:
        self.accounts_changed = 0
        """How often accounts were changed."""
        self._clear()

    def _clear(self) -> None:
        """Have no records."""
        self._texts: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._by_id: dict[str, str] = {}
        self._users_of: dict[str, set[str]] = {}
        self._accounts: dict[str, Account] = {}
        self.unreadable: set[str] = set()
        self._sizes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._texts)

    # --- Changing ------------------------------------------------------------------------------

    def replace_all(self, records: Iterable[tuple[str, str]]) -> None:
        """Take these, in place of all that there are."""
        self._clear()
        self.accounts_changed += 1
        for key, text in records:
            self._texts[key] = text
            self._names.setdefault(_room(key), []).append(key)
            self._sizes[_account_of(key, text)] += size_of(key, text)
            self._index(key, text)
        for names in self._names.values():
            names.sort()

    def apply(self, changes: Mapping[str, str | None]) -> None:
        """Take these records in place of those of the same keys; None: there is none any more."""
        for key, text in changes.items():
            before = self._texts.get(key)
            if before == text:
                continue
            room = _room(key)
            if before is not None:
                self._forget(key, before)
                self._sizes[_account_of(key, before)] -= size_of(key, before)
            if text is None:
                del self._texts[key]
                names = self._names[room]
                del names[bisect_left(names, key)]
                if not names:
                    del self._names[room]
                continue
            if before is None:
                insort(self._names.setdefault(room, []), key)
            self._texts[key] = text
            self._sizes[_account_of(key, text)] += size_of(key, text)
            self._index(key, text)

    def _index(self, key: str, text: str) -> None:
        kind = key.partition("/")[0]
        try:
            if kind == "account":
                self.accounts_changed += 1
                self._accounts[key] = _DECODERS[Account].decode(text)
            elif kind in _INDEXED:
                links = _LINKS.decode(text)
                self._by_id[links.id] = key
                for used in _used(links):
                    self._users_of.setdefault(used, set()).add(key)
        except (msgspec.DecodeError, UnicodeError):
            self.unreadable.add(key)

    def _forget(self, key: str, text: str) -> None:
        kind = key.partition("/")[0]
        if kind == "account":
            self.accounts_changed += 1
        if key in self.unreadable:
            self.unreadable.discard(key)
        elif kind == "account":
            del self._accounts[key]
        elif kind in _INDEXED:
            links = _LINKS.decode(text)
            if self._by_id.get(links.id) == key:
                del self._by_id[links.id]
            for used in _used(links):
                users = self._users_of[used]
                users.discard(key)
                if not users:
                    del self._users_of[used]

    # --- Asking --------------------------------------------------------------------------------

    def size(self, account_id: str) -> int:
        """The bytes of memory that the records of an account take."""
        return self._sizes[account_id]

    def growth(self, writes: Mapping[str, str | None]) -> Mapping[str, int]:
        """How many bytes more, or fewer, the records of accounts take when these are written, by
        the IDs of the accounts."""
        grown: Counter[str] = Counter()
        for key, text in writes.items():
            before = self._texts.get(key)
            if before is not None:
                grown[_account_of(key, before)] -= size_of(key, before)
            if text is not None:
                grown[_account_of(key, text)] += size_of(key, text)
        return grown

    def text(self, key: str) -> str | None:
        """The record of a key, as it is stored. It is the same object until it is changed."""
        return self._texts.get(key)

    def get(self, kind: type[AnyRecord], key: str) -> AnyRecord | None:
        """The record of a key, which has to be of this kind."""
        text = self._texts.get(key)
        if text is None:
            return None
        found: AnyRecord | None = _decoded(kind, text)
        return found

    def hides(self, record: Record) -> bool:
        """Whether there is something of the key of a record that cannot be read as one of its
        kind."""
        text = self._texts.get(record.key)
        return text is not None and _decoded(type(record), text) is None

    def keys(self, room: str, after: str = "") -> Sequence[str]:
        """The keys of a room, such as ``user/123456789012``, in their order; those behind the key
        ``after``."""
        names = self._names.get(room, ())
        if not after:
            return names
        begin = bisect_left(names, after)
        return names[begin + (begin < len(names) and names[begin] == after) :]

    def key_of_id(self, unique_id: str) -> str | None:
        """The key of the user, group or role that has a unique ID."""
        return self._by_id.get(unique_id)

    def attached_to(self, policy_arn: str) -> Sequence[str]:
        """The keys of the users, groups and roles that a managed policy is attached to."""
        return sorted(self._users_of.get(policy_arn, ()))

    def bounded_by(self, policy_arn: str) -> Sequence[str]:
        """The keys of the users and roles whose boundary a managed policy is."""
        return sorted(self._users_of.get(f"boundary {policy_arn}", ()))

    def members(self, group_id: str) -> Sequence[str]:
        """The keys of the users in the group that has this unique ID."""
        return sorted(self._users_of.get(group_id, ()))

    def unreadable_of(self, account_id: str) -> Sequence[str]:
        """The keys of the users, groups and roles of an account of which nobody knows what they
        refer to."""
        rooms = tuple(f"{kind}/{account_id}/" for kind in _INDEXED)
        return sorted(key for key in self.unreadable if key.startswith(rooms))

    def account(self, account_id: str) -> Account | None:
        """The record of an account."""
        return self._accounts.get(account_key(account_id))

    def accounts(self) -> Iterable[Account]:
        """Those of all accounts."""
        return self._accounts.values()


def _decoded(kind: type, text: str) -> Any:
    """The record of a text; None when it cannot be read."""
    try:
        return _DECODERS[kind].decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None


def size_of(key: str, text: str) -> int:
    """The bytes of memory that a record takes, as a text."""
    return len(key) + len(text) * (1 if text.isascii() else 4) + _RECORD_BYTES


def _account_of(key: str, text: str) -> str:
    """The ID of the account that a record belongs to; empty where it is nobody's."""
    kind, _, rest = key.partition("/")
    if kind != "key":
        return rest.partition("/")[0]
    try:
        return _OWNED.decode(text).account
    except (msgspec.DecodeError, UnicodeError):
        return ""


def _room(key: str) -> str:
    """Where a record is listed: with all of its kind in its account."""
    kind, _, rest = key.partition("/")
    return kind if kind in _OF_ALL_ACCOUNTS else f"{kind}/{rest.partition('/')[0]}"


def _used(links: _Links) -> Iterable[str]:
    """What an identity refers to."""
    yield from links.attached
    if links.boundary is not None:
        yield f"boundary {links.boundary}"
    yield from links.groups
