"""A look at a bucket of an S3 service: what is there, what we may do, and what to grant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from s3front.locations.remote_store import Finding, PlaceError, Trouble
from s3front.locations.s3_answers import S3AnswerError, unquoted
from s3front.locations.s3_bucket import S3Bucket, Versioning, version_of
from s3front.locations.s3_client import S3Call, S3Client
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_found import of_version, remove
from s3front.locations.s3_objects import VERSION_HEADER, tag_document
from s3front.locations.s3_probes import PROBE_HEADERS, new_probe
from s3front.locations.s3_signing import encoded_path
from s3front.locations.s3_writing import text_in, with_md5

_BODY: Final = b"An S3 server looks at what it may do here. It removes this object again.\n"

_VERSIONING: Final = {
    Versioning.ON: "kept",
    Versioning.OFF: "none are kept: switch versioning on in the bucket",
    Versioning.SUSPENDED: "none are kept any more: switch versioning on in the bucket",
}


async def look(
    client: S3Client, bucket: S3Bucket, details: S3Details, *, thorough: bool
) -> Sequence[Finding]:
    """See ``RemoteStore.look``."""
    looking = _Look(client)
    await looking.at_bucket(details)
    if details.versions:
        versioning = await bucket.versioning()
        is_on = versioning is Versioning.ON
        looking.findings.append(Finding("versions", is_on, _VERSIONING[versioning]))
        await looking.may("s3:GetBucketVersioning", S3Call("GET", query=(("versioning", ""),)))
    else:
        words = "not asked for (supportsVersioning is false)"
        looking.findings.append(Finding("versions", None, words))
    if thorough:
        await looking.try_all(details)
        await _habits(bucket, looking.findings)
        await bucket.remove_left_probes()
    return looking.findings


async def _habits(bucket: S3Bucket, findings: list[Finding]) -> None:
    """What the service itself can do."""
    try:
        habits, tags = await bucket.habits(), await bucket.keeps_tags()
    except PlaceError as error:
        findings.append(Finding("what the service does", False, error.reason))
        return
    condition = "kept" if habits.create_only else "not kept: without versions, names are our own"
    findings.append(Finding("create-only condition", habits.create_only or None, condition))
    etags = "MD5 of the bytes" if habits.md5 else "something of its own: it is not compared"
    findings.append(Finding("ETags", habits.md5 or None, etags))
    findings.append(Finding("tags", tags or None, "kept" if tags else "in our records alone"))


class _Look:
    """Tries one thing after the other."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self.findings: list[Finding] = []

    async def at_bucket(self, details: S3Details) -> None:
        """Raises PlaceError when there is none."""
        where = f"{details.bucket} at {details.host}"
        try:
            await self._client.done(S3Call("HEAD"))
        except S3AnswerError as error:
            if error.status == 404:
                raise PlaceError(Trouble.REFUSED, f"there is no bucket {where}") from None
            if error.status != 403:
                raise
            # Either it is somebody else's, or we may not list it: what follows tells.
            found = await self._client_may_list()
            if found is not None:
                raise found from None
            self.findings.append(_missing("s3:ListBucket"))
        self.findings.append(Finding("bucket", True, where))
        self.findings.append(Finding("region", None, self._client.region))

    async def _client_may_list(self) -> S3AnswerError | None:
        """What is said of the keys themselves, which HEAD has no words for; None if it is just that
        we may not list."""
        try:
            await self._client.done(S3Call("GET", query=(("list-type", "2"), ("max-keys", "1"))))
        except S3AnswerError as error:
            return None if error.place_code == "AccessDenied" else error
        return None

    async def may(self, permission: str, call: S3Call) -> bool:
        """Try a call that takes a permission."""
        return await self.answered(permission, call) is not None

    async def answered(self, permission: str, call: S3Call) -> Mapping[str, str] | None:
        """The headers of what a call is answered; None when it is not done."""
        try:
            headers = await self._client.done(call)
        except S3AnswerError as error:
            if error.status == 403:
                self.findings.append(_missing(permission))
            elif error.is_unknown_call:
                words = f"the service does not know it: {error.reason}"
                self.findings.append(Finding(permission, None, words))
            else:
                self.findings.append(Finding(permission, False, error.reason))
            return None
        except PlaceError as error:
            if error.trouble is not Trouble.BROKEN:
                raise
            self.findings.append(Finding(permission, False, error.reason))
            return None
        self.findings.append(Finding(permission, True, "granted"))
        return headers

    async def try_all(self, details: S3Details) -> None:
        """With an object that is removed again."""
        name, sent = new_probe(), await with_md5(_BODY)
        putting = S3Call("PUT", name, (), {**sent.headers, **PROBE_HEADERS}, _BODY)
        made = await self.answered("s3:PutObject", putting)
        if made is None:
            return
        version = version_of(made)
        query = of_version(version)
        reading = "s3:GetObject" if version is None else "s3:GetObjectVersion"
        await self.may(reading, S3Call("GET", name, query))
        if version is not None:
            await self.may("s3:GetObject", S3Call("HEAD", name))
        await self.may("s3:ListBucket", S3Call("GET", query=(("list-type", "2"), ("prefix", name))))
        listing = S3Call("GET", query=(("prefix", name), ("versions", "")))
        await self.may("s3:ListBucketVersions", listing)
        await self._try_tags(name, version)
        await self._try_upload(name)
        await self._try_copy(details, name, version, unquoted(made.get("ETag")))
        version = made.get(VERSION_HEADER)
        removing = "s3:DeleteObject" if version is None else "s3:DeleteObjectVersion"
        await self.may(removing, S3Call("DELETE", name, of_version(version)))

    async def _try_tags(self, name: str, version: str | None) -> None:
        sent = await with_md5(tag_document({"a": "b"}))
        assert isinstance(sent.data, bytes)
        query = (("tagging", ""), *of_version(version))
        permission = "s3:PutObjectTagging" if version is None else "s3:PutObjectVersionTagging"
        await self.may(permission, S3Call("PUT", name, query, sent.headers, sent.data))

    async def _try_upload(self, name: str) -> None:
        listing = S3Call("GET", query=(("prefix", name), ("uploads", "")))
        await self.may("s3:ListBucketMultipartUploads", listing)
        call = S3Call("POST", name, (("uploads", ""),))
        try:
            _, tree = await self._client.read(call)
            upload_id = text_in(tree, "UploadId", call.what)
        except PlaceError as error:
            self.findings.append(Finding("uploads of parts", False, error.reason))
            return
        parts = (("uploadId", upload_id),)
        await self.may("s3:ListMultipartUploadParts", S3Call("GET", name, parts))
        await self.may("s3:AbortMultipartUpload", S3Call("DELETE", name, parts))

    async def _try_copy(
        self, details: S3Details, name: str, version: str | None, etag: str | None
    ) -> None:
        copy = new_probe()
        source = encoded_path(details.bucket, name)
        query = "" if version is None else f"?versionId={version}"
        headers = {
            **PROBE_HEADERS,
            "x-amz-copy-source": source + query,
            "x-amz-metadata-directive": "REPLACE",
        }
        try:
            answer, tree = await self._client.read(S3Call("PUT", copy, (), headers))
            await remove(self._client, copy, answer.get(VERSION_HEADER))
        except PlaceError as error:
            words = f"bytes of copies pass through this server: {error.reason}"
            self.findings.append(Finding("copies", None, words))
            return
        is_same = unquoted(tree.findtext("ETag")) == etag
        self.findings.append(Finding("copies", is_same or None, "made there"))


def _missing(permission: str) -> Finding:
    return Finding(permission, False, f"not granted: allow {permission} in the bucket's policy")
