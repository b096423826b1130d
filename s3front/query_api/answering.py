"""A call from its request to its reply: parameters, who sent it, may they, the call itself.

The body is read first, since all of it is signed and says what is asked for: it is small, and what
is held of bodies whose sender is not known is bounded in sum (``RequestBody.hold``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from s3front.auth.credential_sources import known, unknown_key
from s3front.auth.identity import UNSIGNED, Identity, Principal
from s3front.auth.sigv4 import RequestHead, fold_headers
from s3front.authz.decide import authorize
from s3front.context import Services
from s3front.iam.iam_errors import IamError
from s3front.port.forwarded import signed_hosts
from s3front.port.request import Reply, Request
from s3front.port.target import Target, Undecided
from s3front.query_api.asked import ACTION, VERSION
from s3front.query_api.call import Call, CallContext, Service
from s3front.query_api.call_parameters import Parameters, parse_parameters
from s3front.query_api.call_signature import CallClaim, claim_of, verify_call
from s3front.query_api.errors import QueryError
from s3front.query_api.families import IAM, SERVICES
from s3front.query_api.rendering import call_reply
from s3front.s3_errors import S3Error
from shared import limits


class Told(Protocol):
    """What is told of a request while it advances, for its access line and for its error."""

    request_id: str
    operation: str | None
    identity: Identity
    namespace: str | None


async def answer_call(
    request: Request, target: Target | Undecided, services: Services, now: datetime, told: Told
) -> Reply:
    """The reply to a call. Raises S3Error, which ``errors.call_error_reply`` renders."""
    told.namespace = IAM.namespace
    told.operation = "UnknownCall"
    body = await _body(request)
    parameters = await _parameters(target.query, body)
    service, call = _find(parameters)
    told.namespace, told.operation = service.namespace, call.name
    sent = _Sent(request, target, services, now, service, call, body)
    told.identity, claim = await _sender(sent)
    if told.identity is UNSIGNED and not call.anonymous:
        raise QueryError("MissingAuthenticationToken", "Request is missing Authentication Token")
    if service is IAM:
        _refuse_own_sessions(told.identity.principal)
    context = CallContext(services, request, target.query, told.request_id, told.identity, now)

    async def again() -> int:
        identity = await _still(context, claim)
        _authorize(call, replace(context, identity=identity), parameters)
        return services.directory.generation

    try:
        _authorize(call, context, parameters)
        decided_on = services.directory.generation
        context = replace(context, decided_on=decided_on, again=again)
        result = await call.handler(context, parameters)
    except IamError as error:
        raise QueryError(error.code, error.message) from error
    return call_reply(call.name, result, service.namespace, told.request_id)


def _authorize(call: Call, context: CallContext, parameters: Parameters) -> None:
    """Raises what ``authorize`` does, and what the parameters do."""
    if call.actions:
        keys = call.keys(context, parameters)
        for resource in call.resources(context, parameters):
            authorize(context.access(call.actions_for(parameters), resource, keys))


async def _body(request: Request) -> bytes:
    """All of it. Raises RequestEntityTooLarge, and what reading does."""
    length, most = request.body.length, limits.CALL_BYTES_MAX
    if length is not None:
        if length > most:
            raise _too_large()
        return b"".join(await request.body.read()) if length else b""
    if request.method == "GET":
        return b""
    await request.body.hold(most)
    body = bytearray()
    async with aclosing(request.body.blocks(gradually=True)) as blocks:
        async for block in blocks:
            body += block
            if len(body) > most:
                raise _too_large()
    return bytes(body)


async def _parameters(query: Mapping[str, str], body: bytes) -> Parameters:
    if len(body) <= limits.XML_INLINE_BYTES_MAX:
        return parse_parameters(query, body)
    return await asyncio.to_thread(parse_parameters, query, body)


def _find(parameters: Parameters) -> tuple[Service, Call]:
    """The call of a name and version. Raises MissingAction and InvalidAction."""
    name = parameters.text(ACTION)
    if not name:
        raise QueryError("MissingAction", "The request must contain the parameter Action.")
    version = parameters.text(VERSION) or "NO_VERSION_SPECIFIED"
    service = SERVICES.get(version)
    call = None if service is None else service.calls.get(name)
    if service is None or call is None:
        raise QueryError("InvalidAction", f"Could not find operation {name} for version {version}")
    return service, call


class _Sent(msgspec.Struct, frozen=True):
    """A call that somebody has sent."""

    request: Request
    target: Target | Undecided
    services: Services
    now: datetime
    service: Service
    call: Call
    body: bytes


async def _sender(sent: _Sent) -> tuple[Identity, CallClaim | None]:
    """The verified sender and what it claimed; UNSIGNED and None of a call without a signature.
    Raises what ``claim_of`` does, InvalidAccessKeyId, InvalidToken, ExpiredToken,
    SignatureDoesNotMatch and ServiceUnavailable.

    Whoever changes something and then sends another call sees it, through whichever front-end. Keys
    of the configuration are known without the metadata: these are not asked who it is, and not at
    all where that is everything that the call tells."""
    request, target, directory = sent.request, sent.target, sent.services.directory
    headers = request.folded
    if headers is None:
        headers = fold_headers(request.headers.items())
    head = RequestHead(request.method, target.raw_path, target.raw_query, headers)
    claim = claim_of(head, target.query, sent.service.name, sent.now)
    if claim is None:
        return UNSIGNED, None
    of_file = directory.is_of_file(claim.credential.access_key)
    if not of_file:
        await directory.refresh()
    identity = await _verified(sent, head, claim)
    if of_file and not sent.call.tells_sender:
        await directory.refresh()
    return identity, claim


async def _verified(sent: _Sent, head: RequestHead, claim: CallClaim) -> Identity:
    """Whose signature it is. Raises as above."""
    access_key, service = claim.credential.access_key, sent.service
    credentials = sent.services.credentials
    signer = known(await credentials.find(access_key, claim.security_token), access_key)
    mismatch: S3Error | None = None
    for host in signed_hosts(sent.request):
        tried = replace(head, headers={**head.headers, "host": host})
        try:
            verify_call(tried, claim, sent.body, signer.secret)
        except QueryError as error:
            mismatch = mismatch or error
        else:
            signer.used(service.name, claim.credential.region)
            return Identity(signer.principal, host=host)
    assert mismatch is not None
    raise mismatch


async def _still(context: CallContext, claim: CallClaim | None) -> Identity:
    """Who has sent a call, as of what is known at present. That the signature is right is known,
    and the secret is not asked for again. Raises what finding does."""
    identity = context.identity
    if claim is None:
        return identity
    access_key = claim.credential.access_key
    found = await context.services.credentials.whose(access_key, claim.security_token)
    if found is None or found.user_id != identity.principal.user_id:
        raise unknown_key(access_key)
    return replace(identity, principal=found)


def _refuse_own_sessions(principal: Principal) -> None:
    """Only sessions of roles call IAM: those that users get of themselves would need a device (STS
    API reference, GetSessionToken). Raises InvalidClientTokenId."""
    if principal.is_temporary and principal.role_arn is None:
        raise QueryError(
            "InvalidClientTokenId", "The security token included in the request is invalid."
        )


def _too_large() -> QueryError:
    return QueryError(
        "RequestEntityTooLarge",
        f"The request has more than {limits.CALL_BYTES_MAX} bytes.",
    )
