"""The public access block of an account, for all of its buckets: three calls of S3 Control.

They come to the port of S3, at a path of their own; the header with the ID of the account tells
them from requests for an object. All else of S3 Control is not here (501).

Source: Amazon S3 API reference, S3 Control, PutPublicAccessBlock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from s3front.auth.identity import Identity
from s3front.authz.access import Access
from s3front.authz.condition_keys import keys_of_call
from s3front.authz.decide import authorize
from s3front.authz.public_block import BLOCK_MEMBER
from s3front.bodies.request_document import interpreted, read_document
from s3front.configurations.public_access_block import block_xml, parse_block
from s3front.context import Context, Services
from s3front.iam.account_changes import set_public_access_block
from s3front.iam.iam_errors import IamError
from s3front.port.request import Reply, Request
from s3front.port.target import Target
from s3front.s3_errors import S3Error, not_implemented
from shared import limits

_ROOM: Final = "/v20180820/"
_BLOCK: Final = f"{_ROOM}configuration/publicAccessBlock"
_ACCOUNT: Final = "x-amz-account-id"
_CHANGES: Final = "s3:PutAccountPublicAccessBlock"
_ACTIONS: Final[Mapping[str, str]] = {
    "GET": "s3:GetAccountPublicAccessBlock",
    "PUT": _CHANGES,
    "DELETE": _CHANGES,
}


def is_control(request: Request, target: Target) -> bool:
    """Whether a request is of S3 Control."""
    return target.raw_path.startswith(_ROOM) and _ACCOUNT in request.headers


def control_name(request: Request, target: Target) -> str:
    """What logs call it. Raises NotImplemented for what is not here."""
    if target.raw_path != _BLOCK or request.method not in _ACTIONS:
        raise not_implemented(f"{request.method} {target.raw_path} of S3 Control")
    return f"{request.method.title()}AccountPublicAccessBlock"


async def answer_control(
    request: Request, target: Target, services: Services, identity: Identity, request_id: str
) -> Reply:
    """The reply to one of the three, of a sender that is known. Raises S3Error."""
    principal, account_id = identity.principal, request.headers[_ACCOUNT]
    keys = keys_of_call(request, target.query, principal)
    access = Access(principal, (_ACTIONS[request.method],), "*", keys)
    authorize(access)
    if account_id != principal.account_id:
        raise S3Error("AccessDenied")
    context = Context(services, request_id, target, identity, access, None, None)
    await services.directory.refresh()
    if request.method == "GET":
        return _shown(context, account_id)
    block = None
    if request.method == "PUT":
        body = await read_document(context, request, limits.XML_BODY_BYTES_MAX)
        block = await interpreted(body, parse_block)
    await _set(context, account_id, block)
    return Reply(204 if block is None else 201)


def _shown(context: Context, account_id: str) -> Reply:
    account = context.services.directory.account(account_id)
    if account is None or account.public_access_block is None:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", fields={"AccountId": account_id})
    return block_xml({BLOCK_MEMBER: account.public_access_block})


async def _set(context: Context, account_id: str, block: Mapping[str, bool] | None) -> None:
    store = context.services.identities
    assert store is not None, "requests come once a front-end serves"
    change = partial(set_public_access_block, account_id=account_id, block=block)
    try:
        await store.change(change, context.request_id)
    except IamError as error:
        raise S3Error("OperationAborted") from error
