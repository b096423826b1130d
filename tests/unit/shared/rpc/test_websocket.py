"""Websocket frames and handshakes: RFC 6455's own examples, every split, every violation."""

from __future__ import annotations

import os
import random
from types import BuiltinFunctionType

import pytest

from shared.rpc import masking, websocket
from shared.rpc.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameReader,
    WebSocketError,
    frame,
)

MASK = bytes([0x37, 0xFA, 0x21, 0x3D])
SIZES = [0, 1, 3, 4, 5, 125, 126, 127, 65535, 65536, 65537, 200_003]


def reader(*, from_client: bool = False, message_bytes_max: int = 1 << 20) -> FrameReader:
    return FrameReader(from_client=from_client, message_bytes_max=message_bytes_max)


def read_all(made: FrameReader) -> list[tuple[int, bytes]]:
    found = []
    while (message := made.next()) is not None:
        found.append(message)
    return found


def fragment(opcode: int, payload: bytes) -> bytes:
    """A frame that does not end its message."""
    whole = frame(opcode, payload)
    return bytes([whole[0] & 0x7F]) + whole[1:]


# -- The examples of section 5.7 ------------------------------------------------------------------


def test_the_unmasked_example() -> None:
    assert frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")


def test_the_masked_example() -> None:
    assert frame(TEXT, b"Hello", MASK) == bytes.fromhex("818537fa213d7f9f4d5158")


def test_the_fragmented_example() -> None:
    made = reader()
    made.feed(bytes.fromhex("010348656c80026c6f"))
    assert read_all(made) == [(TEXT, b"Hello")]


@pytest.mark.parametrize(("size", "start"), [(256, "827e0100"), (65536, "827f0000000000010000")])
def test_the_long_examples(size: int, start: str) -> None:
    assert frame(BINARY, bytes(size)) == bytes.fromhex(start) + bytes(size)


# -- Frames ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("from_client", [True, False])
def test_a_frame_of_any_size_is_read_back(size: int, from_client: bool) -> None:
    payload = os.urandom(size)
    made = reader(from_client=from_client)
    made.feed(frame(TEXT, payload, os.urandom(4) if from_client else None))
    assert read_all(made) == [(TEXT, payload)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("from_client", [True, False])
def test_a_text_that_arrives_alone_need_not_be_fed(size: int, from_client: bool) -> None:
    payload = os.urandom(size)
    raw = frame(TEXT, payload, websocket.NO_CHANGE if from_client else None)
    made = reader(from_client=from_client)
    assert made.whole_text(raw) in (payload, None)
    assert (made.whole_text(raw) is not None) == (size < 1 << 16)
    for other in (raw[:-1], raw[:1], b"", raw + raw, raw + b"x"):
        assert size == 0 or made.whole_text(other) is None
    assert read_all(made) == []


@pytest.mark.parametrize(
    "raw",
    [
        frame(BINARY, b"abc"),
        frame(PING, b"abc"),
        frame(TEXT, b"abc", MASK),
        b"\x01" + frame(TEXT, b"abc")[1:],
        b"\xc1" + frame(TEXT, b"abc")[1:],
        frame(TEXT, bytes(70_000)),
    ],
)
def test_anything_else_has_to_be_fed(raw: bytes) -> None:
    assert reader(from_client=False).whole_text(raw) is None


def test_a_text_behind_the_beginning_of_another_message_has_to_be_fed() -> None:
    made = reader(from_client=False)
    made.feed(bytes.fromhex("0103") + b"one")
    assert read_all(made) == []
    assert made.whole_text(frame(TEXT, b"abc")) is None
    made = reader(from_client=False)
    made.feed(frame(TEXT, b"abc")[:1])
    assert made.whole_text(frame(TEXT, b"abc")) is None


def test_a_text_that_is_too_large_has_to_be_fed_and_is_refused() -> None:
    made = websocket.FrameReader(from_client=False, message_bytes_max=2)
    assert made.whole_text(frame(TEXT, b"abc")) is None
    assert made.whole_text(frame(TEXT, b"ab")) == b"ab"


@pytest.mark.parametrize("from_client", [True, False])
def test_what_need_not_be_fed_is_what_feeding_gives(from_client: bool) -> None:
    draw = random.Random(20260)
    taken = [0, 0, 0]
    for _ in range(3_000):
        size = draw.choice([0, 1, 2, 120, 125, 126, 127, 128, 200, 65535, 65536])
        mask = draw.choice([None, websocket.NO_CHANGE, websocket.NO_CHANGE, MASK])
        raw = bytearray(frame(draw.choice([TEXT, TEXT, BINARY, PING]), bytes(size), mask))
        for _ in range(draw.randrange(2)):
            raw[draw.randrange(min(len(raw), 10))] ^= 1 << draw.randrange(8)
        raw = raw[: draw.choice([len(raw), len(raw), draw.randrange(len(raw) + 1)])]
        behind = frame(draw.choice([BINARY, BINARY, TEXT]), bytes(draw.choice([0, 130])), mask)
        data = bytes(raw) + draw.choice([b"", behind])
        text = reader(from_client=from_client).whole_text(data)
        packet = reader(from_client=from_client).whole_packet(data)
        if packet is not None:
            assert text is None or packet == (text, None)
            made = reader(from_client=from_client)
            made.feed(data)
            messages = [(TEXT, packet[0])]
            if packet[1] is not None:
                messages.append((BINARY, packet[1]))
            assert read_all(made) == messages
            assert made.held == 0
            taken[len(messages)] += 1
        else:
            assert text is None
    assert taken[1] > 100
    assert taken[2] > 20


@pytest.mark.parametrize("apply_mask", [masking.apply_mask, masking._portable])
def test_a_mask_is_undone_by_itself(apply_mask: masking.Masking) -> None:
    for size in (*range(70), *SIZES):
        data = os.urandom(size)
        hidden = apply_mask(data, MASK)
        assert hidden == bytes(byte ^ MASK[n % 4] for n, byte in enumerate(data))
        assert apply_mask(hidden, MASK) == data


def test_a_mask_of_zeros_leaves_the_payload_as_it_is() -> None:
    made = frame(TEXT, b"payload", websocket.NO_CHANGE)
    assert made == bytes.fromhex("818700000000") + b"payload"
    assert made == frame(TEXT, b"payload")[:1] + b"\x87" + bytes(4) + b"payload"


def test_masks_are_applied_by_compiled_code() -> None:
    assert isinstance(masking.apply_mask, BuiltinFunctionType)


def test_the_same_bytes_split_anywhere_are_the_same_messages() -> None:
    raw = b"".join(
        (
            frame(TEXT, b"one", MASK),
            frame(PING, b"?", MASK),
            frame(TEXT, b"x" * 200, MASK),
            frame(CLOSE, b"", MASK),
        )
    )
    expected = [(TEXT, b"one"), (PING, b"?"), (TEXT, b"x" * 200), (CLOSE, b"")]
    for place in range(len(raw) + 1):
        made = reader(from_client=True)
        made.feed(raw[:place])
        found = read_all(made)
        made.feed(raw[place:])
        assert found + read_all(made) == expected
    made = reader(from_client=True)
    found = []
    for byte in raw:
        made.feed(bytes([byte]))
        found += read_all(made)
    assert found == expected


def test_control_frames_come_between_the_fragments_of_a_message() -> None:
    made = reader()
    made.feed(fragment(TEXT, b"a") + frame(PING, b"1") + fragment(CONTINUATION, b""))
    made.feed(frame(PONG, b"2") + frame(CONTINUATION, b"b") + frame(TEXT, b"next"))
    assert read_all(made) == [(PING, b"1"), (PONG, b"2"), (TEXT, b"ab"), (TEXT, b"next")]


def test_messages_are_kept_until_they_are_asked_for() -> None:
    made = reader()
    for number in range(100):
        made.feed(frame(TEXT, b"%d" % number))
    assert [made.next() for _ in range(50)] == [(TEXT, b"%d" % number) for number in range(50)]
    made.feed(frame(TEXT, b"last"))
    assert read_all(made)[-1] == (TEXT, b"last")


# -- Violations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (bytes([0x81 | 0x40, 0]), PROTOCOL_ERROR),
        (bytes([0x81 | 0x20, 0]), PROTOCOL_ERROR),
        (bytes([0x81 | 0x10, 0]), PROTOCOL_ERROR),
        (bytes([0x83, 0]), PROTOCOL_ERROR),
        (bytes([0x8B, 0]), PROTOCOL_ERROR),
        (frame(TEXT, b"masked", MASK), PROTOCOL_ERROR),
        (frame(PING, bytes(126)), PROTOCOL_ERROR),
        (fragment(PING, b""), PROTOCOL_ERROR),
        (frame(CONTINUATION, b"of nothing"), PROTOCOL_ERROR),
        (fragment(TEXT, b"a") + frame(TEXT, b"b"), PROTOCOL_ERROR),
        (bytes([0x81, 127]) + (1001).to_bytes(8, "big"), TOO_BIG),
        (bytes([0x81, 127]) + (1 << 63).to_bytes(8, "big"), TOO_BIG),
        (fragment(TEXT, bytes(900)) + frame(CONTINUATION, bytes(101)), TOO_BIG),
    ],
)
def test_a_violation_is_an_error_with_its_status(raw: bytes, code: int) -> None:
    made = reader(message_bytes_max=1000)
    made.feed(raw)
    with pytest.raises(WebSocketError) as caught:
        read_all(made)
    assert caught.value.code == code


def test_a_client_that_does_not_mask_breaks_the_protocol() -> None:
    made = reader(from_client=True)
    made.feed(frame(TEXT, b"bare"))
    # The rest of what would be a mask.
    with pytest.raises(WebSocketError):
        made.next()


def test_a_message_of_the_greatest_size_is_read() -> None:
    made = reader(message_bytes_max=1000)
    made.feed(frame(TEXT, bytes(1000)) + fragment(TEXT, bytes(999)) + frame(CONTINUATION, b"x"))
    assert [len(payload) for _, payload in read_all(made)] == [1000, 1000]


def test_random_bytes_raise_nothing_else() -> None:
    chance = random.Random(3)
    for _ in range(5000):
        made = reader(from_client=chance.random() < 0.5, message_bytes_max=5000)
        try:
            for _ in range(5):
                made.feed(chance.randbytes(chance.randrange(60)))
                read_all(made)
        except WebSocketError:
            continue


# -- The handshake --------------------------------------------------------------------------------

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}


def test_the_accepted_key_of_the_rfc() -> None:
    assert websocket.accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"upgrade": "WebSocket"},
        {"connection": "keep-alive, upgrade"},
        {"origin": "http://localhost"},
    ],
)
def test_a_correct_request_has_a_key(change: dict[str, str]) -> None:
    assert websocket.requested_key(HEADERS | change) == KEY


@pytest.mark.parametrize(
    "change",
    [
        {"upgrade": "h2c"},
        {"connection": "keep-alive"},
        {"sec-websocket-version": "8"},
        {"sec-websocket-key": ""},
        {"sec-websocket-key": "short"},
        {"sec-websocket-key": "dGhlIHNhbXBsZQ=="},
        {"sec-websocket-key": "é" * 24},
    ],
)
def test_an_incorrect_request_has_none(change: dict[str, str]) -> None:
    assert websocket.requested_key(HEADERS | change) is None


def test_a_request_and_its_response_belong_together() -> None:
    raw, accepted = websocket.request("localhost:9990", "/socket.io/?EIO=4", os.urandom(16))
    head = websocket.parse_head(raw)
    assert head is not None
    assert head.first_line == "GET /socket.io/?EIO=4 HTTP/1.1"
    assert head.headers["host"] == "localhost:9990"
    key = websocket.requested_key(head.headers)
    assert key is not None
    answer = websocket.parse_head(websocket.response(key))
    assert answer is not None
    assert answer.first_line.startswith("HTTP/1.1 101 ")
    assert answer.headers["sec-websocket-accept"] == accepted


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nspace : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: x\r\nupgrade: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_an_unusual_head_is_not_parsed(raw: bytes) -> None:
    assert websocket.parse_head(raw) is None
