"""Operations on the service itself."""

from __future__ import annotations

from s3front.context import Context
from s3front.operations.parameters import bounded_integer, decode_token, encode_token
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import element
from s3front.routes import Level, Operation
from s3front.s3_errors import not_implemented
from shared import limits
from shared.records.members import shown_time

_REGION = "bucket-region"


async def list_buckets(context: Context, _request: Request) -> Reply:
    """ListBuckets (Amazon S3 API reference): the buckets of the account, by name. Those of one
    region only are not told apart, as the list of an account's buckets does not say it."""
    principal = context.principal
    query = context.target.query
    if _REGION in query:
        raise not_implemented(_REGION, _REGION)
    most = limits.BUCKETS_MAX
    page_size = bounded_integer(query, "max-buckets", most, minimum=1, maximum=most)
    prefix = query.get("prefix", "")
    after = decode_token(query.get("continuation-token", ""))
    buckets = await context.services.listings.buckets(principal.canonical_id, context.request_id)
    wanted = [entry for entry in buckets if entry[0].startswith(prefix) and entry[0] > after]
    paginated = "max-buckets" in query
    page = wanted[:page_size] if paginated else wanted
    rows = "".join(
        f"<Bucket>{element('Name', name)}"
        f"{element('CreationDate', shown_time(entry.get('creationDate')))}</Bucket>"
        for name, entry in page
    )
    owner = element("ID", principal.canonical_id) + element("DisplayName", principal.name)
    content = f"<Owner>{owner}</Owner><Buckets>{rows}</Buckets>"
    if len(page) < len(wanted):
        content += element("ContinuationToken", encode_token(page[-1][0]))
    if prefix:
        content += element("Prefix", prefix)
    return xml_reply("ListAllMyBucketsResult", content)


LIST_BUCKETS = Operation(
    "ListBuckets",
    Level.SERVICE,
    list_buckets,
    ("s3:ListAllMyBuckets",),
    parameters=frozenset(("continuation-token", "max-buckets", "prefix")),
)
