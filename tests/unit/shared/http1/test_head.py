"""Heads of requests and responses: every split, every violation, every limit."""

from __future__ import annotations

import itertools

import pytest
from httptools import HttpRequestParser, HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from shared.http1.head import (
    HeadReader,
    MalformedRequestError,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from shared.http1.head import _names as names_kept
from shared.limits import HEADER_BYTES_MAX, HEADER_SECTION_BYTES_MAX, HEADERS_MAX

PUT = (
    b"PUT /bucket//a%2Fb/../c?x=y%20z HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n"
    b"x-amz-meta-a:  one \r\nX-Amz-Meta-A:two\r\nExpect: 100-Continue\r\n\r\n"
)


def requests_in(*pieces: bytes) -> list[RequestHead]:
    """The requests that come out when the pieces are received one by one."""
    reader = HeadReader(HttpRequestParser)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (head := reader.next_head()) is not None:
            found.append(parse_request(*head))
    return found


def request(*lines: bytes) -> RequestHead:
    """The request with these header lines besides Host."""
    (head,) = requests_in(b"\r\n".join([b"PUT / HTTP/1.1", b"Host: h", *lines, b"", b""]))
    return head


def response(head: bytes) -> ResponseHead:
    reader = HeadReader(HttpResponseParser)
    reader.feed(head)
    found = reader.next_head()
    assert found is not None
    return parse_response(*found)


@pytest.mark.parametrize(
    "host",
    ["", "h", "H-1.example:8000", "[::1]:80", "a_b", "10.0.0.1", "b%41", "*.x", "[fe80::1%25e]"],
)
def test_a_host(host: str) -> None:
    (head,) = requests_in(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert head.headers["Host"] == host


@pytest.mark.parametrize(
    "host", [b"\xff", "ü".encode(), b"a b", b"a\tb", b"a/b", b"a?b", b"u@h", b"<a>", b'"', b"a\x85"]
)
def test_a_host_that_is_none(host: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        requests_in(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    with pytest.raises(MalformedRequestError):
        requests_in(b"GET / HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")


def test_a_request() -> None:
    (head,) = requests_in(PUT)
    assert (head.method, head.target, head.modern) == ("PUT", "/bucket//a%2Fb/../c?x=y%20z", True)
    assert head.headers.getall("x-amz-meta-a") == ["one", "two"]
    names = [name for name, _ in head.headers.items()]
    assert names == ["Host", "Content-Length", "x-amz-meta-a", "X-Amz-Meta-A", "Expect"]
    assert (head.length, head.chunked, head.keep_alive) == (10, False, True)
    assert head.expects_continue


@pytest.mark.parametrize("cut", range(1, len(PUT)))
def test_a_request_cut_in_two(cut: int) -> None:
    assert requests_in(PUT[:cut], PUT[cut:]) == requests_in(PUT)


def test_a_request_of_single_bytes() -> None:
    assert requests_in(*(PUT[n : n + 1] for n in range(len(PUT)))) == requests_in(PUT)


def test_requests_without_bodies_behind_each_other() -> None:
    get = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
    heads = requests_in(b"".join(get % number for number in range(5)))
    assert [head.target for head in heads] == ["/0", "/1", "/2", "/3", "/4"]


def test_what_follows_a_head_is_taken_as_its_body() -> None:
    reader = HeadReader(HttpRequestParser)
    reader.feed(PUT + b"0123456789GET")
    assert reader.next_head() is not None
    assert reader.take() == b"0123456789GET"
    assert reader.received == b""


def test_empty_lines_before_a_request_are_ignored() -> None:
    (head,) = requests_in(b"\r\n", b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert head.method == "GET"


def test_bytes_of_no_encoding_survive_in_a_value() -> None:
    head = request(b"x-amz-meta-a: \xff\xc3\xbc")
    assert head.headers["x-amz-meta-a"].encode("utf-8", "surrogateescape") == b"\xff\xc3\xbc"


@pytest.mark.parametrize("lines", [b"Connection: Upgrade\r\nUpgrade: websocket", b"X: y"])
def test_no_other_protocol_is_taken_up(lines: bytes) -> None:
    assert request(lines, b"Content-Length: 3").length == 3


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: TE, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_whether_the_connection_lives_on(version: bytes, connection: bytes, kept: bool) -> None:
    (head,) = requests_in(b"GET / HTTP/%b\r\nHost: h\r\n%b\r\n" % (version, connection))
    assert head.keep_alive is kept


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n",
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n",
        b"GET / HTTP/0.9\r\nHost: h\r\n\r\n",
        b"GET /\r\n\r\n",
        b"SOURCE / ICE/1.0\r\nHost: h\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\na: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\na : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\na: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\na: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\xff: b\r\n\r\n",
        b"GET /\xc3\xbc HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=ascii,
)
def test_what_is_no_request_is_refused(sent: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        requests_in(sent)
    with pytest.raises(MalformedRequestError):
        requests_in(*(sent[n : n + 1] for n in range(len(sent))))


def test_a_head_of_the_largest_size() -> None:
    lines = [b"a%d: %b" % (n, b"b" * 8000) for n in range(4)]
    head = request(*lines, b"c: " + b"d" * (HEADER_SECTION_BYTES_MAX - 32_100))
    assert len(head.headers["a3"]) == 8000


@pytest.mark.parametrize(
    "lines",
    [
        [b"a%d: %b" % (n, b"b" * 8000) for n in range(5)],
        [b"a: " + b"b" * HEADER_BYTES_MAX],
        [b"a%d: b" % n for n in range(HEADERS_MAX)],
    ],
    ids=["section", "line", "lines"],
)
def test_a_head_beyond_a_limit(lines: list[bytes]) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        request(*lines)
    assert caught.value.too_large


def test_a_head_without_end_is_refused_at_the_limit() -> None:
    line = b"a: b\r\n"
    endless = itertools.repeat(line, HEADER_SECTION_BYTES_MAX // len(line) + 1)
    with pytest.raises(MalformedRequestError) as caught:
        requests_in(b"GET / HTTP/1.1\r\n", *endless)
    assert caught.value.too_large


def test_a_response() -> None:
    head = response(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nA: b\r\n\r\nabc")
    assert (head.status, head.length, head.keep_alive, head.headers["a"]) == (206, 3, True, "b")


def test_a_response_without_a_reason() -> None:
    assert response(b"HTTP/1.1 204\r\n\r\n").status == 204


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
    ],
)
def test_what_is_no_response_is_refused(sent: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        response(sent)


_NAMES = st.sampled_from(["Connection", "connection", "X-A", "x-a", "Range", "x-amz-date", "Host"])
_VALUES = st.text("a\t \xfc:,", max_size=5)
_LINES = st.lists(
    st.tuples(_NAMES, st.sampled_from([":", ": ", ":  ", ":\t"]), _VALUES), max_size=5
)


@given(_LINES)
def test_headers_are_as_they_were_sent(lines: list[tuple[str, str, str]]) -> None:
    """Folded ones too, which are there exactly when there is nothing to fold."""
    sent = [line for line in lines if line[0] != "Host"]
    head = request(*("".join(line).encode() for line in sent))
    named = [(name, value.strip(" \t")) for name, _, value in sent]
    assert list(head.headers.items()) == [("Host", "h"), *named]
    if head.folded is not None:
        assert head.folded == {name.lower(): value for name, value in head.headers.items()}
    values = [value.lstrip(" \t") for *_, value in sent]
    unrepeated = len({name.lower() for name, _ in named}) == len(named)
    plain = unrepeated and all(value.split(" ") == value.split() for value in values)
    assert plain == (head.folded is not None)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@given(st.lists(st.sampled_from(["close", "Keep-Alive", "x", ""]), max_size=3), st.booleans())
def test_a_connection_lives_on_as_it_was_asked_for(
    method: str, options: list[str], modern: bool
) -> None:
    version = "HTTP/1.1" if modern else "HTTP/1.0"
    lines = "".join(f"Connection: {option}\r\n" for option in options)
    (head,) = requests_in(f"{method} / {version}\r\nHost: h\r\n{lines}\r\n".encode())
    said = {option.lower() for option in options}
    assert head.keep_alive == ("close" not in said and (modern or "keep-alive" in said))


def test_names_are_spelled_as_they_were_sent_however_many_there_were() -> None:
    for number in range(3000):
        for name in (f"X-Name-{number}", f"x-name-{number}", f"X-Long-{number}-{'A' * 64}"):
            head = request(f"{name}: {number}".encode())
            assert list(head.headers.items()) == [("Host", "h"), (name, str(number))]
            assert head.folded == {"host": "h", name.lower(): str(number)}
    assert len(names_kept) <= 1024


_FRAMINGS = st.sampled_from(
    [
        b"Content-Length: 0",
        b"Content-Length: 10",
        b"content-length: 9999999999999999999",
        b"Content-Length: +1",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-Continue",
        b"Expect: no",
        b"Connection: close",
    ]
)


@given(st.lists(_FRAMINGS, unique=True))
def test_a_head_that_needs_no_folding_means_what_it_means_else(lines: list[bytes]) -> None:
    def meaning(*more: bytes) -> object:
        try:
            head = request(*lines, *more)
        except MalformedRequestError as error:
            return str(error)
        return head.length, head.chunked, head.keep_alive, head.expects_continue

    assert meaning() == meaning(b"x: a", b"x: b")
