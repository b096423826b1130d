"""The heads of requests and responses. Pure.

httptools (llhttp) decides what is HTTP; what it leaves open is decided here, strictly where two
servers in a row might disagree about where a request ends (RFC 9112 section 11.2). Only heads pass
through it: where bodies begin and end is counted by ``shared.http1.body``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)
from multidict import CIMultiDict, CIMultiDictProxy, istr

from shared.limits import HEADER_BYTES_MAX, HEADER_SECTION_BYTES_MAX, HEADERS_MAX

Headers = CIMultiDictProxy[str]

_END: Final = b"\r\n\r\n"
_VERSIONS: Final = {b"HTTP/1.1": True, b"HTTP/1.0": False}
_LENGTH_DIGITS_MAX: Final = 19
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:\[\]%-]*")  # RFC 3986, section 3.2
_KEPT_NAMES_MAX: Final = 1024
_KEPT_NAME_BYTES_MAX: Final = 64
_NONE: Final[list[str]] = []


class MalformedRequestError(Exception):
    """What was received is not HTTP; ``too_large`` when a head exceeds a limit."""

    def __init__(self, reason: str, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.too_large = too_large


class RequestHead(msgspec.Struct, frozen=True):
    """``target`` is exactly what was received. ``length`` is the Content-Length in bytes, None when
    there is none. ``modern`` is HTTP/1.1. ``folded`` are the headers by their names in lower case,
    where that is all there is to say of them: None when a name is repeated, or a value has a tab or
    two blanks in a row."""

    method: str
    target: str
    modern: bool
    headers: Headers
    length: int | None
    chunked: bool
    keep_alive: bool
    folded: Mapping[str, str] | None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` (RFC 9110 section 10.1.1)."""
        if self.folded is not None and "expect" not in self.folded:
            return False
        return self.modern and self.headers.get("Expect", "").lower() == "100-continue"


class ResponseHead(msgspec.Struct, frozen=True):
    """``keep_alive`` is what the server says; a body without a length ends the connection too."""

    status: int
    headers: Headers
    length: int | None
    chunked: bool
    keep_alive: bool


class _Names(dict[bytes, tuple[str, str]]):
    """Header names, as sent and in lower case, by their bytes: clients send the same ones over and
    over. It is emptied when strangers have filled it."""

    def __missing__(self, name: bytes) -> tuple[str, str]:
        text = name.decode()
        spelled = istr(text), text.lower()
        if len(name) <= _KEPT_NAME_BYTES_MAX:
            if len(self) >= _KEPT_NAMES_MAX:
                self.clear()
            self[name] = spelled
        return spelled


_names: Final = _Names()


class Fields:
    """The header lines of a head, as the parser calls them back. ``pairs`` are names and values; a
    value may have blanks at its end. ``folded`` has the last value of each name in lower case."""

    __slots__ = ("complete", "folded", "pairs")

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.folded: dict[str, str] = {}
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        spelled, lower = _names[name]
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("utf-8", "surrogateescape")
        self.folded[lower] = text
        self.pairs.append((spelled, text))

    def on_headers_complete(self) -> None:
        self.complete = True


class HeadReader:
    """Finds heads in the bytes of a connection, wherever these are cut.

    ``feed`` what arrives; ``next_head`` gives a complete head, as bytes and header lines, or None;
    ``take`` what follows the last one, when that is its body.
    """

    def __init__(self, parser: type[HttpRequestParser] | type[HttpResponseParser]) -> None:
        self._make_parser = parser
        self.received = b""
        """What was fed and is neither part of a head given out nor taken."""
        self._parsed = 0
        self._fields: Fields | None = None
        self._parser: HttpRequestParser | HttpResponseParser | None = None

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self.received = self.received + data if self.received else data

    def take(self) -> bytes:
        """Everything behind the last head."""
        rest, self.received = self.received, b""
        return rest

    def next_head(self) -> tuple[bytes, Fields] | None:
        """The next head, once it is complete. Raises MalformedRequestError as soon as it cannot be
        one any more."""
        received = self.received
        if not received:
            return None
        if self._parser is None:
            if received[:1] == b"\r":
                # Empty lines before a request are ignored (RFC 9112 section 2.2).
                received = self.received = _without_empty_lines(received)
                if received in (b"", b"\r"):
                    return None
            self._fields = Fields()
            self._parser = self._make_parser(self._fields)
        assert self._fields is not None
        parsed = self._parsed
        end = received.find(_END, max(parsed - len(_END) + 1, 0) if parsed else 0)
        size = len(received) if end < 0 else end + len(_END)
        if size > HEADER_SECTION_BYTES_MAX:
            raise MalformedRequestError("the header section is too large", too_large=True)
        self._parse(received[parsed:size])
        if self._fields.complete != (end >= 0):
            raise MalformedRequestError("a malformed head")
        if end < 0:
            self._parsed = size
            return None
        head, fields = received[:size], self._fields
        self.received = received[size:]
        self._parsed, self._parser = 0, None
        if size > HEADER_BYTES_MAX or len(fields.pairs) > HEADERS_MAX:
            _check_limits(head, fields)
        return head, fields

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # no other protocol is spoken here, and the request is one like others
        except HttpParserError as error:
            raise MalformedRequestError(str(error)) from error


def _without_empty_lines(received: bytes) -> bytes:
    start = 0
    while received.startswith(b"\r\n", start):
        start += 2
    return received[start:]


def _check_limits(head: bytes, fields: Fields) -> None:
    if len(fields.pairs) > HEADERS_MAX:
        raise MalformedRequestError("too many header lines", too_large=True)
    if max(map(len, head.split(b"\r\n"))) > HEADER_BYTES_MAX:
        raise MalformedRequestError("a header line is too large", too_large=True)


def parse_request(head: bytes, fields: Fields) -> RequestHead:
    """Make the value of a head that HeadReader found. Raises MalformedRequestError."""
    words = head[: head.index(b"\r\n")].split(b" ")
    modern = _VERSIONS.get(words[-1])
    if len(words) != 3 or modern is None:
        raise MalformedRequestError("a malformed request line")
    try:
        method, target = words[0].decode("ascii"), words[1].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedRequestError("a malformed request target") from error
    headers, folded = _headers(fields)
    if folded is not None and "host" in folded:
        host = folded["host"]
    else:
        host = _host(headers, modern=modern)
    if not is_host(host):
        raise MalformedRequestError("a malformed Host header")
    length, chunked, keep_alive = None, False, modern
    if folded is None or "connection" in folded or "transfer-encoding" in folded:
        length, chunked = _framing(headers)
        keep_alive = _keeps_alive(headers, modern=modern)
    elif "content-length" in folded:
        length = _content_length(folded["content-length"])
    return RequestHead(method, target, modern, headers, length, chunked, keep_alive, folded)


def _headers(fields: Fields) -> tuple[Headers, dict[str, str] | None]:
    """Headers, and as in ``RequestHead.folded``."""
    pairs, folded = fields.pairs, fields.folded
    values = f" {' '.join(folded.values())} "
    if len(folded) == len(pairs) and not ("  " in values or "\t" in values):
        return CIMultiDictProxy(CIMultiDict(pairs)), folded
    stripped = [(name, value.strip(" \t")) for name, value in pairs]
    return CIMultiDictProxy(CIMultiDict(stripped)), None


def _host(headers: Headers, *, modern: bool) -> str:
    """The Host header; empty in a request of HTTP/1.0 that has none."""
    hosts = headers.getall("Host", _NONE)
    if len(hosts) > 1 or (modern and not hosts):
        raise MalformedRequestError("not exactly one Host header")
    return hosts[0] if hosts else ""


@lru_cache(maxsize=256)  # the requests of a client have the same
def is_host(text: str) -> bool:
    """Whether a Host header can have this value (RFC 9112, section 3.2): it is put into URLs."""
    return _HOST.fullmatch(text) is not None


def parse_response(head: bytes, fields: Fields) -> ResponseHead:
    """Make the value of a head that HeadReader found. Raises MalformedRequestError."""
    words = head[: head.index(b"\r\n")].split(b" ", 2)
    modern = _VERSIONS.get(words[0])
    if modern is None or len(words) < 2 or not (words[1].isdigit() and len(words[1]) == 3):
        raise MalformedRequestError("a malformed status line")
    headers, _ = _headers(fields)
    length, chunked = _framing(headers)
    keep_alive = _keeps_alive(headers, modern=modern)
    return ResponseHead(int(words[1]), headers, length, chunked, keep_alive)


def _framing(headers: Headers) -> tuple[int | None, bool]:
    """Content-Length, and whether the body is chunked: at most one of them, and once."""
    lengths = headers.getall("Content-Length", _NONE)
    codings = headers.getall("Transfer-Encoding", _NONE)
    if not lengths and not codings:
        return None, False
    if len(lengths) + len(codings) > 1:
        raise MalformedRequestError("Content-Length or Transfer-Encoding is there more than once")
    if codings:
        if codings[0].lower() != "chunked":
            raise MalformedRequestError("a Transfer-Encoding other than chunked")
        return None, True
    return _content_length(lengths[0]), False


def _content_length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS_MAX):
        raise MalformedRequestError("bad Content-Length")
    return int(text)


def _keeps_alive(headers: Headers, *, modern: bool) -> bool:
    """Whether the connection lives on (RFC 9112 section 9.3)."""
    options = ",".join(headers.getall("Connection", _NONE)).lower()
    if not options:
        return modern
    words = {word.strip() for word in options.split(",")}
    return "close" not in words and (modern or "keep-alive" in words)
