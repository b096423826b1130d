"""Objects that something was tried with, and that a process which was killed has left."""

from __future__ import annotations

import secrets
import time

import pytest

from s3front.locations.base import ObjectInfo
from tests.api.data_server import RecordingLog
from tests.backends.aws_s3.test_faults import asking
from tests.backends.s3_services import Remote
from tests.backends.s3_stores import INFO, Stores
from tests.backends.scripted_s3 import OK_ETAG, answer

PREFIX = "twofold-probe~"
OLD, YOUNG = 900, 60
ITS = {"twofold-probe": "1"}


def name_of(seconds_ago: float) -> str:
    """The name of a probe of then."""
    moment = int((time.time() - seconds_ago) * 1000)
    return f"{PREFIX}{secrets.token_hex(14)}{moment:012x}"


def put(there: Remote, name: str, metadata: dict[str, str]) -> None:
    there.s3.put_object(Bucket=there.bucket, Key=name, Body=b"probe", Metadata=metadata)


def left(there: Remote) -> set[str]:
    return {entry.partition("\0")[0] for entry in there.everything()}


@pytest.mark.parametrize("looks", [False, True], ids=["first write", "look"])
async def test_what_was_left_is_removed(there: Remote, stores: Stores, *, looks: bool) -> None:
    put(there, name_of(OLD), ITS)
    if not there.is_google:  # who has no delete markers
        hidden = name_of(OLD)
        put(there, hidden, ITS)
        there.s3.delete_object(Bucket=there.bucket, Key=hidden)
    there.s3.create_multipart_upload(Bucket=there.bucket, Key=name_of(OLD))
    store = stores(there)
    if looks:
        await store.look(thorough=True)
    else:
        await store.delete(await store.put(1, b"1", INFO))
    found = there.s3.list_object_versions(Bucket=there.bucket)
    assert (left(there), found.get("DeleteMarkers", [])) == (set(), [])


async def test_what_is_in_use_or_not_its_own_stays(there: Remote, stores: Stores) -> None:
    kept = [name_of(YOUNG), name_of(OLD), f"{PREFIX}mine", name_of(OLD) + "/1", name_of(YOUNG)]
    put(there, kept[0], ITS)
    put(there, kept[1], {})
    put(there, kept[2], ITS)
    put(there, kept[3], ITS)
    there.s3.create_multipart_upload(Bucket=there.bucket, Key=kept[4])
    store = stores(there)
    await store.look(thorough=True)
    await store.delete(await store.put(1, b"1", INFO))
    assert left(there) == set(kept)


@pytest.mark.parametrize("key", ["twofold-probe", f"{PREFIX}1", PREFIX + "0" * 40])
async def test_no_object_has_such_a_name(there: Remote, stores: Stores, key: str) -> None:
    store, info = stores(there), ObjectInfo("photos", key, "", {})
    for _ in range(2):
        assert not (await store.put(1, b"1", info)).key.startswith(PREFIX)
    upload = await store.begin_upload(info, secrets.token_hex(20))
    assert not upload.key.startswith(PREFIX)
    await store.delete(upload)


async def test_a_write_does_not_need_it(log: RecordingLog) -> None:
    async with asking(lambda _asked: answer(200, {**OK_ETAG, "x-amz-version-id": "1"})) as (
        store,
        service,
    ):
        service.lists = answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
        assert (await store.put(4, b"body", INFO)).version == "1"
