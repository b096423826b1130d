"""One S3 request from its value to its reply: the whole pipeline in one place.

``target`` (what; ``addressed`` where the host leaves it open) → ``routes`` (which operation) →
``authenticate`` (who) → metadata (bucket and object, one read) → ``authz`` (may they) → the
operation. Request IDs, errors and the access log belong here and nowhere else.

Where an operation can do without that read (``Operation.unread``), it is decided on the bucket as
it was told last. Nothing is refused so: before, all is read and decided again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from s3front.addressed import settle
from s3front.auth.authenticate import authenticate
from s3front.auth.hoisted import with_hoisted_headers
from s3front.auth.identity import UNSIGNED, Identity
from s3front.authz.access import EXPECTED_OWNER, Access, arn
from s3front.authz.condition_keys import BodyUnreadError, ConditionKeys
from s3front.authz.decide import authorize, decide
from s3front.authz.refusals import AccessDeniedError
from s3front.bodies.signed_form import read_upload
from s3front.context import Context, Services
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject
from s3front.operations import routes
from s3front.operations.account_block import answer_control, control_name, is_control
from s3front.operations.decide_again import read_now
from s3front.operations.health import HEALTH_PATH, health_reply
from s3front.operations.probes import PROBE_PATHS, probe_reply
from s3front.port.forwarded import as_sent
from s3front.port.reply import (
    HOST_ID,
    REGION_HEADER,
    error_reply,
    new_request_id,
    with_common_headers,
)
from s3front.port.request import BodyAbortedError, Passage, Reply, Request, StreamedBody
from s3front.port.target import Target, Undecided, parse_target
from s3front.port.welcome import asks_for_page, welcome
from s3front.port.xml import DECLARATION
from s3front.query_api.asked import is_call
from s3front.query_api.errors import call_error_reply
from s3front.reply_stages import Answered, is_staged, staged
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error, incomplete_body, not_implemented
from shared.process.heap import is_out_of_memory
from shared.process.readable_log import ACCESS_EVENT
from shared.records.bucket import BucketRecord
from shared.records.members import UnreadableRecordError

_SERVICE: Final = Level.SERVICE


class _Trace(msgspec.Struct):
    """What the access line says; filled in while the request advances."""

    request_id: str
    started: float
    operation: str | None = None
    identity: Identity = UNSIGNED
    target: Target | None = None
    error: str | None = None
    failure: S3Error | None = None
    bytes_sent: int = 0
    bucket: BucketRecord | None = None
    tells_region: bool = False
    namespace: str | None = None
    """That of the service which is called, of a call that is none of S3's."""


class _AccessLine(msgspec.Struct, frozen=True, gc=False):
    """The fields of an access line, in their order."""

    request_id: str
    method: str
    operation: str | None
    bucket: str | None
    status: int
    error: str | None
    account: str | None
    peer: str
    bytes_received: int
    bytes_sent: int
    duration_ms: float


class App:
    """A front-end's request handler. ``services`` may be replaced while it runs (a reload);
    ``routes`` are the operations that it has."""

    def __init__(self, services: Services, clock: Callable[[], datetime] | None = None) -> None:
        self.services = services
        self._clock = clock or (lambda: datetime.now(UTC))
        self.routes = routes()

    async def handle(self, request: Request) -> Reply:
        """The reply to a request. It does not raise, whatever the request is."""
        request = as_sent(request, self.services.proxies)
        trace = _Trace(new_request_id(), time.perf_counter())
        try:
            reply = await self._answer(request, trace)
        except S3Error as error:
            self._log_failure(error, trace)
            if isinstance(error, AccessDeniedError):
                self.services.take_down(
                    error, trace.request_id, trace.operation or "", request.peer
                )
            await self._look_at_bucket(request, trace, error)
            if trace.tells_region and error.status == HTTPStatus.FORBIDDEN:
                error.headers.update(_region(trace.bucket))
            reply = self._error(request, trace, error)
        except BodyAbortedError:
            reply = replace(self._error(request, trace, _incomplete(request)), close=True)
        except asyncio.CancelledError:
            trace.error = "client went away"
            self._log_access(request, trace, 499)
            raise
        except Exception as error:
            reply = self._error(request, trace, self._unexpected(error, trace))
        target = trace.target
        if target is not None and is_staged(target, trace.bucket):
            answered = Answered(request, trace.request_id, target, trace.bucket, trace.failure)
            reply = staged(answered, reply)
        headers = with_common_headers(trace.request_id, reply.headers)
        body = reply.body
        if body and request.method != "HEAD":
            if isinstance(body, bytes):
                trace.bytes_sent = len(body)
            else:
                blocks = self._logged(request, trace, reply.status, body)
                body = StreamedBody(body.length, blocks)
                return Reply(reply.status, headers, body, reply.close)
        self._log_access(request, trace, reply.status)
        return Reply(reply.status, headers, body, reply.close)

    async def _answer(self, request: Request, trace: _Trace) -> Reply:
        services = self.services
        if request.raw_target.startswith(HEALTH_PATH):
            trace.operation = "Health"
            return await health_reply(request, services)
        parsed = parse_target(
            request.raw_target, request.host, services.endpoints, services.websites
        )
        if parsed.raw_path in PROBE_PATHS:
            probed = await probe_reply(request, parsed, services, trace.request_id)
            if probed is not None:
                trace.operation = "Health"
                return probed
        if is_call(request, parsed):
            from s3front.query_api.answering import answer_call  # noqa: PLC0415  # on first use

            return await answer_call(request, parsed, services, self._clock(), trace)
        if isinstance(parsed, Undecided):
            parsed = await settle(
                parsed,
                request,
                services,
                self._clock(),
                trace.request_id,
                self.routes.sub_resources,
            )
        target = trace.target = parsed
        if is_control(request, target):
            trace.operation = control_name(request, target)
            trace.identity = await self._sender(request, target)
            return await answer_control(request, target, services, trace.identity, trace.request_id)
        if target.bucket is None and asks_for_page(request):
            trace.operation = "Welcome"
            return welcome(request)
        return await self._operate(request, target, trace)

    async def _operate(self, signed: Request, target: Target, trace: _Trace) -> Reply:
        """Find the operation, and who sent the request; let him pass, and have it done."""
        services = self.services
        request = meant = with_hoisted_headers(signed, target)
        operation = self.routes.find(request.method, target, request.headers)
        trace.operation, trace.tells_region = operation.name, operation.tells_region
        if operation.form:
            form = await read_upload(request, target, services.credentials, self._clock())
            request, trace.target, trace.identity = form.request, form.target, form.identity
        elif operation.actions:
            trace.identity = await self._sender(signed, target)
        owners = _expected_owners(meant, request)
        try:
            context = await self._context(operation, request, owners, trace)
        except AccessDeniedError:
            if operation.form or not await self._learns_more(trace):
                raise
            trace.identity = await self._sender(signed, target)
            context = await self._context(operation, request, owners, trace)
        else:
            # Whether it is refused shows when it is too late to learn more.
            if context.undecided and await self._learns_more(trace):
                trace.identity = await self._sender(signed, target)
                context = await self._context(operation, request, owners, trace)
        return await self._done(operation, context, request)

    async def _sender(self, signed: Request, target: Target) -> Identity:
        services = self.services
        now = self._clock()
        return await authenticate(
            signed, target, services.credentials, now, self.routes.sub_resources
        )

    async def _done(self, operation: Operation, context: Context, request: Request) -> Reply:
        """The reply of an operation, which is tried again on all that there is where it was tried
        on what was told before, and that is not enough."""
        if not context.unread:
            return await operation.handler(context, request)
        try:
            return await operation.handler(context, request)
        except S3Error as error:
            if _is_failure(error):
                raise
            told, context = context, await read_now(context)
            if request.body.received or context.bucket == told.bucket:
                raise
        return await operation.handler(context, request)

    async def _context(
        self, operation: Operation, request: Request, owners: Sequence[str], trace: _Trace
    ) -> Context:
        """What the operation works on, and that the sender may: bucket and object are read in one
        round trip, unless what was told of the bucket is enough to go on. Raises what ``authorize``
        does."""
        target, principal = trace.target, trace.identity.principal
        assert target is not None
        version, directory = operation.version(target), self.services.directory
        if operation.actions and not directory.source.is_fresh:
            await directory.ready()

        def surroundings(
            bucket: StoredBucket | None, current: StoredObject | None, *, unread: bool
        ) -> Context:
            trace.bucket = None if bucket is None else bucket.record
            access = Access(
                principal,
                operation.actions_for(version, request.folded or request.headers),
                arn(target.bucket, target.key),
                ConditionKeys(
                    request,
                    target.query,
                    principal,
                    unread=operation.body_keys,
                    is_form=operation.form,
                ),
                trace.bucket,
                None if current is None else current.record,
                owners,
                directory,
                public_reads=self.services.public_read_buckets,
            )
            return Context(
                self.services,
                trace.request_id,
                target,
                trace.identity,
                access,
                bucket,
                current,
                version,
                unread,
            )

        told = None if version.is_specific else self._told(operation, request, target)
        if told is not None:
            context = surroundings(told, None, unread=True)
            with contextlib.suppress(BodyUnreadError):
                if decide(context.access).allowed:
                    return context
        bucket = current = None
        if operation.level is not _SERVICE:
            assert target.bucket is not None
            bucket, current = await self.services.objects.read(
                target.bucket,
                target.key,
                trace.request_id,
                version,
                with_body=operation.with_body and self._brings_bodies(),
            )
        context = surroundings(bucket, current, unread=False)
        try:
            authorize(context.access)
        except BodyUnreadError:
            return replace(context, undecided=True)
        return context

    async def _learns_more(self, trace: _Trace) -> bool:
        """Whether more is known by now of the users, roles and policies that there are, where the
        sender is one of them: what was granted a moment ago is good at once."""
        if trace.identity.principal.rights is None:
            return False
        directory = self.services.directory
        before = directory.generation
        await directory.refresh()
        return directory.generation != before

    def _brings_bodies(self) -> bool:
        one_hop = self.services.one_hop
        return one_hop is not None and one_hop.brings_bodies

    def _told(self, operation: Operation, request: Request, target: Target) -> StoredBucket | None:
        """The bucket as it was told last, where the request can do without a read. A page is
        answered what the bucket says by the time."""
        if operation.unread is None or target.bucket is None or "origin" in request.headers:
            return None
        told = self.services.buckets.told(target.bucket)
        if told is None or not operation.unread(request.headers, told.record):
            return None
        return told

    async def _look_at_bucket(self, request: Request, trace: _Trace, error: S3Error) -> None:
        """Read the bucket for a refusal that came before, if the reply depends on it: where it is,
        for a client that may know that and no more, and whether a page may read the error."""
        where = trace.tells_region and error.status == HTTPStatus.FORBIDDEN
        by_page = "Origin" in request.headers and error.code != "NoSuchBucket"
        target = trace.target
        if target is None or target.bucket is None or trace.bucket is not None:
            return
        if where or (by_page and not _is_failure(error)):
            with contextlib.suppress(S3Error, UnreadableRecordError):
                bucket = await self.services.buckets.read(target.bucket, trace.request_id)
                trace.bucket = None if bucket is None else bucket.record

    def _error(self, request: Request, trace: _Trace, error: S3Error) -> Reply:
        trace.error, trace.failure = error.code, error
        if trace.namespace is not None:
            return call_error_reply(error, trace.namespace, trace.request_id)
        resource = request.raw_target.partition("?")[0]
        return error_reply(error, resource, trace.request_id, HOST_ID)

    async def _logged(
        self, request: Request, trace: _Trace, status: int, body: StreamedBody
    ) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        """The body, with the access line written when it has been sent, or sent in part."""
        complete = False
        try:
            try:
                async for block in body.blocks:
                    if isinstance(block, bytes | bytearray):
                        trace.bytes_sent += len(block)
                        yield block
                        continue
                    try:
                        yield block
                    finally:
                        trace.bytes_sent += block.moved
            except Exception as error:
                if body.length is not None:
                    raise
                yield self._late_error(request, trace, error)
            complete = True
        except S3Error as error:
            trace.error = error.code
            log = self._log(trace)
            log.warning("reply broken off", code=error.code, reason=repr(error.__cause__))
            raise
        finally:
            await body.blocks.aclose()
            if not complete and trace.error is None:
                trace.error = "client went away"
            self._log_access(request, trace, status)

    def _late_error(self, request: Request, trace: _Trace, error: Exception) -> bytes:
        """The document of an error whose status came too late for the head of its reply."""
        if isinstance(error, S3Error):
            self._log_failure(error, trace)
            failure = error
        else:
            failure = self._unexpected(error, trace)
        body = self._error(request, trace, failure).body
        assert isinstance(body, bytes)
        return body.removeprefix(DECLARATION.encode())

    def _log_failure(self, error: S3Error, trace: _Trace) -> None:
        if _is_failure(error):
            log = self._log(trace)
            log.warning("request failed", code=error.code, reason=repr(error.__cause__))

    def _unexpected(self, error: Exception, trace: _Trace) -> S3Error:
        log = self._log(trace)
        if is_out_of_memory(error):
            # No fault of the request's, and none of the code: fewer of them at once will do.
            log.error("out of memory", reason=repr(error))
            return S3Error("SlowDown")
        if isinstance(error, UnreadableRecordError):
            # Another writer's, or damaged: it stays as it is.
            log.error("a stored record cannot be read", reason=str(error))
            return not_implemented(f"the form of what is stored ({error})")
        log.error("unexpected error", exc_info=error)
        return S3Error("InternalError")

    def _log(self, trace: _Trace) -> Any:
        """A logger whose lines name the request. Of most there is the access line alone."""
        return self.services.log.bind(request_id=trace.request_id)

    def _log_access(self, request: Request, trace: _Trace, status: int) -> None:
        target = trace.target
        line = _AccessLine(
            trace.request_id,
            request.method,
            trace.operation,
            None if target is None else target.bucket,
            status,
            trace.error,
            trace.identity.principal.account_id,
            request.peer,
            request.body.received,
            trace.bytes_sent,
            int((time.perf_counter() - trace.started) * 100_000) / 100,
        )
        self.services.log.info_of(ACCESS_EVENT, line)


def _expected_owners(meant: Request, request: Request) -> list[str]:
    """Whom the bucket is to belong to: what a form says counts as well as its headers."""
    if request is meant and EXPECTED_OWNER not in request.headers:
        return []
    said = [meant.headers.get(EXPECTED_OWNER)]
    if request is not meant:
        said.append(request.headers.get(EXPECTED_OWNER))
    return [owner for owner in said if owner is not None]


def _region(bucket: BucketRecord | None) -> dict[str, str]:
    return {} if bucket is None else {REGION_HEADER: bucket.location}


def _is_failure(error: S3Error) -> bool:
    """Whether it is not the request that is at fault."""
    return error.status >= 500 and error.status != HTTPStatus.NOT_IMPLEMENTED


def _incomplete(request: Request) -> S3Error:
    """Of a body whose connection ended."""
    announced = request.body.length
    if announced is None:
        return S3Error("IncompleteBody", "The request body terminated unexpectedly")
    return incomplete_body(announced, request.body.received)
