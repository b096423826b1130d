"""Errors of calls, and the one place that renders them.

AWS's codes, statuses and messages (IAM API reference, "Common error types" and the errors of each
call). What is raised below as an error of S3 (a body that does not come, no daemon, too many
requests) is said in the words of the query protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from s3front.port.request import Reply
from s3front.port.xml import element, element_with_quotes, readable
from s3front.s3_errors import S3Error

CALL_TYPE: Final = "text/xml"
REQUEST_ID: Final = "x-amzn-RequestId"

# code: HTTP status. Any other is 400.
_STATUS: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "ConcurrentModification": 409,
    "CredentialReportExpired": 410,
    "CredentialReportNotPresent": 410,
    "CredentialReportNotReady": 404,
    "DeleteConflict": 409,
    "DuplicateCertificate": 409,
    "EntityAlreadyExists": 409,
    "EntityTemporarilyUnmodifiable": 409,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "LimitExceeded": 409,
    "MissingAuthenticationToken": 403,
    "NoSuchEntity": 404,
    "RequestEntityTooLarge": 413,
    "ServiceFailure": 500,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "UnmodifiableEntity": 400,
}

# What S3 says: what the query protocol says.
_OF_S3: Final = {
    "ExpiredToken": ("ExpiredToken", "The security token included in the request is expired"),
    "InternalError": ("InternalFailure", None),
    "InvalidAccessKeyId": (
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "InvalidToken": (
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "SlowDown": ("ServiceUnavailable", None),
}


class QueryError(S3Error):
    """An error of a call: ``code`` and ``message`` as IAM or STS have them."""

    def __init__(self, code: str, message: str) -> None:
        # Not the table of S3's errors: these are others, some by the same name.
        self.code = code
        self.status = _STATUS.get(code, 400)
        self.message = message
        self.fields = {}
        self.headers = {}
        Exception.__init__(self, f"{code}: {message}")


def call_error_reply(error: S3Error, namespace: str, request_id: str) -> Reply:
    """The document of an error. ``namespace`` is that of the service which was called."""
    code, message, status = error.code, error.message, error.status
    if not isinstance(error, QueryError) and code in _OF_S3:
        code, other = _OF_S3[code]
        message = message if other is None else other
        status = _STATUS[code]
    if code == "AccessDenied":
        # S3 has quotes around the resource, and IAM none.
        message = message.replace('"', "")
    told = "".join(
        (
            element("Type", "Sender" if status < 500 else "Receiver"),
            element("Code", code),
            element_with_quotes("Message", readable(message)),
        )
    )
    body = (
        f'<ErrorResponse xmlns="{namespace}"><Error>{told}</Error>'
        f"{element('RequestId', request_id)}</ErrorResponse>\n"
    )
    headers = {"Content-Type": CALL_TYPE, REQUEST_ID: request_id, **error.headers}
    return Reply(status, headers, body.encode())
