"""A front-end's request handler over its own table of operations, without connections."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.app import App
from s3front.auth.credential_sources import Signer
from s3front.auth.identity import Principal
from s3front.auth.sigv2 import RequestHead, string_to_sign
from s3front.configurations.base import Configuration, empty
from s3front.iam.directory import Directory
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.object_store import ObjectStore
from s3front.operations import configurations
from s3front.port.forwarded import NO_PROXIES
from s3front.port.request import Reply, Request
from s3front.s3_errors import S3Error
from shared.process.logs import get_logger
from shared.records.bucket import BucketRecord
from tests.unit.s3front.metadata_here import MetadataHere
from tests.unit.s3front.pieces import Pieces

OWNER = Principal("owner-id", "Owner", "123456789012", "arn:aws:iam::123456789012:root")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRES = str(int(NOW.timestamp()) + 60)
PAINT = Configuration("paint", "GetBucketPaint", "s3:GetBucketPaint", empty("Paint"))


class OneAccount:
    """A source of credentials that knows one key."""

    async def find(self, _access_key: str, _session_token: str | None = None) -> Signer | None:
        return Signer(OWNER, "secret")

    async def whose(self, _access_key: str, _token: str | None = None) -> Principal | None:
        return OWNER


def url(signed_query: str) -> str:
    """What Version 2 signs, presigned."""
    head = RequestHead("GET", "/bucket", signed_query, {}, {"paint"})
    mac = hmac.digest(b"secret", string_to_sign(head, EXPIRES).encode(), "sha1")
    signature = quote(b64encode(mac), safe="")
    added = f"AWSAccessKeyId=key&Expires={EXPIRES}&Signature={signature}"
    return f"/bucket?{signed_query}{'&' if signed_query else ''}{added}"


@pytest.mark.parametrize("host", ["localhost", "server.lan"])
@pytest.mark.parametrize(
    ("raw_target", "status", "answer"),
    [
        (url("paint"), 200, b"<Paint "),
        (url("") + "&paint", 403, b"SignatureDoesNotMatch"),
    ],
)
async def test_an_operation_of_the_table_cannot_be_added_to_a_signed_url(
    raw_target: str, status: int, answer: bytes, host: str
) -> None:
    reply = await _reply(raw_target, host, Directory())
    assert reply.status == status
    assert isinstance(reply.body, bytes)
    assert answer in reply.body


async def test_nothing_is_decided_before_it_is_known_who_there_is() -> None:
    source, directory = _Source(), Directory()
    directory.source = source
    assert (await _reply(url("paint"), "localhost", directory)).status == 200
    assert source.is_fresh
    source.is_fresh = source.answers = False
    reply = await _reply(url("paint"), "localhost", directory)
    assert reply.status == 503


class _Source:
    """What tells a directory how things are, once it is asked."""

    def __init__(self) -> None:
        self.is_fresh = False
        self.answers = True

    async def refresh(self) -> None:
        if not self.answers:
            raise S3Error("ServiceUnavailable")
        self.is_fresh = True


async def _reply(raw_target: str, host: str, directory: Directory) -> Reply:
    daemon = MetadataHere()
    buckets = BucketStore(daemon.gateway)
    made = BucketRecord.create("bucket", OWNER.canonical_id, OWNER.name, NOW, "here")
    await buckets.create(made, "test")
    services = SimpleNamespace(
        buckets=buckets,
        objects=ObjectStore(daemon.gateway, buckets, "oldest"),
        credentials=OneAccount(),
        endpoints={"localhost": "here"},
        websites=(),
        proxies=NO_PROXIES,
        directory=directory,
        public_read_buckets=(),
        log=get_logger("test"),
    )
    app = App(cast(Any, services), lambda: NOW)
    configurations.add_to(app.routes, (PAINT,))
    headers = CIMultiDictProxy(CIMultiDict({"Host": host}))
    return await app.handle(
        Request("GET", raw_target, headers, Pieces([], 0), "10.1.2.3", secure=True)
    )
