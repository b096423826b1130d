"""Reading, setting and removing a document of a bucket: the same operations for every one of them.

The document is made up, so that it has no more than any has; but for the wire, all else is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import Identity, Principal
from s3front.authz.access import Access, arn
from s3front.authz.condition_keys import ConditionKeys
from s3front.configurations.base import Configuration, Put, not_found, value_of
from s3front.configurations.table import CONFIGURATIONS
from s3front.context import Context
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import ObjectStore
from s3front.operations import configurations
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.target import Target, parse_target
from s3front.port.xml import element, parse
from s3front.routes import Routes
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord
from tests.bucket_documents import PUT_BODIES
from tests.unit.s3front.metadata_here import MetadataHere
from tests.unit.s3front.pieces import Pieces

OWNER = Principal("owner-id", "Owner", "123456789012", "arn:aws:iam::123456789012:root")
MADE = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = {"futureMember": {"deep": [1, None]}, "capabilities": {"x": True}, "tags": [{"Key": "k"}]}
RECORD = BucketRecord.create("bucket", OWNER.canonical_id, OWNER.name, MADE, "here")


def parse_colour(body: bytes) -> Mapping[str, Any]:
    colour = parse(body, "Paint").findtext("Colour")
    if not colour:
        raise S3Error("MalformedXML")
    return {"paint": {"colour": colour}}


def check_colour(record: BucketRecord, members: Mapping[str, Any]) -> None:
    if record.document.get("isNFS") and members["paint"]["colour"] == "green":
        raise S3Error("InvalidBucketState")


def show_colour(record: BucketRecord) -> Reply:
    return xml_reply("Paint", element("Colour", value_of(record, "paint")["colour"]))


PAINT = Configuration(
    "paint",
    "GetBucketPaint",
    "s3:GetBucketPaint",
    not_found("NoSuchConfiguration"),
    delete="DeleteBucketPaint",
    delete_action="s3:PutBucketPaint",
    member="paint",
    show=show_colour,
    put=Put("PutBucketPaint", "s3:PutBucketPaint", parse_colour, check_colour, status=204),
)


class Buckets:
    """A bucket, and the requests about it."""

    def __init__(self) -> None:
        daemon = MetadataHere()
        self.store = BucketStore(daemon.gateway)
        self._objects = ObjectStore(daemon.gateway, self.store, "oldest")
        self._routes = Routes()
        configurations.add_to(self._routes, (PAINT,))

    async def read(self) -> StoredBucket:
        found = await self.store.read("bucket", "test")
        assert found is not None
        return found

    async def change(self, **members: Any) -> None:
        bucket = await self.read()
        await self.store.replace(bucket, bucket.record.changed(members), "test")

    async def send(
        self, method: str, body: bytes = b"", bucket: StoredBucket | None = None
    ) -> Reply:
        """The answer to a request that has read ``bucket``, or reads it as it is."""
        fields = CIMultiDictProxy(CIMultiDict[str]())
        uri = "/bucket?paint"
        request = Request(method, uri, fields, Pieces([body], len(body)), "10.1.2.3", secure=True)
        target = parse_target(uri, "localhost", ["localhost"])
        assert isinstance(target, Target)
        operation = self._routes.find(method, target, fields)
        bucket = bucket or await self.read()
        keys = ConditionKeys(request, {}, OWNER)
        access = Access(OWNER, operation.actions, arn("bucket"), keys, bucket.record)
        services = SimpleNamespace(buckets=self.store, objects=self._objects)
        identity = Identity(OWNER)
        return await operation.handler(
            Context(cast(Any, services), "test", target, identity, access, bucket, None),
            request,
        )


@pytest.fixture
async def buckets() -> Buckets:
    made = Buckets()
    await made.store.create(RECORD.changed(UNKNOWN), "test")
    return made


def painted(colour: str) -> bytes:
    return f"<Paint><Colour>{colour}</Colour></Paint>".encode()


async def test_a_document_is_set_read_and_removed(buckets: Buckets) -> None:
    with pytest.raises(S3Error, match="NoSuchConfiguration"):
        await buckets.send("GET")
    assert (await buckets.send("PUT", painted("red"))).status == 204
    reply = await buckets.send("GET")
    assert reply.body == cast(bytes, xml_reply("Paint", "<Colour>red</Colour>").body)
    assert (await buckets.send("DELETE")).status == 204
    assert (await buckets.send("DELETE")).status == 204
    with pytest.raises(S3Error, match="NoSuchConfiguration"):
        await buckets.send("GET")


async def test_what_is_not_known_of_the_record_stays(buckets: Buckets) -> None:
    before = (await buckets.read()).record.document
    await buckets.send("PUT", painted("red"))
    assert (await buckets.read()).record.document == {**before, "paint": {"colour": "red"}}
    await buckets.send("DELETE")
    assert (await buckets.read()).record.document == {**before, "paint": None}


async def test_nothing_is_set_by_what_is_refused(buckets: Buckets) -> None:
    await buckets.change(isNFS=True)
    before = await buckets.read()
    for body, code in (
        (b"<Paint></Paint>", "MalformedXML"),
        (b"no document", "MalformedXML"),
        (b"", "MissingRequestBodyError"),
        (painted("green"), "InvalidBucketState"),
    ):
        with pytest.raises(S3Error, match=code):
            await buckets.send("PUT", body)
    assert await buckets.read() == before


async def test_a_change_of_somebody_else_is_not_undone(buckets: Buckets) -> None:
    old = await buckets.read()
    await buckets.change(cors=[{"id": "new"}])
    assert (await buckets.send("PUT", painted("red"), old)).status == 204
    document = (await buckets.read()).record.document
    assert (document["cors"], document["paint"]) == ([{"id": "new"}], {"colour": "red"})


async def test_what_was_changed_meanwhile_is_checked_again(buckets: Buckets) -> None:
    old = await buckets.read()
    await buckets.change(isNFS=True)
    with pytest.raises(S3Error, match="InvalidBucketState"):
        await buckets.send("PUT", painted("green"), old)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_was_changed_meanwhile_is_allowed_again(buckets: Buckets, method: str) -> None:
    await buckets.send("PUT", painted("red"))
    old = await buckets.read()
    await buckets.change(owner="somebody else")
    with pytest.raises(S3Error, match="AccessDenied"):
        await buckets.send(method, painted("blue"), old)
    assert (await buckets.read()).record.document["paint"] == {"colour": "red"}


@pytest.mark.parametrize(
    "each", [each.put for each in CONFIGURATIONS if each.put], ids=lambda each: each.name
)
def test_every_document_leaves_the_rest_of_the_record(each: Put) -> None:
    members = each.parse(PUT_BODIES[each.name])
    before = RECORD.changed({**UNKNOWN, "versioningConfiguration": {"Status": "Enabled"}})
    assert each.changed(before, members).document == {**before.document, **members}
