"""The key file: the master keys of an installation that keeps them itself.

A JSON document, with rights for its owner alone:

    {"format": 1, "current": "20261129-3f9a2c1b", "keys": [
      {"id": "20261129-3f9a2c1b", "created": "2026-11-29T15:20:00Z", "state": "enabled",
       "secret": "<32 bytes, base64>", "check": "<16 hex digits>"}]}

``current`` is the key that new objects get. A key in the state ``retired`` opens what it has
sealed, and ``replacedBy`` is the one that is taken where the retired one is named; ``removed`` is
one whose secret is gone, of which the name alone is left, for the same. One that is ``disabled``
does nothing. The members ``retired`` and ``disabled`` say since when. ``check`` tells a secret that
was damaged from one that never fitted.

Read by all processes of this half, and written by ``s3front keys`` alone, a whole file at a time.
Nothing here shows a secret: not ``repr``, and no error.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from shared.config.documents import read_document
from shared.config.encryption import Keepers
from shared.config.environment import MEMORY_KEY
from shared.config.errors import ConfigError
from shared.config.validation import Section, parse
from shared.config.values import MemberError, Rule, Text
from shared.file_writes import sync_directory

SECRET_BYTES: Final = 32
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
FORMAT: Final = 1

State = Literal["enabled", "retired", "disabled", "removed"]

_OTHERS: Final = 0o077
_ID_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)
_ID_CHARACTERS_MAX: Final = 64
_SUCCESSORS_MAX: Final = 1000


class MasterKey(msgspec.Struct, frozen=True, kw_only=True):
    """One master key; ``created``, ``retired`` and ``disabled`` are ISO 8601. A removed one has no
    secret."""

    id: str
    created: str
    secret: bytes
    state: State = "enabled"
    replaced_by: str | None = None
    retired: str | None = None
    disabled: str | None = None

    def __repr__(self) -> str:
        """Without the secret."""
        return f"MasterKey({self.id!r}, {self.state!r})"

    @property
    def given_until(self) -> str | None:
        """Since when it is given out no more; None: it is, or nobody has noted it."""
        if self.state == "enabled":
            return None
        return max(filter(None, (self.retired, self.disabled)), default=None)

    @property
    def opens(self) -> bool:
        return self.state in ("enabled", "retired")


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a file, by ID, in its order."""

    current: str
    keys: Mapping[str, MasterKey]

    def successor(self, key_id: str) -> MasterKey | None:
        """The key that is taken where this one is named; None where there is none."""
        key = self.keys.get(key_id)
        for _ in range(_SUCCESSORS_MAX):
            if key is None or key.replaced_by is None or key.state not in ("retired", "removed"):
                break
            key = self.keys.get(key.replaced_by)
        return key

    def with_key(self, key: MasterKey) -> Keyring:
        """The same with one key more, or another one in the place of that which it replaces."""
        return replace(self, keys=MappingProxyType({**self.keys, key.id: key}))


# --- Reading -------------------------------------------------------------------------------------


def _key_id(value: object) -> str:
    if not isinstance(value, str) or not is_key_id(value):
        raise ValueError("must be 1 to 64 of the characters a-z A-Z 0-9 . _ -")
    return value


def _secret(value: object) -> bytes:
    try:
        secret = b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"must be {SECRET_BYTES} bytes in base64")
    return secret


def _format(value: object) -> int:
    if value != FORMAT or isinstance(value, bool):
        raise ValueError("is of another version of this program")
    return FORMAT


class _KeyEntry(Section, frozen=True, kw_only=True):
    """A key as the file has it."""

    id: Annotated[str, Rule(_key_id)]
    created: Text
    state: State = "enabled"
    secret: Annotated[bytes, Rule(_secret)] | None = None
    check_: Text | None = msgspec.field(default=None, name="check")
    replaced_by: Text | None = None
    retired: Text | None = None
    disabled: Text | None = None

    def __repr__(self) -> str:
        """Without the secret."""
        return f"_KeyEntry({self.id!r}, {self.state!r})"

    def check(self) -> None:
        if (self.secret is None) != (self.state == "removed"):
            raise MemberError("secret", "must be there, unless the key is removed")
        if self.secret is not None and self.check_ not in (None, secret_check(self.secret)):
            raise MemberError("secret", "is damaged: it is not the one that 'check' was made of")


class _KeyFile(Section, frozen=True, kw_only=True):
    format: Annotated[int, Rule(_format)]
    current: Text
    keys: tuple[_KeyEntry, ...]

    def check(self) -> None:
        entries = {entry.id: entry for entry in self.keys}
        if len(entries) < len(self.keys):
            raise MemberError("keys", "has an ID twice")
        if self.current not in entries:
            raise MemberError("current", "names none of the keys")
        if entries[self.current].state != "enabled":
            raise MemberError("current", "names a key that is not enabled")
        for entry in self.keys:
            if entry.replaced_by is not None and entry.replaced_by not in entries:
                raise MemberError("keys", f"{entry.id}: 'replacedBy' names none of the keys")


def is_key_id(text: str) -> bool:
    """Whether a key can be called so."""
    return 0 < len(text) <= _ID_CHARACTERS_MAX and _ID_CHARACTERS.issuperset(text)


def secret_check(secret: bytes) -> str:
    """What tells whether a secret is the one that it was, and nothing of it."""
    return hmac.digest(secret, b"twofold master key check 1", "sha256")[:8].hex()


def read_keyring(path: Path) -> Keyring | None:
    """The keys of a file; None where there is none. Raises ConfigError for one that others may
    read, or that is not as it must be."""
    try:
        _check_rights(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from None
    file = parse(_KeyFile, read_document(path, str(path)), str(path))
    keys = {
        entry.id: MasterKey(
            id=entry.id,
            created=entry.created,
            secret=entry.secret or b"",
            state=entry.state,
            replaced_by=entry.replaced_by,
            retired=entry.retired,
            disabled=entry.disabled,
        )
        for entry in file.keys
    }
    return Keyring(current=file.current, keys=MappingProxyType(keys))


def check_keyring(described: Keepers) -> Keepers:
    """Say what is wrong with it before anything is started; returns what was given. Raises
    ConfigError."""
    described.check()
    read_keyring(described.encryption.keyring_file)
    return described


def share_memory_key(described: Keepers) -> None:
    """Have the processes that this one will start share a master key in memory, where they are to
    have one."""
    if described.current == "mem":
        os.environ[MEMORY_KEY] = b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _check_rights(path: Path) -> None:
    """Raises ConfigError, OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(str(path), "", "is not a regular file")
    user = os.geteuid()
    if user and status.st_uid not in (user, 0):  # root manages files of others, and may read all
        raise ConfigError(
            str(path), "", f"belongs to another user (uid {status.st_uid}), who can change it"
        )
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(
            str(path), "", f"can be used by others (mode {mode:04o}): chmod 600 {path}"
        )


# --- Making and writing --------------------------------------------------------------------------


def moment(now: datetime | None = None) -> str:
    """A time as the file has it, in seconds."""
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_master_key(key_id: str | None = None) -> MasterKey:
    """A key that nobody has had before, by this name or one of its own."""
    now = datetime.now(UTC)
    return MasterKey(
        id=key_id or f"{now:%Y%m%d}-{secrets.token_hex(4)}",
        created=moment(now),
        secret=secrets.token_bytes(SECRET_BYTES),
    )


def retired(ring: Keyring, key_id: str) -> Keyring:
    """The same, with a key that the current one replaces from now on."""
    key = replace(ring.keys[key_id], state="retired", replaced_by=ring.current, retired=moment())
    return ring.with_key(key)


def disabled(ring: Keyring, key_id: str) -> Keyring:
    """The same, with a key that does nothing from now on."""
    return ring.with_key(replace(ring.keys[key_id], state="disabled", disabled=moment()))


def enabled(ring: Keyring, key_id: str) -> Keyring:
    """The same, with a key that may be used again."""
    return ring.with_key(replace(ring.keys[key_id], state="enabled", disabled=None))


def removed(ring: Keyring, key_id: str) -> Keyring:
    """The same without the secret of a key."""
    key = ring.keys[key_id]
    gone = replace(
        key,
        state="removed",
        secret=b"",
        replaced_by=key.replaced_by or ring.current,
        disabled=key.disabled if key.given_until else moment(),
    )
    return ring.with_key(gone)


def create_keyring(path: Path, key_id: str | None = None) -> Keyring:
    """Make a file with one key, and its folder. Raises FileExistsError, OSError."""
    key = new_master_key(key_id)
    ring = Keyring(current=key.id, keys=MappingProxyType({key.id: key}))
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with locked(path):
        _write(path, ring, os.link)
    return ring


def replace_keyring(path: Path, ring: Keyring) -> None:
    """Put another file in the place of what is there, durably: whatever happens, one of both is
    there, and whole. For whoever has it ``locked``. Raises OSError, which names a file."""
    _write(path, ring, os.replace)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other commands from the file meanwhile, and remove what one that was killed has left:
    it has all secrets, also those of keys that were removed later. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        left = re.compile(re.escape(f".{path.name}.") + r"[0-9]+\.[0-9a-f]{8}")
        for name in filter(left.fullmatch, os.listdir(folder)):
            os.unlink(name, dir_fd=folder)
        yield
    finally:
        os.close(folder)


def _write(path: Path, ring: Keyring, put: Any) -> None:
    """``put`` gives the new file its name. What root makes belongs to whom the file did before, and
    a new one to the owner of its folder, who is to read it."""
    try:
        _write_whole(path, ring, put)
    except OSError as error:
        if error.filename is not None:
            raise
        # What is written to an open file fails without its name: a full disk, for instance.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, ring: Keyring, put: Any) -> None:
    """Raises OSError."""
    owner = path.stat() if path.exists() else path.parent.stat()
    # As ``locked`` knows it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, FILE_MODE)  # whatever the umask is
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            json.dump(_document(ring), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(descriptor)
        put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _document(ring: Keyring) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "current": ring.current,
        "keys": list(map(_entry, ring.keys.values())),
    }


def _entry(key: MasterKey) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": key.id, "created": key.created, "state": key.state}
    if key.replaced_by is not None:
        entry["replacedBy"] = key.replaced_by
    if key.retired is not None:
        entry["retired"] = key.retired
    if key.disabled is not None:
        entry["disabled"] = key.disabled
    if key.secret:
        entry["secret"] = b64encode(key.secret).decode()
        entry["check"] = secret_check(key.secret)
    return entry
