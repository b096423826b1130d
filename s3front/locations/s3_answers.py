"""What an S3 service answers: errors as what they mean for us, and documents. Pure.

Source: Amazon S3 API reference, "Error responses"; where another service has codes of its own, they
say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

import msgspec

from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.s3_documents import parsed, whole_root
from s3front.s3_errors import S3Error

ELEMENTS_MAX: Final = 50_000
"""Of one document: a listing has a thousand entries."""

_ERROR_ELEMENTS_MAX: Final = 1000
_PAGE: Final = "the answer is a web page"

_BUSY: Final = frozenset({
    "InternalError",
    "OperationAborted",
    "ConditionalRequestConflict",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",  # MinIO
    "SlowDownWrite",
    "TooManyRequests",
    "XMinioServerNotInitialized",
})  # fmt: skip

_EXPIRED: Final = frozenset({
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
})  # fmt: skip
"""What other keys may change."""

_REFUSED: Final = _EXPIRED | {
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "InvalidBucketName",
    "InvalidObjectState",
    "NoSuchBucket",
    "NotSignedUp",
    "PermanentRedirect",
    "QuotaExceeded",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TemporaryRedirect",
}

_OF_ONE: Final = frozenset({400, 412, 413, 414, 431})
"""What answers without a document say of one request: those to HEAD, and those of servers in front
that find its name or its headers too long, or odd."""

_OF_STATUS: Final[Mapping[int, str]] = {
    301: "PermanentRedirect",
    304: "NotModified",
    307: "TemporaryRedirect",
    400: "BadRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "OperationAborted",
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}
"""Codes of answers that have no document: those to HEAD, and those of servers in front."""


class ErrorDocument(msgspec.Struct, frozen=True):
    """``code`` is empty where the answer has none. ``region`` is the bucket's."""

    code: str
    message: str
    region: str | None = None
    is_other: bool = False
    """It is something else than a document of S3's, for instance a web page."""


class S3AnswerError(PlaceError):
    """The service answered with an error."""

    def __init__(self, status: int, found: ErrorDocument, what: str) -> None:
        code = found.code or _OF_STATUS.get(status, "")
        super().__init__(
            _trouble(status, code, found), f"{what}: {status} {code} {found.message}".strip()
        )
        self.status = status
        self.place_code = code
        self.region = found.region
        self._is_other = found.is_other

    @property
    def wants_other_keys(self) -> bool:
        """Whether newer keys may be accepted."""
        return self.place_code in _EXPIRED

    @property
    def is_absence(self) -> bool:
        """Whether there is no such object, version or upload, in a bucket that there is."""
        return self.status == 404 and self.place_code != "NoSuchBucket" and not self._is_other

    @property
    def is_unknown_call(self) -> bool:
        """Whether the service does not know what it was asked for."""
        return self.status == 501 or self.place_code == "NotImplemented"


def _trouble(status: int, code: str, found: ErrorDocument) -> Trouble:
    if code in _REFUSED:
        return Trouble.REFUSED
    if code in _BUSY or status in (429, 500, 503):
        return Trouble.BUSY
    if status in (502, 504):
        # A server in front does not know what the one behind it has done.
        return Trouble.SILENT
    if status in (401, 403, 507):
        return Trouble.REFUSED
    if status in _OF_ONE or (400 <= status < 500 and found.code):
        # Of a key or metadata that it does not take, which is no reason to ask it for nothing.
        return Trouble.UNFIT
    return Trouble.BROKEN


def error_document(body: bytes, key: str | None = None) -> ErrorDocument:
    """What the body of an error says, whatever it is; without its message where that names the
    ``key`` of the object, as Amazon's does when it denies access."""
    try:
        tree = parsed(body, _ERROR_ELEMENTS_MAX)
    except S3Error:
        return ErrorDocument("", "", is_other=bool(body.strip()))
    inner = tree.find("Error")
    if inner is not None:  # in an ErrorResponse, as other services of Amazon's have it
        tree = inner
    message = tree.findtext("Message") or ""
    if key and any(form in message for form in _forms(key)):
        message = ""
    code = tree.findtext("Code") or ""
    return ErrorDocument(code, message[:200], tree.findtext("Region"), is_other=not code)


def _forms(key: str) -> tuple[str, ...]:
    """A key as it is, and as it is in URLs."""
    return key, quote(key, errors="replace"), quote(key, safe="", errors="replace")


def document(body: bytes, what: str, key: str | None = None) -> Element:
    """The document of an answer that says that it is good: it may be an error nevertheless, as that
    of a long call begins before its end is known. Blanks may precede it. Some services have roots
    of their own. Raises PlaceError."""
    text = body.lstrip()
    try:
        tree = parsed(text, ELEMENTS_MAX)
    except S3Error:
        root = whole_root(text)
        if root.lower() == "html":
            raise PlaceError(Trouble.BROKEN, f"{what}: {_PAGE}") from None
        if root:
            # Of what was asked about, which is no reason to ask for nothing else.
            raise PlaceError(Trouble.UNFIT, f"{what}: the answer is no XML") from None
        # Half of a document: what was asked for may have been done.
        raise PlaceError(Trouble.SILENT, f"{what}: the answer is no whole document") from None
    if tree.tag in ("Error", "ErrorResponse"):
        raise S3AnswerError(500, error_document(text, key), what)
    if tree.tag == "html":
        raise PlaceError(Trouble.BROKEN, f"{what}: {_PAGE}")
    return tree


def etag_in(headers: Mapping[str, str], what: str) -> str:
    """The ETag that an answer has to say. Raises PlaceError."""
    etag = unquoted(headers.get("ETag"))
    if not etag:
        raise PlaceError(Trouble.BROKEN, f"{what}: the answer has no ETag")
    return etag


def etag_said(tree: Element, what: str) -> str:
    """The same of a document."""
    return etag_in({"ETag": tree.findtext("ETag") or ""}, what)


def unquoted(etag: str | None) -> str | None:
    """An ETag without its quotes, None for none."""
    return etag.strip('"') if etag else None
