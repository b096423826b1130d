"""What the beginning of an upload said, to the conditions of policies on its parts and its end.

These do not say it again: a policy that wants objects to be encrypted, or to be shared with the
owner of their bucket, is kept by whoever said so when the upload began.
"""

from __future__ import annotations

from typing import Final

from s3front.context import Context
from s3front.encryption.choice import ENCRYPTION, KEY_ID
from s3front.encryption.told import server_headers
from s3front.metadata.upload_store import StoredUpload
from s3front.operations.body_keys import with_said

_ACL: Final = "s3:x-amz-acl"
_PRIVATE: Final = "private"
"""What a list is that was not asked for."""

KEYS_OF_UPLOADS: Final = frozenset((f"s3:{ENCRYPTION}", f"s3:{KEY_ID}", _ACL))


def told_by(context: Context, upload: StoredUpload | None) -> Context:
    """The context of a request of this upload, None: there is none. Raises what ``authorize`` does,
    where that was undecided."""
    if upload is None:
        return with_said(context, {})
    record = upload.record
    headers = server_headers(record.document)
    said = {f"s3:{name}": headers[name] for name in (ENCRYPTION, KEY_ID) if name in headers}
    canned = (record.acl or {}).get("Canned")
    if isinstance(canned, str) and canned not in ("", _PRIVATE):
        said[_ACL] = canned
    return with_said(context, said)


async def decided(context: Context) -> Context:
    """The context of a request of an upload, decided on what that said when it began, where it has
    not been yet. Raises what ``authorize`` does."""
    if not context.undecided:
        return context
    upload_id = context.target.query["uploadId"]
    found = await context.services.uploads.read(
        context.bucket.name, context.key, upload_id, context.request_id
    )
    return told_by(context, found)
