"""A look at a bucket of an S3 service: what is there, and what we may do."""

from __future__ import annotations

from collections.abc import Sequence

from s3front.locations.remote_store import Finding, PlaceError
from s3front.locations.s3_bucket import S3Bucket, Versioning
from s3front.locations.s3_client import S3Call, S3Client
from s3front.locations.s3_details import S3Details


async def look(
    client: S3Client, bucket: S3Bucket, details: S3Details, *, thorough: bool
) -> Sequence[Finding]:
    """See ``RemoteStore.look``."""
    await client.done(S3Call("HEAD"))
    findings = [
        Finding("bucket", True, f"{details.bucket} at {details.host}"),
        Finding("region", None, client.region),
    ]
    if not details.versions:
        findings.append(Finding("versions", None, "not asked for (supportsVersioning is false)"))
    else:
        versioning = await bucket.versioning()
        words = {
            Versioning.ON: "kept",
            Versioning.OFF: "none are kept: switch versioning on in the bucket",
            Versioning.SUSPENDED: "none are kept any more: switch versioning on in the bucket",
        }
        findings.append(Finding("versions", versioning is Versioning.ON, words[versioning]))
    if thorough:
        try:
            habits = await bucket.habits()
        except PlaceError as error:
            findings.append(Finding("writing", False, error.reason))
        else:
            words_of = "kept" if habits.create_only else "not kept: blobs get names of their own"
            findings.append(Finding("create-only condition", habits.create_only or None, words_of))
    return findings
