"""Every error of the metadata RPC, in one table.

The RPC sends an error as CloudServer's flattened error object (``reference/dmd-wire.md``, section
2), the debugging port as JSON. Code raises an error by its name; rendering happens in one place.
What S3 clients see is in ``s3front.s3_errors``.
"""

from __future__ import annotations

from typing import Final

# name: (HTTP status, message)
_TABLE: Final[dict[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access Denied"),
    # MinIO's status for a full disk (XMinioStorageFull); SDKs do not repeat it.
    "InsufficientStorage": (
        507,
        "There is not enough room on the server's disk. Delete objects to make room.",
    ),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidArgument": (400, "Invalid Argument"),
    "KeyTooLongError": (400, "Your key is too long"),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "NotImplemented": (
        501,
        "A header you provided implies functionality that is not implemented",
    ),
    # The metadata RPC's "not found"; S3 never shows it (reference/dmd-wire.md, section 2).
    "ObjNotFound": (404, "This object does not exist"),
    "PreconditionFailed": (
        412,
        "At least one of the pre-conditions you specified did not hold",
    ),
    # The record log's answer to a reader that comes too late (docs/metadata-protocol.md).
    "RecordsTrimmed": (410, "Records of the log that were asked for have been removed"),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SlowDown": (503, "Please reduce your request rate."),
}


class ServiceError(Exception):
    """An error with a name of the table above.

    ``code`` is the error's name; ``status`` its HTTP status; ``message`` the text for the client,
    the table's when not given. ``fields`` are further members of the error object.
    """

    def __init__(
        self, code: str, message: str | None = None, fields: dict[str, str] | None = None
    ) -> None:
        status, default = _TABLE[code]
        self.code = code
        self.status = status
        self.message = default if message is None else message
        self.fields: dict[str, str] = {} if fields is None else fields
        super().__init__(f"{code}: {self.message}")
