"""Packets: the protocol's own examples, what python-socketio makes of them, and rubbish."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc import codec, packets
from shared.rpc.packets import (
    Ack,
    Announced,
    Close,
    Connect,
    ConnectError,
    Disconnect,
    Event,
    Ignored,
    Open,
    Packet,
    PacketError,
    Ping,
    Pong,
)

NAMESPACE = "/MDFile/metadata"

DECODED: list[tuple[bytes, Packet]] = [
    (
        b'0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":9}',
        Open("a", 25000, 20000, 9),
    ),
    (b'0{"sid":"a","pingInterval":1,"pingTimeout":2}', Open("a", 1, 2, 0)),
    (b"1", Close()),
    (b"2", Ping()),
    (b"2probe", Ping()),
    (b"3", Pong()),
    (b"3probe", Pong()),
    (b"5", Ignored()),
    (b"6", Ignored()),
    (b"40", Connect("/")),
    (b'40{"token":"x"}', Connect("/", {"token": "x"})),
    (b"40/admin,", Connect("/admin")),
    (b"40/admin", Connect("/admin")),
    (b'40/admin,{"sid":"x"}', Connect("/admin", {"sid": "x"})),
    (b'40/admin?a=b,{"sid":"x"}', Connect("/admin", {"sid": "x"})),
    (b"40/admin?a=b", Connect("/admin")),
    ("40/é,".encode(), Connect("/é")),
    (b"41", Disconnect("/")),
    (b"41/admin,", Disconnect("/admin")),
    (b'42["foo"]', Event("/", None, "foo", [])),
    (b'420["foo"]', Event("/", 0, "foo", [])),
    (b'42/admin,["foo",1]', Event("/admin", None, "foo", [1])),
    (b'42/admin,12["foo",{"a":[null]}]', Event("/admin", 12, "foo", [{"a": [None]}])),
    (b'42 ["foo"]', Event("/", None, "foo", [])),
    (b'42999999999999999["foo"]', Event("/", 999_999_999_999_999, "foo", [])),
    (rb'42["\ud800",1]', Event("/", None, "\ud800", [1])),
    (b'42["foo",123456789012345678901234567890]', Event("/", None, "foo", [1.2345678901234568e29])),
    (b"430[]", Ack("/", 0, [])),
    (b'43/admin,456["bar",null]', Ack("/admin", 456, ["bar", None])),
    (b'451-["foo",1]', Announced(Event("/", None, "foo", [1]), 1)),
    (b'4523-/admin,12["foo"]', Announced(Event("/admin", 12, "foo", []), 23)),
    (b"462-/admin,456[]", Announced(Ack("/admin", 456, []), 2)),
    (b'44{"message":"no"}', ConnectError("/", {"message": "no"})),
    (b'44/admin,"no"', ConnectError("/admin", "no")),
    (b"44/admin,", ConnectError("/admin")),
]

MALFORMED = [
    b"",
    b"7",
    b"x",
    b"\xff",
    b" 2",
    b"b4",
    b"bAQID",
    b"0",
    b"0{}",
    b"0[]",
    b"0null",
    b'0{"sid":1,"pingInterval":1,"pingTimeout":1}',
    b'0{"sid":"a","pingInterval":0,"pingTimeout":1}',
    b'0{"sid":"a","pingInterval":1,"pingTimeout":-1}',
    b'0{"sid":"a","pingInterval":"1","pingTimeout":1}',
    b"4",
    b"4x",
    b"47",
    b"45",
    b'450-["foo"]',
    b'4501-["foo"]',
    b'451["foo"]',
    b'45-["foo"]',
    b'451000-["foo"]',
    b'451--["foo"]',
    b"451-[1]",
    b"461-/admin,[]",
    b"441-[]",
    b"42",
    b"42/admin",
    b"42/admin,",
    b"4217",
    b"42{}",
    b'42"foo"',
    b"42null",
    b"42[]",
    b"42[1]",
    b"42[null]",
    b'42[["foo"]]',
    b'42["foo"',
    b'42["foo"]]',
    b'42["foo"] x',
    b'42/admin,-1["foo"]',
    b'42/admin,1.5["foo"]',
    b'421234567890123456["foo"]',
    b'42["foo",\x00]',
    b'42["foo\xff"]',
    '42["foo"]'.encode("utf-16"),
    b"42" + b"[" * 100_000,
    b"42" + b"[" * 100_000 + b"]" * 100_000,
    b"43",
    b"43[]",
    b"431",
    b"431{}",
    b"431null",
    b"40[]",
    b'40"a"',
    b"401",
    b"401{}",
    b"40\xff",
    b"40/\xff,",
    b"41{}",
    b"411",
    b"44{",
    b"441[]",
]


@pytest.mark.parametrize(("raw", "packet"), DECODED, ids=lambda value: repr(value)[:40])
def test_packets_are_decoded(raw: bytes, packet: Packet) -> None:
    assert packets.decode(raw) == packet


@pytest.mark.parametrize("raw", MALFORMED, ids=lambda value: repr(value)[:40])
def test_what_is_no_packet_is_an_error(raw: bytes) -> None:
    with pytest.raises(PacketError):
        packets.decode(raw)


def decode_or_refuse(raw: bytes) -> Packet | None:
    """The packet; any other exception than PacketError fails the test."""
    try:
        return packets.decode(raw)
    except PacketError:
        return None


ON = "/MDFile/metadata"


def usual_or_refuse(raw: bytes) -> Ack | None:
    try:
        return packets.usual_ack(raw, packets.usual_acks(ON), ON)
    except PacketError:
        return None


@pytest.mark.parametrize("number", [0, 13, 10**15 - 1])
def test_an_acknowledgement_without_attachments_is_the_usual_one(number: int) -> None:
    raw = packets.encode_ack(ON, number, b'[null,{"a":"["}]')
    assert usual_or_refuse(raw) == packets.decode(raw) == Ack(ON, number, [None, {"a": "["}])


@pytest.mark.parametrize(
    "raw",
    [
        packets.encode_ack("/other", 1, b"[]"),
        packets.encode_ack(ON, 10**15, b"[]"),
        packets.encode_ack(ON, 1, b"{}"),
        packets.encode_ack(ON, 1, b"[]", attachments=1),
        packets.encode_event(ON, 1, b'["a"]'),
        b"43/MDFile/metadata,[]",
        b"43/MDFile/metadata,-1[]",
        b"43/MDFile/metadata,1 []",
        b"43/MDFile/metadata,1",
        b"43/MDFile/metadata?a=b,1[]",
        b"43/MDFile/meta",
    ],
)
def test_any_other_packet_is_none(raw: bytes) -> None:
    assert usual_or_refuse(raw) is None


@given(st.text('01,[]{}"n', max_size=30))
def test_the_usual_acknowledgement_is_as_any_packet_is_decoded(text: str) -> None:
    raw = b"43" + packets.head(ON) + text.encode()
    found = usual_or_refuse(raw)
    assert found is None or found == packets.decode(raw)


def usual_event_or_refuse(raw: bytes) -> Packet | None:
    try:
        return packets.usual_event(raw, packets.usual_events([packets.DEFAULT_NAMESPACE, ON]))
    except PacketError:
        return None


@pytest.mark.parametrize("number", [0, 13, 10**15 - 1])
@pytest.mark.parametrize("attachments", [0, 1])
def test_an_event_with_few_attachments_is_a_usual_one(number: int, attachments: int) -> None:
    raw = packets.encode_event(ON, number, b'["call",{"a":"[,"}]', attachments)
    event = Event(ON, number, "call", [{"a": "[,"}])
    expected = Announced(event, 1) if attachments else event
    assert usual_event_or_refuse(raw) == packets.decode(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        packets.encode_event("/other", 1, b'["a"]'),
        packets.encode_event("/", 1, b'["a"]'),
        packets.encode_event("/", 1, b'["a,b"]'),
        packets.encode_event(ON, None, b'["a"]'),
        packets.encode_event(ON, 10**15, b'["a"]'),
        packets.encode_event(ON, 1, b"{}"),
        packets.encode_event(ON, 1, b'["a"]', attachments=2),
        packets.encode_ack(ON, 1, b"[]"),
        b"42/MDFile/metadata,[]",
        b'42/MDFile/metadata,-1["a"]',
        b'42/MDFile/metadata,1 ["a"]',
        b"42/MDFile/metadata,1",
        b'42/MDFile/metadata?a=b,1["a"]',
        b"42/MDFile/meta",
        b"2",
        b"",
    ],
)
def test_any_other_packet_is_no_usual_event(raw: bytes) -> None:
    assert usual_event_or_refuse(raw) is None


@given(st.sampled_from([b"42", b"451-", b"45", b"451"]), st.text('01,[]{}"n', max_size=30))
def test_the_usual_event_is_as_any_packet_is_decoded(kind: bytes, text: str) -> None:
    raw = kind + packets.head(ON) + text.encode()
    found = usual_event_or_refuse(raw)
    assert found is None or found == packets.decode(raw)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    decode_or_refuse(raw)


@given(st.text("0123456/ab,?-[]{}\"'null\\ud8\u00e9", max_size=60))
def test_no_text_of_its_own_characters_raises_anything_else(text: str) -> None:
    decode_or_refuse(text.encode())


def test_no_packet_with_a_few_wrong_bytes_raises_anything_else() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        raw = bytearray(chance.choice(DECODED)[0])
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(raw) + 1)
            match chance.randrange(3):
                case 0:
                    raw[place : place + 1] = b""
                case 1:
                    raw[place:place] = bytes([chance.randrange(256)])
                case _:
                    raw[place:place] = raw[: chance.randrange(len(raw) + 1)]
        decode_or_refuse(bytes(raw))


# -- Encoding -----------------------------------------------------------------------------------


def text_of(*values: Any) -> bytes:
    return codec.encode(values)


ENCODED: list[tuple[bytes, bytes]] = [
    (packets.encode_connect("/"), b"40"),
    (packets.encode_connect("/a"), b"40/a,"),
    (packets.encode_connect("/a", {"sid": "x"}), b'40/a,{"sid":"x"}'),
    (packets.encode_connect_error("/a", "no"), b'44/a,{"message":"no"}'),
    (packets.encode_disconnect("/a"), b"41/a,"),
    (packets.encode_event("/", None, text_of("e")), b'42["e"]'),
    (packets.encode_event("/a", None, text_of("e", 1)), b'42/a,["e",1]'),
    (packets.encode_event("/a", 17, text_of("e", None)), b'42/a,17["e",null]'),
    (packets.encode_event("/a", 17, text_of("e"), 2), b'452-/a,17["e"]'),
    (packets.encode_ack("/", 0, text_of()), b"430[]"),
    (packets.encode_ack("/a", 3, text_of(None), 1), b"461-/a,3[null]"),
    (packets.encode_ack("/a", 3, text_of(None, "é")), '43/a,3[null,"é"]'.encode()),
]


@pytest.mark.parametrize(("made", "expected"), ENCODED, ids=lambda value: repr(value)[:40])
def test_packets_are_encoded(made: bytes, expected: bytes) -> None:
    assert made == expected


def test_an_open_packet_is_read_back() -> None:
    packet = Open("sid", 25000, 20000, 100_000_000)
    raw = packets.encode_open(packet)
    assert packets.decode(raw) == packet
    assert json.loads(raw[1:])["upgrades"] == []


NAMESPACES = st.sampled_from(["/", "/a", NAMESPACE, "/é"])
IDS = st.none() | st.integers(0, 10**15 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(NAMESPACES, IDS, st.text(max_size=10), st.lists(VALUES, max_size=3))
def test_events_are_read_back(
    namespace: str, ack_id: int | None, name: str, arguments: list[Any]
) -> None:
    raw = packets.encode_event(namespace, ack_id, codec.encode([name, *arguments]))
    assert packets.decode(raw) == Event(namespace, ack_id, name, arguments)


@given(NAMESPACES, IDS, st.text(max_size=10), st.lists(VALUES, max_size=3))
def test_python_socketio_reads_what_is_encoded(
    namespace: str, ack_id: int | None, name: str, arguments: list[Any]
) -> None:
    raw = packets.encode_event(namespace, ack_id, codec.encode([name, *arguments]))
    read = socketio.packet.Packet(encoded_packet=raw[1:].decode())
    assert (read.packet_type, read.namespace or "/", read.id) == (2, namespace, ack_id)
    assert read.data == [name, *arguments]


@given(NAMESPACES, IDS, st.lists(VALUES, min_size=1, max_size=3))
def test_what_python_socketio_encodes_is_read(
    namespace: str, ack_id: int | None, arguments: list[Any]
) -> None:
    event = socketio.packet.Packet(2, ["name", *arguments], namespace, ack_id)
    assert packets.decode(b"4" + event.encode().encode()) == Event(
        namespace, ack_id, "name", arguments
    )
    ack = socketio.packet.Packet(3, arguments, namespace, ack_id or 0)
    assert packets.decode(b"4" + ack.encode().encode()) == Ack(namespace, ack_id or 0, arguments)


def test_nothing_is_kept_of_namespaces_that_were_asked_for_in_vain() -> None:
    """Anybody may ask, and a name is as long as a message may be."""
    tracemalloc.start()
    try:
        for number in range(4):
            namespace = f"/{number}" + "x" * 1_000_000
            assert len(packets.encode_connect_error(namespace, "no")) > 1_000_000
        del namespace
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
