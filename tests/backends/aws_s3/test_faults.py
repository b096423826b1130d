"""What a store makes of a service that answers wrongly, late, or not at all."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from pathlib import Path

import anycrc
import pytest
from msgspec.structs import replace

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    LostConnectionError,
    PlaceError,
    Trouble,
    UploadedPart,
    new_mark,
)
from s3front.s3_errors import S3Error
from tests.api.data_server import RecordingLog
from tests.backends.s3_stores import INFO, blocks_of, md5_of, read
from tests.backends.scripted_s3 import (
    CUT,
    OK_ETAG,
    Answer,
    Asked,
    ScriptedS3,
    answer,
    chunks,
    error,
    scripted,
)

BLOB = Stored("cat", 4, "v1")
ITS = {"x-amz-version-id": "v1"}
COPIED = b"<R><ETag>841a2d689ad86bd1611447453c22c6fc</ETag></R>"
UPLOAD_ID = "u1"
HANDLE = Stored("cat", 0, extra={UPLOAD: UPLOAD_ID, MARK: new_mark()})
PART = UploadedPart(
    1, 4, md5_of(b"body"), Stored("cat", 4, None, md5_of(b"body"), {PART_OF: UPLOAD_ID})
)


@contextlib.asynccontextmanager
async def asking(
    say: Answer, *, versioned: bool = True, invites: bool = True, **details: object
) -> AsyncIterator[tuple[AwsS3Store, ScriptedS3]]:
    """A store of a service that says so."""
    async with scripted(say, versioned=versioned, invites=invites) as service:
        store = AwsS3Store("there", service.details(**details), RecordingLog())
        try:
            yield store, service
        finally:
            await store.close()


async def trouble_of(work: object) -> Trouble:
    with pytest.raises(PlaceError) as caught:
        await work  # type: ignore[misc]  # whatever the test asks for
    return caught.value.trouble


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (answer(200, ITS, b"bod"), Trouble.BROKEN),
        (answer(200, ITS, b"body and more"), Trouble.BROKEN),
        (answer(206, {**ITS, "Content-Range": "bytes 0-3/4"}, b"body"), Trouble.BROKEN),
        (answer(200, ITS, b"bo" + CUT, length=4), Trouble.SILENT),
        (CUT, Trouble.SILENT),
        (b"HTTP/1.1 200 OK\r\nContent-Le" + CUT, Trouble.SILENT),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n" + CUT, Trouble.SILENT),
        (chunks(ITS, b"body", b"and more"), Trouble.SILENT),
        (chunks(ITS, b"bo"), Trouble.SILENT),
        (error(503, "SlowDown"), Trouble.BUSY),
        (error(500, "InternalError"), Trouble.BUSY),
        (error(403, "AccessDenied"), Trouble.REFUSED),
        (answer(502, {}, b"<html>"), Trouble.SILENT),
        (answer(200, {**ITS, "x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, b"body"), Trouble.BROKEN),
        (answer(200, {**ITS, "x-amz-checksum-crc32": "AAAAAA=="}, b"body"), Trouble.BROKEN),
    ],
    ids=str,
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_read_that_goes_wrong(said: bytes, trouble: Trouble, at_once: bool) -> None:
    async with asking(lambda _asked: said) as (store, _):

        async def get() -> bytes:
            if at_once:
                return await (await store.open(BLOB, 0, 3)).read()
            return await read(store, BLOB)

        assert await trouble_of(get()) is trouble


async def test_bytes_that_come_in_chunks_and_are_right() -> None:
    crc = base64.b64encode(anycrc.Model("CRC64-NVME").calc(b"body").to_bytes(8)).decode()
    said = chunks({**ITS, "x-amz-checksum-crc64nvme": crc}, b"bo", b"dy")
    async with asking(lambda _asked: said) as (store, _):
        assert await read(store, BLOB) == b"body"


@pytest.mark.parametrize(
    "said",
    [
        answer(200, ITS, b"body"),
        answer(206, {**ITS, "Content-Range": "bytes 0-1/4"}, b"bo"),
        answer(206, {**ITS, "Content-Range": "bytes 1-2/5"}, b"od"),
        answer(206, ITS, b"od"),
    ],
)
async def test_a_range_that_is_another_one(said: bytes) -> None:
    async with asking(lambda _asked: said) as (store, _):
        assert await trouble_of(read(store, BLOB, 1, 2)) is Trouble.BROKEN


async def test_what_is_not_there() -> None:
    marker = answer(405, {"x-amz-delete-marker": "true"})
    for said in (error(404, "NoSuchKey"), error(404, "NoSuchVersion"), marker):
        async with asking(lambda _asked, said=said: said) as (store, _):  # type: ignore[misc]
            with pytest.raises(DataNotFoundError):
                await store.open(BLOB, 0, 3)
            if said is not marker:
                await store.delete(BLOB)


async def test_what_lies_in_an_archive() -> None:
    async with asking(lambda _asked: error(403, "InvalidObjectState")) as (store, _):
        with pytest.raises(S3Error) as caught:
            await store.open(BLOB, 0, 3)
        assert caught.value.code == "InvalidObjectState"


async def test_other_bytes_were_stored() -> None:
    headers = {"ETag": f'"{md5_of(b"other")}"', "x-amz-version-id": "v7"}

    def say(asked: Asked) -> bytes:
        return answer(200, headers) if asked.method == "PUT" else answer(204)

    async with asking(say) as (store, service):
        assert await trouble_of(store.put(4, b"body", INFO)) is Trouble.BROKEN
        assert service.wanted()[-1] == "DELETE /there/2026/cat.jpg?versionId=v7"


@pytest.mark.parametrize("verb", ["put", "copy"])
async def test_other_bytes_were_stored_and_may_not_be_removed(verb: str) -> None:
    """So they are left, and that it is refused must not tell that nothing was done."""
    source = Stored("cat", 4, None, md5_of(b"source"))

    def say(asked: Asked) -> bytes:
        if asked.method == "DELETE":
            return error(403, "AccessDenied")
        headers = {"ETag": f'"{md5_of(b"other")}"', "x-amz-version-id": "v7"}
        return answer(200, headers, COPIED if "x-amz-copy-source" in asked.headers else b"")

    async with asking(say) as (store, _):
        if verb == "put":
            work: object = store.put(4, b"body", INFO)
        else:
            work = store.copy(store, source, INFO, new_mark())
        assert await trouble_of(work) is Trouble.SILENT


async def test_what_was_stored_before_a_refusal_is_not_said_to_be_undone() -> None:
    """Versioning was suspended, and we are not told so any more."""
    services: list[ScriptedS3] = []

    def say(asked: Asked) -> bytes:
        if asked.is_about("versioning"):
            return error(404, "NoSuchBucket")
        services[0].hides_versioning = True
        return answer(200, {**OK_ETAG, "x-amz-version-id": "null"})

    async with asking(say, versioned=True) as (store, service):
        services.append(service)
        assert await trouble_of(store.put(4, b"body", INFO)) is Trouble.SILENT


@pytest.mark.parametrize("verb", ["put", "copy", "begin_upload"])
async def test_what_makes_something_is_not_sent_again_when_its_connection_has_ended(
    verb: str,
) -> None:
    """The service may have done it, and then there would be two."""

    def say(asked: Asked) -> bytes:
        return answer(204) if asked.method == "DELETE" else CUT

    async with asking(say) as (store, service):
        mark = new_mark()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "put": lambda: store.put(4, b"body", INFO, mark),
            "copy": lambda: store.copy(store, BLOB, INFO, mark),
            "begin_upload": lambda: store.begin_upload(INFO, mark),
        }
        await store.delete(BLOB)  # over a connection that is kept
        with pytest.raises(LostConnectionError):
            await calls[verb]()
        assert len(service.wanted()) == 2


async def test_an_etag_of_what_is_encrypted_is_no_md5() -> None:
    headers = {
        "ETag": f'"{md5_of(b"cipher")}"',
        "x-amz-version-id": "v7",
        "x-amz-server-side-encryption": "aws:kms",
    }
    async with asking(lambda _asked: answer(200, headers)) as (store, _):
        assert (await store.put(4, b"body", INFO)).md5 is None


async def test_encryption_is_asked_for() -> None:
    for given, sent in ((True, "AES256"), ("aws:kms", "aws:kms")):
        headers = {**OK_ETAG, "x-amz-version-id": "v7"}
        async with asking(
            lambda _asked, headers=headers: answer(200, headers),  # type: ignore[misc]
            serverSideEncryption=given,
        ) as (store, service):
            await store.put(4, b"body", INFO)
            assert service.asked[-1].headers["x-amz-server-side-encryption"] == sent
            assert store.capabilities.encryption


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (chunks({}, b"  \n", b" ", b"<Error><Code>InternalError</Code></Error>"), Trouble.BUSY),
        (chunks({}, b"  \n", b"<CompleteMultipartUploadResult><ETag>"), Trouble.SILENT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n    " + CUT, Trouble.SILENT),
        (CUT, Trouble.SILENT),
        (error(503, "SlowDown"), Trouble.BUSY),
        (answer(200, {}, b"<html/>"), Trouble.BROKEN),
    ],
    ids=str,
)
async def test_errors_within_a_good_answer(said: bytes, trouble: Trouble) -> None:
    async with asking(lambda _asked: said) as (store, _):
        assert await trouble_of(store.complete_upload(HANDLE, [PART], INFO)) is trouble
        assert await trouble_of(store.copy(store, BLOB, INFO, new_mark())) is trouble


async def test_a_completed_upload_whose_answer_begins_with_blanks() -> None:
    etag = f"{md5_of(bytes.fromhex(PART.md5))}-1"
    result = f"<R><ETag>&quot;{etag}&quot;</ETag></R>".encode()
    said = chunks({"x-amz-version-id": "v9"}, b"<?xml version='1.0'?>\n", b" \n ", result)
    async with asking(lambda _asked: said) as (store, _):
        blob = await store.complete_upload(HANDLE, [PART], INFO)
        assert (blob.version, blob.etag, blob.size) == ("v9", etag, 4)


async def test_an_upload_that_was_completed_with_other_parts_stays() -> None:
    """Services answer a repeated call with what they have answered before, whatever it lists; who
    asked for that may be about to commit it."""
    other = f"{md5_of(b'x')}-1"
    result = f"<R><ETag>{other}</ETag></R>".encode()

    def say(asked: Asked) -> bytes:
        if asked.method == "POST":
            return answer(200, {"x-amz-version-id": "v9"}, result)
        return answer(204)

    async with asking(say) as (store, service):
        with pytest.raises(S3Error, match="InvalidPart"):
            await store.complete_upload(HANDLE, [PART], INFO)
        assert not [each for each in service.wanted() if each.startswith("DELETE")]


async def test_an_upload_that_others_have_completed_with_other_parts() -> None:
    other, mark = f"{md5_of(b'x')}-1", HANDLE.extra[MARK]

    def say(asked: Asked) -> bytes:
        if asked.method == "POST":
            return error(404, "NoSuchUpload")
        found = {"ETag": f'"{other}"', "x-amz-version-id": "v9", "x-amz-meta-twofold-mark": mark}
        return answer(200, found)

    async with asking(say) as (store, service):
        with pytest.raises(S3Error) as caught:
            await store.complete_upload(HANDLE, [PART], INFO)
        assert caught.value.code == "InvalidPart"
        # Their record is about to name it.
        assert not any(asked.startswith("DELETE") for asked in service.wanted())


def _refusing_tags(asked: Asked, *, removal: bytes) -> bytes:
    if asked.is_about("tagging"):
        return error(503, "SlowDown")
    if asked.method == "DELETE":
        return removal
    return answer(200, {**OK_ETAG, **ITS}, COPIED if "x-amz-copy-source" in asked.headers else b"")


@pytest.mark.parametrize(
    ("removal", "trouble"),
    [(answer(204), Trouble.BUSY), (error(503, "SlowDown"), Trouble.SILENT)],
    ids=["removed", "left"],
)
async def test_tags_that_cannot_follow_their_object(removal: bytes, trouble: Trouble) -> None:
    tagged = replace(INFO, tags={"animal": "Käfer"})
    say = partial(_refusing_tags, removal=removal)
    async with asking(say) as (store, service):
        assert await trouble_of(store.put(4, b"body", tagged)) is trouble
        assert service.wanted()[-1] == "DELETE /there/2026/cat.jpg?versionId=v1"
        assert await trouble_of(store.copy(store, BLOB, tagged, new_mark())) is trouble
        assert service.wanted()[-1] == "DELETE /there/2026/cat.jpg?versionId=v1"


async def test_every_version_with_a_mark_is_removed() -> None:
    mark, versions = new_mark(), ["v3", "v2"]

    def say(asked: Asked) -> bytes:
        version = asked.target.partition("versionId=")[2]
        if asked.method == "DELETE":
            versions.remove(version)
            return answer(204)
        if asked.is_about("uploads"):
            return answer(200, {}, b"<R></R>")
        if asked.is_about("versions"):
            listed = "".join(
                f"<Version><Key>2026/cat.jpg</Key><VersionId>{each}</VersionId></Version>"
                for each in ("v4", *versions)
            )
            return answer(200, {}, f"<R>{listed}</R>".encode())
        found = {**OK_ETAG, "x-amz-version-id": version or "v4"}
        if version in versions:
            found["x-amz-meta-twofold-mark"] = mark
        return answer(200 if "~" not in asked.target else 404, found)

    async with asking(say) as (store, _):
        await store.remove_strays(INFO, mark)
        assert versions == []


@pytest.mark.parametrize("verb", ["remove_strays", "delete"])
async def test_what_is_behind_too_many_versions_is_not_said_to_be_gone(verb: str) -> None:
    """What the worker removes it by is kept."""
    mark, key = new_mark(), "<Key>2026/cat.jpg</Key>"
    listed = f"<DeleteMarker>{key}<VersionId>v</VersionId></DeleteMarker>" * 600
    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>2026/cat.jpg</NextKeyMarker>"

    def say(asked: Asked) -> bytes:
        if asked.is_about("versions"):
            return answer(200, {}, f"<R>{listed}{more}</R>".encode())
        if asked.is_about("uploads"):
            return answer(200, {}, b"<R></R>")
        return answer(404)

    async with asking(say) as (store, _):
        upload = Stored("2026/cat.jpg", 0, extra={UPLOAD: UPLOAD_ID, MARK: mark})
        removing = store.remove_strays(INFO, mark) if verb != "delete" else store.delete(upload)
        assert await trouble_of(removing) is Trouble.UNFIT


async def test_another_clock() -> None:
    ahead = time.time() + 7200

    def say(asked: Asked) -> bytes:
        sent = time.strptime(asked.headers["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        hours = (ahead - (time.mktime(sent) - time.timezone)) / 3600
        date = {"Date": formatdate(ahead, usegmt=True)}
        if hours > 1:
            return error(403, "RequestTimeTooSkewed", headers=date)
        return answer(200, {**date, **ITS}, b"body")

    async with asking(say) as (store, service):
        assert await read(store, BLOB) == b"body"
        assert await read(store, BLOB) == b"body"
        assert len(service.asked) == 3


async def test_a_clock_that_is_not_what_is_wrong() -> None:
    date = {"Date": formatdate(usegmt=True)}
    async with asking(lambda _asked: error(403, "RequestTimeTooSkewed", headers=date)) as (
        store,
        service,
    ):
        assert await trouble_of(store.open(BLOB, 0, 3)) is Trouble.REFUSED
        assert len(service.asked) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
        error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-3"}),
        answer(400, {"x-amz-bucket-region": "eu-west-3"}),
    ],
)
async def test_another_region(refusal: bytes) -> None:
    def say(asked: Asked) -> bytes:
        if "/eu-west-3/s3/" not in asked.headers["authorization"]:
            return refusal
        return answer(200, ITS, b"body")

    async with asking(say) as (store, service):
        assert await read(store, BLOB) == b"body"
        assert await read(store, BLOB) == b"body"
        assert len(service.asked) == 3


@pytest.mark.parametrize("region", ["eu&#10;x: y", "a.example.com/", ""])
async def test_a_region_that_can_be_none(region: str) -> None:
    refusal = error(400, "AuthorizationHeaderMalformed", f"<Region>{region}</Region>")
    async with asking(lambda _asked: refusal) as (store, service):
        assert await trouble_of(store.open(BLOB, 0, 3)) is Trouble.REFUSED
        assert len(service.asked) == 1


async def test_keys_that_have_expired_are_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)

    def keys(name: str) -> None:
        profiles.write_text(
            f"[default]\naws_access_key_id={name}\naws_secret_access_key=s\n"
            f"aws_session_token=token-of-{name}\n"
        )

    def say(asked: Asked) -> bytes:
        if "Credential=OLD/" in asked.headers["authorization"]:
            return error(400, "ExpiredToken")
        assert asked.headers["x-amz-security-token"] == "token-of-NEW"
        return answer(200, ITS, b"body")

    keys("OLD")
    async with asking(say, credentials=None) as (store, _):
        assert await trouble_of(store.open(BLOB, 0, 3)) is Trouble.REFUSED
        keys("NEW")
        assert await read(store, BLOB) == b"body"


async def test_a_refusal_costs_nothing_of_a_body() -> None:
    begun = False

    async def body() -> AsyncGenerator[bytes, None]:
        nonlocal begun
        begun = True
        yield b"x" * 1_000_000

    def say(_asked: Asked) -> bytes:
        return error(403, "AccessDenied")

    async with asking(say, invites=False) as (store, _):
        assert await trouble_of(store.put(1_000_000, body(), INFO)) is Trouble.REFUSED
        assert not begun


async def test_versions_are_asked_for_again_when_one_is_missing() -> None:
    def say(asked: Asked) -> bytes:
        headers = {**OK_ETAG, "x-amz-version-id": "v1"} if service.versioned else OK_ETAG
        return answer(200, headers, COPIED if "x-amz-copy-source" in asked.headers else b"")

    async with asking(say) as (store, service):
        await store.put(4, b"body", INFO)
        service.versioned = False
        await store.put(4, b"body", INFO)
        await store.put(4, b"body", INFO)
        assert sum(each.is_about("versioning") for each in service.asked) == 2
        assert "If-None-Match".lower() in service.asked[-1].headers


async def test_a_name_that_is_taken_meanwhile() -> None:
    def say(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return answer(404)
        return error(412, "PreconditionFailed") if "~" not in asked.target else answer(200, OK_ETAG)

    async with asking(say, versioned=False) as (store, _):
        assert await trouble_of(store.put(4, blocks_of(b"body"), INFO)) is Trouble.BUSY
        blob = await store.put(4, b"body", INFO)
        assert blob.key.startswith("2026/cat.jpg~")


async def test_nobody_answers() -> None:
    async with asking(lambda _asked: b"") as (store, _):
        pass
    assert await trouble_of(store.put(4, b"body", INFO)) is Trouble.UNREACHED


ODD = ObjectInfo("photos", "a\x01b", "text/plain", {})
"""A key that no document can show."""


async def test_an_upload_whose_answer_shows_a_key_that_xml_cannot_have() -> None:
    mark = new_mark()

    def say(asked: Asked) -> bytes:
        assert asked.target == f"/there/a%2501b~{mark}?uploads="
        return answer(200, {}, b"<R><Key>a&#x1;b</Key><UploadId>u1</UploadId></R>")

    async with asking(say) as (store, _):
        upload = await store.begin_upload(ODD, mark)
        assert (upload.key, upload.extra[UPLOAD]) == (f"a%01b~{mark}", "u1")


@pytest.mark.parametrize("is_encoded", [True, False])
async def test_strays_with_a_key_that_xml_cannot_have(is_encoded: bool) -> None:
    """Those that were stored under it before such keys had other names there."""
    mark, begun = new_mark(), datetime.now(UTC).isoformat()
    encoding = b"<EncodingType>url</EncodingType>" if is_encoded else b""
    key = b"<Key>a%01b</Key>" if is_encoded else b"<Key>a&#x1;b</Key>"
    left = {"uploadId=u1", "versionId=v1"}

    def say(asked: Asked) -> bytes:
        path, _, query = asked.target.partition("?")
        of_it = path == "/there/a%01b"
        if asked.method == "DELETE":
            left.remove(query)
            return answer(204)
        if asked.is_about("uploads"):
            assert asked.is_about("encoding-type")
            upload = f"<UploadId>u1</UploadId><Initiated>{begun}</Initiated>".encode()
            listed = b"<Upload>" + key + upload + b"</Upload>" if "uploadId=u1" in left else b""
            return answer(200, {}, b"<R>" + encoding + listed + b"</R>")
        if asked.is_about("uploadId"):
            return answer(200, {}, b"<R>" + key + b"</R>")
        if asked.is_about("versions"):
            assert asked.is_about("encoding-type")
            version = b"<Version>" + key + b"<VersionId>v1</VersionId></Version>"
            listed = version if "versionId=v1" in left else b""
            return answer(200, {}, b"<R>" + encoding + listed + b"</R>")
        if of_it and query == "versionId=v1":
            return answer(200, {**OK_ETAG, **ITS, "x-amz-meta-twofold-mark": mark})
        return answer(404)

    async with asking(say) as (store, _):
        await store.remove_strays(ODD, mark)
        assert left == set()


async def test_a_name_that_the_service_does_not_take_has_no_strays() -> None:
    def say(asked: Asked) -> bytes:
        if asked.is_about("uploads"):
            return answer(200, {}, b"<R></R>")
        return answer(400 if "%01" in asked.target else 404)

    async with asking(say, versioned=False) as (store, service):
        await store.remove_strays(ODD, new_mark())
        assert any(asked.target == "/there/a%01b" for asked in service.asked)


async def test_a_listing_that_is_no_xml_is_nothing_to_other_objects() -> None:
    """The worker goes on with the others, and sets this one aside when it was tried often."""
    listing = answer(200, {}, b"<R><Upload><Key>&whatever;</Key></Upload></R>")
    async with asking(lambda asked: listing if asked.is_about("uploads") else answer(404)) as (
        store,
        _,
    ):
        with pytest.raises(PlaceError) as caught:
            await store.remove_strays(INFO, new_mark())
        assert (caught.value.trouble, caught.value.status) == (Trouble.UNFIT, 500)


@pytest.mark.parametrize(
    "said",
    [error(412, "PreconditionFailed"), answer(200, {"ETag": '"other"'}, b"body")],
    ids=["refused", "condition ignored"],
)
async def test_the_log_says_that_somebody_has_overwritten_a_blob(said: bytes) -> None:
    blob = Stored("cat", 4, None, "841a", {MARK: "0" * 40})
    async with asking(lambda asked: answer(404) if asked.method == "HEAD" else said) as (store, _):
        with pytest.raises(PlaceError) as caught:
            await store.open(blob, 0, 3)
    assert caught.value.trouble is Trouble.BROKEN
    assert "somebody else has overwritten" in caught.value.reason
    assert "0" * 40 in caught.value.reason
    assert "cat" not in caught.value.reason
