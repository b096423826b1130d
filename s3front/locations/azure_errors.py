"""What Azure's client library raises, as failures of a place.

Codes: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes and
…/blob-service-error-codes. No text of an answer goes on from here: what Azure says of a signature
that it does not accept holds the signature, and what was signed.
"""

from __future__ import annotations

import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestTimeoutError,
)

from s3front.locations.remote_store import LostConnectionError, PlaceError, Trouble

CONDITION_CODES: Final = frozenset({"ConditionNotMet", "TargetConditionNotMet"})
TAKEN_CODES: Final = frozenset({"BlobAlreadyExists", "UnauthorizedBlobOverwrite"})
"""There is a blob of the name; the second one is said to those who may create but not overwrite."""
LOST_BLOCKS_CODES: Final = frozenset({"InvalidBlockList", "InvalidBlockId"})
MISSING_CODES: Final = frozenset({"BlobNotFound", "ResourceNotFound"})

_REFUSED_STATUSES: Final = frozenset({401, 403})
_BUSY_STATUSES: Final = frozenset({429, 503})
_STATUSES_OF_ONE: Final = frozenset({400, 413, 414, 431})
"""Also from a server in front, to which a name or headers are too long, or odd."""
_CODE: Final = re.compile(r"[A-Za-z0-9]{1,80}")
_TOKEN_REFUSAL: Final = re.compile(r"AADSTS[0-9]{4,9}")
_SKEW_SECONDS_MAX: Final = 300
"""Azure accepts 15 minutes."""

_LOST: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""What aiohttp raises for a connection that it had kept, among others."""

_WORDS: Final = {
    "AccountIsDisabled": "the account is disabled",
    "AuthenticationFailed": "the credentials are not accepted",
    "AuthorizationFailure": "the network or the signature is not allowed to do this",
    "AuthorizationPermissionMismatch": "the credentials do not allow this",
    "AuthorizationProtocolMismatch": "the signature does not allow this protocol",
    "AuthorizationServiceMismatch": "the signature is not for blobs",
    "AuthorizationSourceIPMismatch": "the signature is for other addresses than ours",
    "BlobImmutableDueToPolicy": "a policy of the container keeps the blob as it is",
    "ContainerBeingDeleted": "the container is being deleted",
    "ContainerDisabled": "the container is disabled",
    "ContainerNotFound": "the container does not exist",
    "InsufficientAccountPermissions": "the credentials do not allow this",
    "InvalidAuthenticationInfo": "the credentials are not accepted",
    "KeyBasedAuthenticationNotPermitted": "the account does not allow account keys",
    "LeaseIdMissing": "somebody has a lease on the blob",
    "NoAuthenticationInformation": "the credentials are not accepted",
    "OperationTimedOut": "Azure did not do it in time",
    "ServerBusy": "Azure is busy",
}
_REFUSALS: Final = frozenset(_WORDS) - {"OperationTimedOut", "ServerBusy"}


def error_code(error: BaseException) -> str:
    """Azure's code of an answer, empty where there is none."""
    response = getattr(error, "response", None)
    code = None if response is None else response.headers.get("x-ms-error-code")
    code = code or getattr(error, "error_code", None)
    text = str(getattr(code, "value", code) or "")
    return text if _CODE.fullmatch(text) else ""


def status_of(error: BaseException) -> int | None:
    """The status of an answer; None where there is none."""
    return error.status_code if isinstance(error, HttpResponseError) else None


def place_error(error: BaseException, what: str) -> PlaceError:
    """The failure of a place for what the client library, or its transport, raised when it was to
    do ``what``."""
    trouble, words = _judged(error)
    if trouble is Trouble.SILENT and isinstance(_innermost(error), _LOST):
        return LostConnectionError(f"{what}: {words}", was_kept=False)
    return PlaceError(trouble, f"{what}: {words}")


def _judged(error: BaseException) -> tuple[Trouble, str]:
    if isinstance(error, ClientAuthenticationError) and not error_code(error):
        found = _TOKEN_REFUSAL.search(str(error))
        return Trouble.REFUSED, f"no token: {found[0] if found else 'the client is not accepted'}"
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return _answered(error, error.status_code)
    inner = _innermost(error)
    if isinstance(inner, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return Trouble.REFUSED, "the certificate is not one that is trusted"
    if isinstance(error, ServiceRequestTimeoutError):
        return Trouble.UNREACHED, "no connection in time"
    if isinstance(inner, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        return Trouble.UNREACHED, "no connection"
    if isinstance(inner, TimeoutError):
        return Trouble.SILENT, "no answer in time"
    if type(error) is not AzureError and isinstance(
        error, AzureError | aiohttp.ClientError | OSError
    ):
        return Trouble.SILENT, f"the connection broke ({type(inner).__name__})"
    return Trouble.BROKEN, f"an answer that is not understood ({type(inner).__name__})"


def _answered(error: HttpResponseError, status: int) -> tuple[Trouble, str]:
    code = error_code(error)
    words = f"{status} {code}".strip()
    if code in _WORDS:
        words = f"{words}: {_WORDS[code]}"
    if status in _REFUSED_STATUSES or code in _REFUSALS:
        return Trouble.REFUSED, words + _clocks(error)
    if status in _BUSY_STATUSES:
        return Trouble.BUSY, words
    if status >= 500:
        # What has timed out there may have been done all the same.
        return Trouble.SILENT, words
    if status in _STATUSES_OF_ONE or (code and status >= 400):
        # Of a name or metadata that it does not take, which is no reason to ask it for nothing.
        return Trouble.UNFIT, words
    return Trouble.BROKEN, words


def _clocks(error: HttpResponseError) -> str:
    """What is wrong with a clock, if one is: Azure refuses requests of another time."""
    date = getattr(error.response, "headers", {}).get("Date")
    try:
        seconds = time.time() - parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return ""
    if abs(seconds) <= _SKEW_SECONDS_MAX:
        return ""
    off = "fast" if seconds > 0 else "slow"
    return f"; the clock of this machine is {abs(seconds) / 60:.0f} minutes {off}"


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, AzureError):
        inner = error.inner_exception
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error
