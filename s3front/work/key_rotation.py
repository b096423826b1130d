"""Wrapping the keys of all blobs anew whose master key was retired (``s3front keys rotate``), and
then secrets of identities (``s3front.work.secret_rotation``).

It is the key file that asks for it: as long as it has a retired key with its secret, the records of
all objects, versions and parts are gone over; of the keys of services the operator says that they
are retired (``s3front.keys.retired_keys``). How far that has come is a record of ``..keyJobs``,
so that whoever holds the lease next goes on there; a page that was done twice is done no harm.

Rules:

1. A record is written on the condition that it is still what was read. One that somebody else has
   changed meanwhile is left to the next pass. A latest version and its copy are written together,
   and alike.
2. A pass that has found nothing to do is the last one, for some hours: a request that began before
   may still store what is sealed by the old key. ``s3front keys remove`` reads all records itself.
3. A record whose keys cannot be unwrapped is a dead letter, and holds up nothing; behind many of
   them it is counted alone. While there is no key to wrap by, nothing is done.
4. What is under keys of a service that is away is left to a later pass, and the service is not
   asked for a while, where there are keys of others to be replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from s3front.encryption.key_wrapping import BoundTo, UnwrapError
from s3front.keys.base import KeeperError, MasterKeys
from s3front.keys.file_keyring import FileKeyring
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.rewrapping import names_one_of, rewrapped
from s3front.keys.used_keys import UsedKeys
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, Operation, Requirement
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import OF_ONE_JOB_MAX, dead_letter
from s3front.work.secret_rotation import FIRST_KEY, SecretRotation
from s3front.work.walked_records import Page, Position, RecordWalk
from s3front.work.worker import Pace, Step, Throttled, Tools
from shared.failpoints import FailPoint, failpoint
from shared.records.encrypted import protections
from shared.records.names import IAM, KEY_JOBS
from shared.records.times import now, to_iso
from shared.records.upload import parse_overview_key

ROTATION: Final = "rotation"
"""The key of its progress in ``..keyJobs``."""

LOOK_SECONDS: Final = 2.0
"""How often the key file is looked at while nothing is to be done."""

AGAIN_SECONDS: Final = 5.0
"""How long after a pass that has changed something the next one begins: others have read the file
by then."""

_HERE: Final = frozenset({"file", "mem"})
"""The keepers that are no services."""

REPEAT_SECONDS: Final = 6 * 3600.0

WAIT_SECONDS: Final = 60.0
"""How long a service that was away is not asked again, and how long after a pass that has left
something for that reason the next one begins; that is twice as long each time, up to an hour."""

_WAIT_SECONDS_MAX: Final = 3600.0
_COMMIT_RECORDS: Final = 50
_REQUEST_ID: Final = "key-rotation"
_AWAY: Final = 503


class Progress(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Of a pass over all records, for the retired ``keys``; once those of objects and parts are
    done, ``secrets`` is the key of identities behind which it goes on. ``records`` were read;
    ``rewrapped``, over all passes for these keys, written; ``changed``, of this pass, too, or left
    to the next; ``failed`` cannot be. Times are ISO 8601."""

    keys: tuple[str, ...] = ()
    began: str = ""
    finished: str = ""
    bucket: str = ""
    uploads: bool = False
    after: str = ""
    part: str = ""
    secrets: str = ""
    records: int = 0
    rewrapped: int = 0
    changed: int = 0
    failed: int = 0

    @property
    def position(self) -> Position:
        return Position(self.bucket, self.uploads, self.after, self.part)


class _Item(msgspec.Struct, frozen=True):
    """What is to be written anew together: records of one version, or that of a part."""

    level: str
    keys: tuple[str, ...]
    bound: BoundTo
    governing: Mapping[str, Any] | None = None
    """None: the records themselves say how they are encrypted."""
    version_id: str | None = None


class _Write(msgspec.Struct, frozen=True):
    """The commit of one of them."""

    puts: Sequence[Operation]
    requires: Sequence[Requirement]


class KeyRotationWorker:
    """See the module."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._metadata = tools.metadata
        self._walk = RecordWalk(tools.metadata)
        self._used = UsedKeys(tools.metadata)
        self._secrets = SecretRotation(tools.metadata, self._note_new_key, self._set_aside_secret)
        self._progress: Progress | None = None
        self._rest_until = 0.0
        self._of_services: tuple[str, ...] = ()
        self._services_until = 0.0
        self._away_until: dict[str, float] = {}
        self._has_left_some = False
        self._pause = 0.0

    def status(self) -> Mapping[str, Any]:
        """How far it has come, when there is something to do."""
        progress = self._progress
        if progress is None or not progress.keys:
            return {}
        told: dict[str, Any] = {"rewrapped": progress.rewrapped}
        if progress.failed:
            told["failed"] = progress.failed
        if progress.finished:
            told["finished"] = progress.finished
        else:
            told["at"] = progress.bucket
        return told

    async def step(self) -> Step:
        """Do a page."""
        keepers = self._tools.keys.keepers
        if not keepers:
            return Pace.IDLE
        retired = await self._retired(keepers)
        clock = self._tools.clock
        if not retired:
            self._rest_until = clock() + LOOK_SECONDS
            return Throttled(self._rest_until)
        progress = await self._begun(retired)
        if progress.finished:
            return Throttled(clock() + LOOK_SECONDS)
        if progress.secrets:
            progress = await self._secrets_done(progress, keepers)
        else:
            page = await self._walk.page(progress.position)
            progress = await self._done(page or Page("", "", (), None), progress, keepers)
        await self._keep(progress)
        if progress.finished:
            self._rest_until = clock() + self._rest_after(progress)
            return Throttled(clock() + LOOK_SECONDS)
        return Pace.BUSY

    def _rest_after(self, progress: Progress) -> float:
        """How many seconds there is to be no other pass."""
        has_left_some, self._has_left_some = self._has_left_some, False
        if not has_left_some:
            self._pause = 0.0
            return AGAIN_SECONDS if progress.changed else REPEAT_SECONDS
        self._pause = min(self._pause * 2 or WAIT_SECONDS, _WAIT_SECONDS_MAX)
        return self._pause

    async def _retired(self, keepers: Mapping[str, MasterKeys]) -> tuple[str, ...]:
        """The keys that nothing is to be under any more, as records name them."""
        keeper = keepers.get("file")
        retired: set[str] = set()
        if isinstance(keeper, FileKeyring):
            if self._rest_until:
                await keeper.look()
            retired.update(_retired(keeper))
        if keepers.keys() - _HERE and self._tools.clock() >= self._services_until:
            self._of_services = await RetiredKeys(self._metadata).every()
            self._services_until = self._tools.clock() + AGAIN_SECONDS
        retired.update(key for key in self._of_services if _keeper(key) in keepers)
        return tuple(sorted(retired))

    async def _begun(self, retired: tuple[str, ...]) -> Progress:
        """The pass that is under way, if need be a new one."""
        progress = self._progress or await self._read()
        fresh = Progress(keys=retired, began=to_iso(now()))
        if progress is None or progress.keys != retired:
            progress = fresh
        elif progress.finished and self._tools.clock() >= self._rest_until:
            progress = msgspec.structs.replace(fresh, rewrapped=progress.rewrapped)
        self._progress = progress
        return progress

    async def _read(self) -> Progress | None:
        (found,) = await self._metadata.get_each([(KEY_JOBS, ROTATION)], _REQUEST_ID)
        if found is None:
            return None
        try:
            return msgspec.convert(found.document, Progress)
        except msgspec.ValidationError:
            return None

    async def _keep(self, progress: Progress) -> None:
        text = msgspec.json.encode(progress).decode()
        await self._metadata.commit([gateway.put(KEY_JOBS, ROTATION, text)], [], _REQUEST_ID)
        self._progress = progress

    async def _done(
        self, page: Page, progress: Progress, keepers: Mapping[str, MasterKeys]
    ) -> Progress:
        """The progress once a page is done."""
        items = list(_items(page, progress.keys))
        written = left = failed = 0
        for begin in range(0, len(items), _COMMIT_RECORDS):
            before = msgspec.structs.replace(progress, failed=progress.failed + failed)
            counts = await self._rewrap(items[begin : begin + _COMMIT_RECORDS], before, keepers)
            written, left, failed = written + counts[0], left + counts[1], failed + counts[2]
        if written:
            failpoint(FailPoint.AFTER_KEYS_REWRAPPED)
        behind = page.next or Position()
        return msgspec.structs.replace(
            progress,
            secrets="" if page.next else FIRST_KEY,
            bucket=behind.bucket,
            uploads=behind.uploads,
            after=behind.after,
            part=behind.part,
            records=progress.records + len(page.records) + sum(map(len, page.parts.values())),
            rewrapped=progress.rewrapped + written,
            changed=progress.changed + written + left,
            failed=progress.failed + failed,
        )

    async def _secrets_done(
        self, progress: Progress, keepers: Mapping[str, MasterKeys]
    ) -> Progress:
        """The progress once a slice of secrets is done. Those under keys of a service that is away
        are left to a later pass."""
        written = left = failed = 0
        behind: str | None = None
        try:
            behind, written, left, failed = await self._secrets.step(
                progress.secrets, progress.keys, keepers
            )
        except KeeperError as error:
            if error.status != _AWAY:
                raise
            self._has_left_some = True
            left = 1
        return msgspec.structs.replace(
            progress,
            finished=to_iso(now()) if behind is None else "",
            secrets=behind or "",
            rewrapped=progress.rewrapped + written,
            changed=progress.changed + written + left,
            failed=progress.failed + failed,
        )

    async def _set_aside_secret(self, key: str, reason: str) -> None:
        self._tools.log.error(
            "a secret of identities cannot be sealed anew", entry=key, reason=reason
        )
        now_ms = int(self._tools.wall_clock() * 1000)
        letter = dead_letter(f"{KEY_JOBS}/{IAM}", key, None, reason, now_ms)
        await self._metadata.commit([letter], [], _REQUEST_ID)

    async def _rewrap(
        self, items: Sequence[_Item], progress: Progress, keepers: Mapping[str, MasterKeys]
    ) -> tuple[int, int, int]:
        """How many records were written, left to the next pass, and failed."""
        addresses = [(item.level, key) for item in items for key in item.keys]
        read = dict(
            zip(addresses, await self._metadata.get_each(addresses, _REQUEST_ID), strict=True)
        )
        writes: list[_Write] = []
        left = failed = 0
        for item in items:
            found = {key: read[item.level, key] for key in item.keys}
            of = _keepers_of(found, progress.keys)
            if any(self._is_away(name) for name in of):
                left += len(found)
                self._has_left_some = True
                continue
            try:
                write = await self._write_of(item, found, progress.keys, keepers)
            except (UnwrapError, S3Error) as error:
                if isinstance(error, S3Error) and error.status == _AWAY:
                    if not isinstance(error, KeeperError):
                        raise
                    self._leave(of, progress.keys, error)
                    left += len(found)
                    continue
                failed += 1
                if progress.failed + failed <= OF_ONE_JOB_MAX:
                    await self._give_up(item, error)
                continue
            if write is not None:
                writes.append(write)
        written = await self._commit(writes)
        return written, left + sum(len(write.puts) for write in writes) - written, failed

    def _leave(self, of: Collection[str], key_ids: Collection[str], error: KeeperError) -> None:
        """Ask these keepers no more for a while. Raises the error where there are no others."""
        others = {_keeper(key_id) for key_id in key_ids}.difference(of)
        if all(self._is_away(name) for name in others):
            raise error
        until = self._tools.clock() + WAIT_SECONDS
        self._away_until.update(dict.fromkeys(of, until))
        self._has_left_some = True

    def _is_away(self, keeper: str) -> bool:
        return self._tools.clock() < self._away_until.get(keeper, 0.0)

    async def _write_of(
        self,
        item: _Item,
        found: Mapping[str, Found | None],
        key_ids: Collection[str],
        keepers: Mapping[str, MasterKeys],
    ) -> _Write | None:
        """None where there is nothing to do any more. Raises UnwrapError, S3Error."""
        puts: list[Operation] = []
        requires: list[Requirement] = []
        before: Any = None
        after: Any = None
        for key, entry in found.items():
            record = {} if entry is None else entry.document
            if entry is None or entry.revision is None or not names_one_of(record, key_ids):
                continue
            if item.version_id is not None and record.get("versionId") != item.version_id:
                continue  # another version is the latest by now
            if before is None or record.get("location") != before:
                governing = record if item.governing is None else item.governing
                changed = await rewrapped(record, governing, item.bound, keepers, key_ids)
                await self._note_new_keys(changed)
                before, after = record.get("location"), changed.get("location")
            else:
                changed = {**record, "location": after}
            puts.append(gateway.put(item.level, key, orjson.dumps(changed).decode()))
            requires.append(gateway.has_revision(item.level, key, entry.revision))
        return _Write(puts, requires) if puts else None

    async def _commit(self, writes: Sequence[_Write]) -> int:
        """How many records were written: all in one commit, and each version by itself where
        somebody was faster."""
        if not writes:
            return 0
        puts = [put for write in writes for put in write.puts]
        requires = [required for write in writes for required in write.requires]
        try:
            await self._metadata.commit(puts, requires, _REQUEST_ID)
        except ChangedError:
            if len(writes) == 1:
                return 0
            return sum([await self._commit([write]) for write in writes])
        return len(puts)

    async def _note_new_keys(self, record: Mapping[str, Any]) -> None:
        for key_id in _wrapping_keys(record):
            await self._note_new_key(key_id)

    async def _note_new_key(self, key_id: str) -> None:
        if not self._used.has(key_id):
            await self._used.note(key_id)

    async def _give_up(self, item: _Item, error: Exception) -> None:
        reason = "its keys cannot be unwrapped" if isinstance(error, UnwrapError) else str(error)
        self._tools.log.error(
            "the keys of a record cannot be wrapped anew",
            bucket=item.bound.bucket,
            entry=item.keys[0],
            reason=reason,
        )
        now_ms = int(self._tools.wall_clock() * 1000)
        letter = dead_letter(f"{KEY_JOBS}/{item.level}", item.keys[0], None, reason, now_ms)
        await self._metadata.commit([letter], [], _REQUEST_ID)


def _keeper(key_id: str) -> str:
    return key_id.partition(":")[0]


def _keepers_of(found: Mapping[str, Found | None], key_ids: Collection[str]) -> set[str]:
    """The names of the keepers that have those of these keys that records are under."""
    return {
        _keeper(each.key)
        for entry in found.values()
        if entry is not None
        for each in protections(entry.document)
        if each is not None and each.key in key_ids
    }


def _retired(keeper: FileKeyring) -> tuple[str, ...]:
    """Those of the key file."""
    ring = keeper.ring
    keys = () if ring is None else ring.keys.values()
    return tuple(sorted(f"{keeper.name}:{key.id}" for key in keys if key.state == "retired"))


def _items(page: Page, key_ids: Collection[str]) -> Iterator[_Item]:
    """What of a page is under one of these keys."""
    if page.level == page.bucket:
        versions: dict[tuple[str, ...], _Item] = {}
        for key, text in page.records:
            record = _document(text)
            if names_one_of(record, key_ids):
                item = _item_of_object(page.bucket, key, record)
                versions[item.keys] = item
        yield from versions.values()
        return
    for key, text in page.records:
        overview = _document(text)
        bound = BoundTo(page.bucket, parse_overview_key(key)[0])
        for part, its_text in page.parts[key]:
            if names_one_of(_document(its_text), key_ids):
                yield _Item(page.level, (part,), bound, overview)


def _item_of_object(bucket: str, name: str, record: Mapping[str, Any]) -> _Item:
    """The latest version is stored at its key, and, where it has one, at that and its ID."""
    key, mark, own = name.partition("\0")
    version_id = record.get("versionId")
    bound = BoundTo(bucket, key)
    if not isinstance(version_id, str) or (mark and own != version_id):
        return _Item(bucket, (name,), bound)
    return _Item(bucket, (key, f"{key}\0{version_id}"), bound, version_id=version_id)


def _document(text: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _wrapping_keys(record: Mapping[str, Any]) -> set[str]:
    return {each.key for each in protections(record) if each is not None and ":" in each.key}
