"""GetBucketVersioning and PutBucketVersioning."""

from __future__ import annotations

from s3front.body import interpreted, read_document
from s3front.context import Context
from s3front.object_lock import is_enabled
from s3front.operations.changes import change_bucket
from s3front.reply import xml_reply
from s3front.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.xml import parse, readable_element
from shared import limits
from shared.errors import ServiceError
from shared.records.bucket import BucketRecord, Versioning
from shared.records.members import texts

_MEMBER = "versioningConfiguration"
_MFA_DELETE = ("Enabled", "Disabled")


async def get_bucket_versioning(context: Context, _request: Request) -> Reply:
    """The state of versioning, nothing when it was never configured (Amazon S3 API reference)."""
    found = texts(context.bucket.record.document.get(_MEMBER))
    members = ("Status", "MfaDelete")
    content = "".join(readable_element(name, found.get(name)) for name in members)
    return xml_reply("VersioningConfiguration", content)


async def put_bucket_versioning(context: Context, request: Request) -> Reply:
    """Enable or suspend versioning (Amazon S3 API reference)."""
    body = await read_document(context, request, limits.XML_BODY_BYTES_MAX)
    wanted = await interpreted(body, _parse_configuration)

    def change(record: BucketRecord) -> BucketRecord:
        if is_enabled(record.document) and wanted["Status"] != Versioning.ENABLED:
            raise ServiceError(
                "InvalidBucketState",
                "An Object Lock configuration is present on this bucket, so the versioning state "
                "cannot be changed.",
            )
        return record.changed({_MEMBER: wanted})

    await change_bucket(context, change)
    return Reply(200)


def _parse_configuration(body: bytes) -> dict[str, str]:
    """The configuration as the bucket record has it; raises MalformedXML, AccessDenied and
    IllegalVersioningConfigurationException."""
    tree = parse(body, "VersioningConfiguration")
    if any(child.tag not in ("Status", "MfaDelete") for child in tree):
        raise ServiceError("MalformedXML")
    status, mfa_delete = tree.findtext("Status"), tree.findtext("MfaDelete")
    if mfa_delete is not None and mfa_delete not in _MFA_DELETE:
        raise ServiceError("MalformedXML")
    if status is None:
        raise ServiceError("IllegalVersioningConfigurationException")
    if status not in tuple(Versioning):
        raise ServiceError("MalformedXML")
    if mfa_delete == "Enabled":
        # Nobody here has a device for it.
        raise ServiceError("AccessDenied", "Mfa Authentication must be used for this request")
    return {"Status": status} | ({} if mfa_delete is None else {"MfaDelete": mfa_delete})


GET_BUCKET_VERSIONING = Operation("GetBucketVersioning", Level.BUCKET, get_bucket_versioning)
PUT_BUCKET_VERSIONING = Operation("PutBucketVersioning", Level.BUCKET, put_bucket_versioning)
