"""The errors of the data port, in one table.

Their names are those of the original's REST server (reference/dmd-wire.md, section 11), which are
not S3's: a front-end never shows them to its clients. They are raised by name anywhere in the data
plane and rendered as JSON in one place, ``dmd.data.data_service``.
"""

from __future__ import annotations

from typing import Final

# name: (HTTP status, message)
_TABLE: Final[dict[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access Denied"),
    "BadRequest": (400, "An error occurred when parsing the HTTP request."),
    "InsufficientStorage": (507, "There is not enough room on the disk."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAction": (400, "The action or operation requested is invalid."),
    "InvalidInput": (400, "The request contains an invalid value."),
    "InvalidRange": (416, "The requested range cannot be satisfied."),
    "InvalidURI": (400, "malformed URI"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingParameter": (400, "URL is missing key"),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "ObjNotFound": (404, "This object does not exist"),
}


class DataError(Exception):
    """An answer other than success, by a name of the table above.

    ``status`` is its HTTP status, ``message`` the text for the client: the table's when not given.
    """

    def __init__(self, code: str, message: str | None = None) -> None:
        status, default = _TABLE[code]
        self.code = code
        self.status = status
        self.message = default if message is None else message
        super().__init__(f"{code}: {self.message}")
