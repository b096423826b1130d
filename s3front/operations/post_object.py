"""PostObject: an upload by a form, as browsers send it.

Who may, and what the form may say, was decided before (``s3front.bodies.signed_form``). The order
of durability is that of PutObject; but how long the file is shows only when it ends, so that one
which is large is stored in several blobs, and the last of them is held back until all has been
verified.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from s3front.bodies.checksums import DEFAULT_ALGORITHM
from s3front.bodies.form_file import FormFile
from s3front.configurations.acl_headers import ACL_HEADERS
from s3front.context import Context
from s3front.encryption.sse import Protection
from s3front.encryption.told import made_headers
from s3front.metadata.object_store import record_of
from s3front.objects.object_lock import LOCK_HEADERS, wanted_lock
from s3front.objects.object_record import ObjectRecord
from s3front.objects.put_plan import check_put
from s3front.objects.tag_sets import parse_tagging
from s3front.objects.versioning import version_headers
from s3front.operations.chosen_location import chosen_location
from s3front.operations.granting import wanted_acl
from s3front.operations.honoured import PROTECTION
from s3front.operations.object_encryption import wanted_protection
from s3front.operations.object_headers import checksum_headers, new_object_headers
from s3front.operations.object_url import object_url
from s3front.operations.put_object import WantedObject, require_digest, store_object
from s3front.port.reply import XML_TYPE
from s3front.port.request import Reply, Request
from s3front.port.xml import DECLARATION, element
from s3front.routes import CONDITION_ACTIONS, WRITE_ACTIONS, Level, Operation, refuse_unimplemented
from shared.records.times import now


async def post_object(context: Context, request: Request) -> Reply:
    """Store the file of a form (Amazon S3 API reference, POST Object)."""
    fields = request.headers
    refuse_unimplemented(fields, ACL_HEADERS | LOCK_HEADERS | PROTECTION)
    check_put(fields, record_of(context.current))
    described = new_object_headers(fields, encoded_words=False)
    lock = wanted_lock(fields, context.bucket.record.document, now())
    tagging = fields.get("tagging")
    tags = parse_tagging(tagging.encode()) if tagging else {}
    acl = wanted_acl(context, fields)
    location, protection = chosen_location(context, fields), wanted_protection(context, fields)
    body = FormFile(fields, request.body)
    require_digest(fields, body.expected)
    algorithm = body.algorithm or DEFAULT_ALGORITHM
    origin = "s3:ObjectCreated:Post"
    wanted = WantedObject(
        described, tags, lock, location, algorithm, origin, protection=protection, acl=acl
    )
    record, _ = await store_object(context, fields, body, wanted)
    return _reply(context, request, record, protection)


# --- The reply ----------------------------------------------------------------------------------


def _reply(
    context: Context, request: Request, record: ObjectRecord, protection: Protection | None
) -> Reply:
    """What the form asked for: a page to go to, or a status, 204 when it asked for neither."""
    fields, bucket, key = request.headers, context.bucket.name, context.key
    etag = f'"{record.etag}"'
    place = object_url(context, request, encoded_key=quote(key))
    headers = {"ETag": etag, "Location": place}
    headers |= {**version_headers(record), **checksum_headers(record.checksum)}
    headers |= made_headers(record.document, protection)
    page = fields.get("success_action_redirect") or fields.get("redirect")
    if page is not None and _is_page(page):
        result = f"bucket={quote(bucket, safe='')}&key={quote(key)}&etag={quote(etag)}"
        url, mark, anchor = page.partition("#")
        url += f"{'&' if urlsplit(page).query else '?'}{result}{mark}{anchor}"
        return Reply(303, {**headers, "Location": url})
    status = fields.get("success_action_status")
    if status == "201":
        content = (
            element("Location", place)
            + element("Bucket", bucket)
            + element("Key", key)
            + element("ETag", etag)
        )
        body = f"{DECLARATION}<PostResponse>{content}</PostResponse>".encode()
        return Reply(201, {**headers, "Content-Type": XML_TYPE}, body)
    return Reply(200 if status == "200" else 204, headers)


def _is_page(url: str) -> bool:
    """Whether a browser can be sent there; an address that is none is ignored, as AWS does."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url.isascii()


POST_OBJECT = Operation(
    "PostObject",
    Level.BUCKET,
    post_object,
    ("s3:PutObject",),
    header_actions={**WRITE_ACTIONS, **CONDITION_ACTIONS, "tagging": ("s3:PutObjectTagging",)},
    form=True,
)
