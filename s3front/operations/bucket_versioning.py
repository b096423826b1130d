"""GetBucketVersioning and PutBucketVersioning."""

from __future__ import annotations

from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.objects.object_lock import is_enabled
from s3front.operations.changes import change_bucket
from s3front.operations.honoured import DOCUMENT
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import parse, readable_element
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
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
            raise S3Error(
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
        raise S3Error("MalformedXML")
    status, mfa_delete = tree.findtext("Status"), tree.findtext("MfaDelete")
    if mfa_delete is not None and mfa_delete not in _MFA_DELETE:
        raise S3Error("MalformedXML")
    if status is None:
        raise S3Error("IllegalVersioningConfigurationException")
    if status not in tuple(Versioning):
        raise S3Error("MalformedXML")
    if mfa_delete == "Enabled":
        # Nobody here has a device for it.
        raise S3Error("AccessDenied", "Mfa Authentication must be used for this request")
    return {"Status": status} | ({} if mfa_delete is None else {"MfaDelete": mfa_delete})


GET_BUCKET_VERSIONING = Operation(
    "GetBucketVersioning",
    Level.BUCKET,
    get_bucket_versioning,
    ("s3:GetBucketVersioning",),
)
PUT_BUCKET_VERSIONING = Operation(
    "PutBucketVersioning",
    Level.BUCKET,
    put_bucket_versioning,
    ("s3:PutBucketVersioning",),
    headers=DOCUMENT,
)
