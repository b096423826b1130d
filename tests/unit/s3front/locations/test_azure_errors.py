"""What Azure's client library raises, as failures of a place."""

from __future__ import annotations

import asyncio
import ssl
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)

from s3front.locations.azure_errors import error_code, place_error
from s3front.locations.remote_store import Trouble

HOST = ConnectionKey("host", 443, True, True, None, None, None)
SIGNED = "AuthenticationErrorDetail: the MAC signature 'c2VjcmV0' is not the same"


def answer(status: int, code: str, seconds_off: float = 0) -> HttpResponseError:
    headers = {"Date": formatdate(time.time() + seconds_off, usegmt=True)}
    if code:
        headers["x-ms-error-code"] = code
    response: Any = SimpleNamespace(status_code=status, reason="Reason", headers=headers)
    return HttpResponseError(message=SIGNED, response=response)


def wrapped(kind: type[AzureError], inner: Exception) -> AzureError:
    return kind(inner, error=inner)


@pytest.mark.parametrize(
    ("error", "trouble", "words"),
    [
        (
            answer(403, "AuthenticationFailed"),
            Trouble.REFUSED,
            "403 AuthenticationFailed: the cred",
        ),
        (answer(403, "AccountIsDisabled"), Trouble.REFUSED, "the account is disabled"),
        (answer(404, "ContainerNotFound"), Trouble.REFUSED, "the container does not exist"),
        (answer(409, "ContainerBeingDeleted"), Trouble.REFUSED, "the container is being deleted"),
        (answer(412, "LeaseIdMissing"), Trouble.REFUSED, "somebody has a lease on the blob"),
        (answer(401, ""), Trouble.REFUSED, "401"),
        (answer(503, "ServerBusy"), Trouble.BUSY, "503 ServerBusy: Azure is busy"),
        (answer(429, ""), Trouble.BUSY, "429"),
        (answer(500, "OperationTimedOut"), Trouble.SILENT, "Azure did not do it in time"),
        (answer(500, "InternalError"), Trouble.SILENT, "500 InternalError"),
        (answer(400, "InvalidHeaderValue"), Trouble.UNFIT, "400 InvalidHeaderValue"),
        (answer(400, ""), Trouble.UNFIT, "400"),
        (answer(414, "<html>"), Trouble.UNFIT, "414"),
        (answer(418, "<script>"), Trouble.BROKEN, "418"),
        (
            wrapped(ServiceRequestError, aiohttp.ClientConnectorError(HOST, OSError(111, "no"))),
            Trouble.UNREACHED,
            "no connection",
        ),
        (
            wrapped(ServiceRequestTimeoutError, TimeoutError()),
            Trouble.UNREACHED,
            "no connection in time",
        ),
        (
            wrapped(
                ServiceRequestError,
                aiohttp.ClientConnectorCertificateError(HOST, ssl.SSLCertVerificationError("x")),
            ),
            Trouble.REFUSED,
            "the certificate is not one that is trusted",
        ),
        (
            wrapped(ServiceRequestError, aiohttp.ServerDisconnectedError()),
            Trouble.SILENT,
            "the connection broke (ServerDisconnectedError)",
        ),
        (
            wrapped(ServiceResponseTimeoutError, TimeoutError()),
            Trouble.SILENT,
            "no answer in time",
        ),
        (TimeoutError(), Trouble.SILENT, "no answer in time"),
        (
            wrapped(IncompleteReadError, aiohttp.ClientPayloadError("x")),
            Trouble.SILENT,
            "the connection broke (ClientPayloadError)",
        ),
        (ConnectionResetError(), Trouble.SILENT, "the connection broke"),
        (AzureError("MD5 mismatch"), Trouble.BROKEN, "an answer that is not understood"),
        (
            ClientAuthenticationError("AADSTS7000215: Invalid client secret for app 'x'"),
            Trouble.REFUSED,
            "no token: AADSTS7000215",
        ),
    ],
)
def test_each_failure_is_of_a_kind(error: Exception, trouble: Trouble, words: str) -> None:
    failure = place_error(error, "a look")
    assert failure.trouble is trouble
    assert failure.reason.startswith("a look: ")
    assert words in failure.reason
    assert "c2VjcmV0" not in f"{failure.reason} {failure} {failure.__cause__}"
    assert "<" not in failure.reason


def test_a_clock_that_is_wrong_is_named() -> None:
    slow = place_error(answer(403, "AuthenticationFailed", 1800), "a look").reason
    assert slow.endswith("; the clock of this machine is 30 minutes slow")
    fast = place_error(answer(403, "AuthenticationFailed", -1200), "a look").reason
    assert fast.endswith("; the clock of this machine is 20 minutes fast")
    assert "clock" not in place_error(answer(403, "AuthenticationFailed", 60), "a look").reason


def test_codes_of_answers() -> None:
    assert error_code(answer(404, "BlobNotFound")) == "BlobNotFound"
    assert error_code(answer(404, "no code\n")) == ""
    assert error_code(asyncio.IncompleteReadError(b"", 1)) == ""
