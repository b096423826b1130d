"""How changes of identities are written down, so that whoever knows them need only read what is
new.

``..iam``/``version`` counts the changes. Each writes its records, the next number, and in
``..iamChanges``, under that number, which records those were: all in one commit, which requires
that the number is still the one that it was decided on. Changes are thus made one after the other,
each on all that there is.

A change has an ID besides its number, and names that of the one before: a store that was put back
from a backup counts on, but not from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from s3front.iam.records import VERSION_KEY
from s3front.metadata import gateway
from s3front.metadata.gateway import Operation, Requirement
from shared.records.names import IAM, IAM_CHANGES

KEPT_CHANGES: Final = 4096
"""So many of the last changes can be read. Who has missed more reads everything."""


class Version(msgspec.Struct, frozen=True):
    """The last change."""

    number: int = 0
    id: str = ""


class Changed(msgspec.Struct, frozen=True):
    """The records of a change, by their keys in ``..iam``; ``previous`` is the ID of the change
    before it."""

    id: str
    previous: str
    keys: Sequence[str]


NO_CHANGES: Final = Version()
"""Nothing was ever stored."""


def version_of(text: str | None) -> Version:
    """What the record of the version says. Raises msgspec.DecodeError."""
    return NO_CHANGES if text is None else msgspec.json.decode(text, type=Version)


def changed_of(text: str) -> Changed:
    """What the record of a change says. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Changed)


def change_key(number: int) -> str:
    return f"{number:016d}"


def change_operations(
    writes: Mapping[str, str | None], before: Version, change_id: str
) -> list[Operation]:
    """The commit of a change: texts of records by their keys, None for those that go.

    The version comes last: to a daemon that does one after the other, only then it is complete.
    """
    operations = [
        gateway.delete(IAM, key) if text is None else gateway.put(IAM, key, text)
        for key, text in writes.items()
    ]
    number = before.number + 1
    changed = Changed(change_id, before.id, tuple(writes))
    operations.append(gateway.put(IAM_CHANGES, change_key(number), _encoded(changed)))
    if number > KEPT_CHANGES:
        operations.append(gateway.delete(IAM_CHANGES, change_key(number - KEPT_CHANGES)))
    operations.append(gateway.put(IAM, VERSION_KEY, _encoded(Version(number, change_id))))
    return operations


def still(revision: int | None) -> Requirement:
    """That nothing was changed since the version had this revision; None: there was none."""
    if revision is None:
        return gateway.is_absent(IAM, VERSION_KEY)
    return gateway.has_revision(IAM, VERSION_KEY, revision)


def _encoded(record: msgspec.Struct) -> str:
    return msgspec.json.encode(record).decode()
