"""S3 requests as exact bytes over a socket, and what comes back.

A real client tidies up what it sends, and hides part of what it gets; this one does neither.
``sign`` makes the bytes of a request, ``Connection`` sends them as they are, cut where the test
says, and reads one response at a time; ``call`` does both for the usual case.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import TracebackType
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import botocore.parsers
import botocore.session
from multidict import CIMultiDict

from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, fold_headers, sign_request
from tests.aws_chunked import encode
from tests.servers import (
    ACCESS_KEY,
    OTHER_ACCESS_KEY,
    OTHER_SECRET_KEY,
    REGION,
    SECRET_KEY,
    Front,
)

OWNER = AccessKey(ACCESS_KEY, SECRET_KEY, REGION)
FOREIGNER = AccessKey(OTHER_ACCESS_KEY, OTHER_SECRET_KEY, REGION)
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Response:
    """A response; ``interim`` are the statuses (100) that came before it."""

    status: int
    headers: CIMultiDict[str]
    body: bytes
    interim: tuple[int, ...] = ()
    version: str = "HTTP/1.1"

    @property
    def xml(self) -> Element:
        """The document, namespaces taken off its names."""
        tree = fromstring(self.body)  # noqa: S314  # our own server's
        for node in tree.iter():
            node.tag = node.tag.rpartition("}")[2]
        return tree

    @property
    def error(self) -> dict[str, str]:
        """The members of the error document, and the status."""
        assert self.headers.get("Content-Type") == "application/xml", (self.status, self.headers)
        tree = self.xml
        assert tree.tag == "Error"
        return {"status": str(self.status), **{node.tag: node.text or "" for node in tree}}

    def parsed(self, operation: str) -> dict[str, Any]:
        """What botocore makes of it, as the response of an operation."""
        model = operation_model(operation)
        response = {"status_code": self.status, "headers": self.headers, "body": self.body}
        parser = botocore.parsers.create_parser("rest-xml")
        parsed: dict[str, Any] = parser.parse(response, model.output_shape)
        return parsed


@lru_cache
def service_model() -> Any:
    """botocore's model of S3; a session reads it again each time."""
    return botocore.session.get_session().get_service_model("s3")


@cache
def operation_model(name: str) -> Any:
    """botocore's model of an operation."""
    return service_model().operation_model(name)


@dataclass(frozen=True)
class Wire:
    """A request as it goes over the wire."""

    method: str
    head: bytes
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return self.head + self.body


# --- Making requests ----------------------------------------------------------------------------


def wire(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Wire:
    """A request with these headers and no others."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    return Wire(method, head, body)


def host_of(front: Front) -> str:
    return f"{front.host}:{front.port}"


def sign(
    front: Front,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    key: AccessKey = OWNER,
    now: datetime | None = None,
    payload: str | None = None,
) -> Wire:
    """A signed request. ``payload`` is ``x-amz-content-sha256``, the body's hash when not given.

    Content-Length is added when there is a body, unless the headers say how long it is.
    """
    sent = {"Host": host_of(front), **(headers or {})}
    if body and "Content-Length" not in sent and "Transfer-Encoding" not in sent:
        sent["Content-Length"] = str(len(body))
    path, _, query = target.partition("?")
    head = RequestHead(method, path, query, fold_headers(sent.items()))
    payload = payload or hashlib.sha256(body).hexdigest()
    signed = sign_request(head, key, now or datetime.now(UTC), payload)
    return wire(method, target, {**sent, **signed.headers}, body)


def sign_chunked(
    front: Front,
    path: str,
    payload: bytes,
    form: PayloadForm,
    trailers: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "PUT",
    query: str = "",
) -> Wire:
    """A signed request in aws-chunked encoding. ``headers`` may contradict what it would say."""
    declared = {
        "Host": host_of(front),
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(payload)),
        **({"x-amz-trailer": ",".join(trailers)} if trailers else {}),
        **(headers or {}),
    }
    head = RequestHead(method, path, query, fold_headers(declared.items()))
    signed = sign_request(head, OWNER, datetime.now(UTC), form.value)
    body = encode(payload, form, signed.stream, trailers)
    if "Transfer-Encoding" not in declared:
        declared["Content-Length"] = str(len(body))
    target = f"{path}?{query}" if query else path
    return wire(method, target, {**declared, **signed.headers}, body)


def with_body(request: Wire, body: bytes) -> Wire:
    """The request with another body, and a Content-Length that fits it; nobody has signed that."""
    line = b"Content-Length: %d\r\n"
    head = request.head.replace(line % len(request.body), line % len(body))
    return Wire(request.method, head, body)


def with_header(request: Wire, name: str, value: str) -> Wire:
    """The request with one more header, which nobody has signed."""
    line = f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
    return Wire(request.method, request.head[:-2] + line + b"\r\n", request.body)


def with_wrong_chunk_signature(request: Wire, chunk: int = 0) -> Wire:
    """The request with another digit at the beginning of a chunk's signature."""
    parts = request.body.split(b"chunk-signature=")
    digit = b"1" if parts[chunk + 1].startswith(b"0") else b"0"
    parts[chunk + 1] = digit + parts[chunk + 1][1:]
    return Wire(request.method, request.head, b"chunk-signature=".join(parts))


# --- Sending them -------------------------------------------------------------------------------


class Connection:
    """One connection to a front-end, over TLS when the front-end says so.

    ``receive_buffer_bytes`` bounds what the system takes in that nobody has asked for yet.
    """

    def __init__(
        self, front: Front, *, plain: bool = False, receive_buffer_bytes: int | None = None
    ) -> None:
        family = socket.getaddrinfo(*front.address, type=socket.SOCK_STREAM)[0][0]
        self._socket = socket.socket(family)
        self._socket.settimeout(TIMEOUT_SECONDS)
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.connect(front.address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if front.tls is not None and not plain:
            context = _tls_context(str(front.tls.authority))
            self._socket = context.wrap_socket(self._socket, server_hostname=front.host)
        self._received = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def half_close(self) -> None:
        """Send no more; the answer can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, data: Wire | bytes, cuts: Sequence[int] = ()) -> None:
        """Send everything, in pieces that end at ``cuts``.

        A server that has already answered may have closed: what it said can still be received.
        """
        data = bytes(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                self._socket.sendall(data[start:end])

    def receive(self, method: str = "GET") -> Response:
        """The next response; ``method`` is that of its request."""
        interim: list[int] = []
        while True:
            version, status, headers = self._head()
            if status >= 200:
                body = b"" if method == "HEAD" or status in (204, 304) else self._body(headers)
                return Response(status, headers, body, tuple(interim), version)
            interim.append(status)

    def receive_interim(self) -> int:
        """The status of an interim response (``100 Continue``), or of a final one's head."""
        _, status, _ = self._head()
        return status

    def exchange(self, request: Wire, cuts: Sequence[int] = ()) -> Response:
        """Send a request and receive its response."""
        self.send(request, cuts)
        return self.receive(request.method)

    def wait_for_bytes(self, mark: bytes) -> None:
        """Wait until bytes came that hold ``mark``; nothing is taken off."""
        while mark not in self._received:
            assert self._more(), f"no {mark!r}, but {self._received!r}"

    def is_asked(self) -> bool:
        """Whether the next response, the head of which is there, is ``100 Continue``."""
        return self._received.startswith(b"HTTP/1.1 100 ")

    def ended(self) -> bool:
        """Whether the server closes the connection without another byte; waits for it."""
        try:
            return not self._received and not self._socket.recv(1)
        except ConnectionResetError:
            return True

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            while self._more():
                pass
        return self._received

    def _head(self) -> tuple[str, int, CIMultiDict[str]]:
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                raise ConnectionError(f"no response, but {self._received!r}")
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        version, status, _reason = first.split(" ", 2)
        assert version in ("HTTP/1.0", "HTTP/1.1"), first
        headers: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, _, value = line.partition(":")
            headers.add(name, value.strip())
        return version, int(status), headers

    def _body(self, headers: CIMultiDict[str]) -> bytes:
        if headers.get("Transfer-Encoding") == "chunked":
            return self._chunked_body()
        return self._exactly(int(headers["Content-Length"]))

    def _chunked_body(self) -> bytes:
        """The body of a reply that took long: blanks, until its document is known."""
        body = b""
        while True:
            size = int(self._until(b"\r\n"), 16)
            chunk = self._until(b"\r\n") if size == 0 else self._exactly(size + 2)[:-2]
            body += chunk
            if size == 0:
                return body.strip()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            if not self._more():
                raise ConnectionError("the body broke off")
        found, _, self._received = self._received.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._more():
                raise ConnectionError(f"the body broke off after {len(self._received)} bytes")
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _more(self) -> bool:
        data = self._socket.recv(1 << 20)
        self._received += data
        return bool(data)


@lru_cache
def _tls_context(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def random_cuts(size: int, count: int, seed: object) -> list[int]:
    """So many places to cut ``size`` bytes, the same for the same seed."""
    return sorted(random.Random(repr(seed)).randrange(size) for _ in range(count))


def exchange(front: Front, request: Wire, cuts: Sequence[int] = ()) -> Response:
    """One request on a connection of its own."""
    with Connection(front) as connection:
        return connection.exchange(request, cuts)


def call(
    front: Front,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    key: AccessKey = OWNER,
    payload: str | None = None,
) -> Response:
    """Sign a request, send it on a connection of its own, and receive the response."""
    return exchange(front, sign(front, method, target, body, headers, key=key, payload=payload))


def anonymous(
    front: Front,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An unsigned request."""
    sent = {"Host": host_of(front), **(headers or {})}
    if body:
        sent["Content-Length"] = str(len(body))
    return exchange(front, wire(method, target, sent, body))


@contextlib.contextmanager
def connected(front: Front) -> Iterator[Connection]:
    """A connection that must survive the block: it answers one more request afterwards."""
    with Connection(front) as connection:
        yield connection
        assert connection.exchange(sign(front, "GET", "/")).status == 200
