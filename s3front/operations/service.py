"""Operations on the service itself."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from s3front.context import Context
from s3front.operations.parameters import integer_parameter
from s3front.reply import xml_reply
from s3front.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.xml import element
from shared import limits
from shared.errors import ServiceError


async def list_buckets(context: Context, _request: Request) -> Reply:
    """ListBuckets (Amazon S3 API reference): the buckets of the account, by name."""
    account = context.identity.account
    assert account is not None
    query = context.target.query
    page_size = integer_parameter(query, "max-buckets", limits.BUCKETS_MAX, 1)
    prefix = query.get("prefix", "")
    after = _decode_token(query.get("continuation-token", ""))
    buckets = await context.services.metadata.list_buckets(account.canonical_id, context.request_id)
    wanted = [entry for entry in buckets if entry[0].startswith(prefix) and entry[0] > after]
    paginated = "max-buckets" in query
    page = wanted[:page_size] if paginated else wanted
    rows = "".join(
        f"<Bucket>{element('Name', name)}{element('CreationDate', entry['creationDate'])}</Bucket>"
        for name, entry in page
    )
    owner = element("ID", account.canonical_id) + element("DisplayName", account.name)
    content = f"<Owner>{owner}</Owner><Buckets>{rows}</Buckets>"
    if len(page) < len(wanted):
        content += element("ContinuationToken", urlsafe_b64encode(page[-1][0].encode()).decode())
    if prefix:
        content += element("Prefix", prefix)
    return xml_reply("ListAllMyBucketsResult", content)


def _decode_token(token: str) -> str:
    try:
        return urlsafe_b64decode(token).decode()
    except ValueError as error:
        raise ServiceError(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            {"ArgumentName": "continuation-token"},
        ) from error


LIST_BUCKETS = Operation("ListBuckets", Level.SERVICE, list_buckets)
