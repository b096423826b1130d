"""What the server says of a request that is outside of a limit, word by word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3front.auth.sigv4 import PayloadForm
from tests.api.support import md5_base64
from tests.raw_http import Connection, Response, sign
from tests.servers import Front

LARGEST = 2**31 - 1
"""Of the integers that parameters may be."""


@dataclass(frozen=True)
class Refusal:
    """What an error document says, apart from the request."""

    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    status: int = 400

    def __str__(self) -> str:
        return self.code

    @property
    def members(self) -> dict[str, str]:
        said = {"status": str(self.status), "Code": self.code, "Message": self.message}
        return said | dict(self.fields)


MALFORMED_XML = Refusal(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
)


def argument(name: str, value: str, message: str) -> Refusal:
    return Refusal("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": value})


def no_integer(name: str, value: str) -> Refusal:
    return argument(name, value, f"Provided {name} not an integer or within integer range")


def not_between(name: str, value: str, lowest: int, highest: int = LARGEST) -> Refusal:
    return argument(
        name, value, f"Argument {name} must be an integer between {lowest} and {highest}"
    )


def assert_refused(response: Response, expected: Refusal) -> None:
    """HEAD has no document."""
    if not response.body:
        assert response.status == expected.status
        return
    error = response.error
    for name in ("Resource", "RequestId", "HostId"):
        assert error.pop(name)
    assert error == expected.members


def answer_to_size(front: Front, method: str, target: str, size: int) -> Response | None:
    """What a request with so large a body is answered before any of it is sent; None when it is
    asked for. Nothing comes, so it ends there."""
    headers = {
        "Content-Length": str(size),
        "Content-MD5": md5_base64(b""),
        "Expect": "100-continue",
    }
    unsigned = PayloadForm.UNSIGNED.value
    request = sign(front, method, target, b"", headers, payload=unsigned)
    with Connection(front) as connection:
        connection.send(request.head)
        connection.wait_for_bytes(b"\r\n\r\n")
        return None if connection.is_asked() else connection.receive(method)
