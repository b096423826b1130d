"""``dmd check --encryption``: what protects the bytes of all records and the secrets of identities,
and which keys that needs.

It counts, by master key and form, and holds the names of keys against those of a key file, where
there is one. It needs no secret, and shows none: of a key file, the names alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from dmd.jobs.check_plan import Problem
from dmd.jobs.errors import JobError
from dmd.jobs.record_walk import end_of, raw_records, sub_levels
from dmd.metadata import stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.record_keys import prefix, split
from shared.config.documents import read_document
from shared.records.encrypted import (
    CUSTOMER_KEY,
    Protected,
    data_members,
    protection_of,
    protections,
    secret_protections,
)
from shared.records.names import IAM, MASTER_KEYS, UPLOADS_PREFIX, holds_objects
from shared.records.upload import CLOSING_PREFIX, OVERVIEW_PREFIX

_IAM: Final = (IAM,)
_OF_FILE: Final = "file:"
_PLAIN: Final = Protected("", "")
_OWN_PLACES: Final = ("", "file", "mem")
_SHOWN_MAX: Final = 3
_ALGORITHMS: Final = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
)


@dataclass(slots=True)
class EncryptionCheck:
    """``stretches`` counts stretches of bytes, and secrets, by what protects them. ``used`` are the
    names of keys that the metadata remember to have been used. ``examples`` are the first records
    of each key. ``plain_where_encrypted`` are stretches that are stored as they are, of records
    that say otherwise, in places of this installation."""

    stretches: Counter[Protected] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)
    examples: dict[str, list[tuple[tuple[str, ...], str]]] = field(default_factory=dict)
    plain_where_encrypted: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """The names of all master keys that records name; that of customers is none of ours."""
        return {each.key for each in self.stretches if each.key not in ("", CUSTOMER_KEY)}

    def rows(self) -> list[dict[str, Any]]:
        """For programs, and to be printed."""
        counted = sorted(self.stretches.items(), key=lambda item: (item[0].scheme, item[0].key))
        return [
            {"scheme": each.scheme or "plain", "key": each.key, "stretches": count}
            for each, count in counted
        ]

    def problems(self, known: Collection[str] | None) -> Iterator[Problem]:
        """Keys that are named and not ``known`` (None: nobody said which are), and plain bytes
        where there must be none."""
        for sub_level, key in self.plain_where_encrypted:
            text = "its record says that it is encrypted, and its bytes are stored as they are"
            yield Problem("plain-bytes", sub_level, key, text)
        if known is None:
            return
        for name in sorted(self.keys | self.used):
            if name.startswith(_OF_FILE) and name not in known:
                yield Problem("missing-key", (), "", self._missing(name))

    def _missing(self, name: str) -> str:
        count = sum(count for each, count in self.stretches.items() if each.key == name)
        if not count:
            return f"the key file lacks {name}, which was used; no record names it now"
        shown = ", ".join("/".join(level) + "/" + key for level, key in self.examples[name])
        return f"the key file lacks {name}: {count} stretches cannot be read, of {shown!r} first"


def check_encryption(engine: Engine, progress: Callable[[int], None]) -> EncryptionCheck:
    """Read all records of objects, parts and identities. Raises EngineError."""
    found = EncryptionCheck(used=set(used_keys(engine)))
    for sub_level, name, record in _records_of_bytes(engine, progress):
        _count(found, sub_level, name, record)
    return found


def needed_keys(engine: Engine) -> set[str]:
    """Those of the ``used_keys`` that records of objects, parts and identities name, and the one
    that came last, which new ones get; all of them where a record cannot be read. It reads no
    further than to the record that names the last one. Raises EngineError."""
    used = used_keys(engine)
    missing = set(used)
    if missing:
        missing.discard(max(used, key=used.__getitem__))
    for sub_level, _, record in _records_of_bytes(engine, lambda _count: None):
        if not missing or not record:
            break
        if sub_level == _IAM:
            missing -= {each.key for each in secret_protections(record)}
        else:
            missing -= {each.key for each in protections(record) if each is not None}
    else:
        return used.keys() - missing
    return set(used)


def used_keys(engine: Engine) -> Mapping[str, str]:
    """The names of master keys that the metadata remember to have been used, and since when (ISO
    8601, "" where that is not known). Raises EngineError."""
    level = (MASTER_KEYS,)
    return {
        split(key)[1]: str(_document(key, value).get("used", ""))
        for key, value in raw_records(engine, prefix(level), end_of(level))
    }


def _records_of_bytes(
    engine: Engine, progress: Callable[[int], None]
) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, Any]]]:
    """Sub-level, key and record of all objects, parts and identities; of a record that cannot be
    read, {}. Raises EngineError."""
    for sub_level in sub_levels(engine):
        uploads = len(sub_level) == 1 and sub_level[0].startswith(UPLOADS_PREFIX)
        if not uploads and not holds_objects(sub_level) and sub_level != _IAM:
            continue
        for key, value in raw_records(engine, prefix(sub_level), end_of(sub_level)):
            progress(1)
            name = split(key)[1]
            if not (uploads and name.startswith((OVERVIEW_PREFIX, CLOSING_PREFIX))):
                yield sub_level, name, _document(key, value)


def keys_of_file(path: Path) -> set[str]:
    """The names of the keys of a key file that has their secrets. Raises JobError."""
    document = read_document(path, str(path))
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise JobError(f"{path}: this is no key file")
    return {_OF_FILE + str(key.get("id")) for key in keys if key.get("secret")}


def _count(
    found: EncryptionCheck, sub_level: tuple[str, ...], name: str, record: Mapping[str, Any]
) -> None:
    if sub_level == _IAM:
        for each in secret_protections(record):
            found.stretches[each] += 1
            _note_example(found, each, sub_level, name)
        return
    says = any(record.get(member) for member in _ALGORITHMS)
    for members in data_members(record):
        protected = protection_of(members, record)
        found.stretches[protected or _PLAIN] += 1
        if protected is not None:
            _note_example(found, protected, sub_level, name)
        elif says and (members.get("dataStoreType") or "") in _OWN_PLACES:
            found.plain_where_encrypted.append((sub_level, name))


def _note_example(
    found: EncryptionCheck, protected: Protected, sub_level: tuple[str, ...], name: str
) -> None:
    examples = found.examples.setdefault(protected.key, [])
    if len(examples) < _SHOWN_MAX:
        examples.append((sub_level, name))


def _document(key: bytes, value: bytes) -> dict[str, Any]:
    """A record; what is none, or damaged, is told by the rest of the check."""
    try:
        document = orjson.loads(stored.unpack(key, value).record)
    except (stored.CorruptRecordError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
