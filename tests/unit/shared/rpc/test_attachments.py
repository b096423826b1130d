"""Bytes beside packets: what python-socketio makes of them, and what is taken for none."""

from __future__ import annotations

import random
from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.rpc import codec, packets
from shared.rpc.attachments import Attachments, Gathering, placeholder, put_in, renumbered
from shared.rpc.packets import Ack, Announced, Event, PacketError

BYTES = st.lists(st.binary(max_size=20), min_size=1, max_size=5)
TEXTS = st.text(max_size=20) | st.just('{"_placeholder":true,"num":0}')


def gathered(packet: bytes, attachments: list[bytes]) -> packets.Packet | None:
    """A packet with what follows it."""
    announced = packets.decode(packet)
    assert isinstance(announced, Announced)
    gathering = Gathering(announced, 1000)
    found: packets.Packet | None = None
    for data in attachments:
        assert found is None
        found = gathering.add(data)
    return found


def event(numbers: list[Any], count: int) -> bytes:
    return packets.encode_event("/a", 1, codec.encode(["e", *numbers]), count)


@given(BYTES, TEXTS)
def test_python_socketio_reads_what_is_sent(attached: list[bytes], text: str) -> None:
    places = [placeholder(number) for number in range(len(attached))]
    raw = event([text, {"of": places}], len(attached))
    read = socketio.packet.Packet(encoded_packet=raw[1:].decode())
    done = [read.add_attachment(data) for data in attached]
    assert done == [False] * (len(attached) - 1) + [True]
    assert (read.namespace, read.id, read.data) == ("/a", 1, ["e", text, {"of": attached}])


@given(BYTES, TEXTS)
def test_what_python_socketio_sends_is_read(attached: list[bytes], text: str) -> None:
    acknowledged = socketio.packet.Packet(3, [None, text, {"of": attached}], "/a", 4, binary=True)
    head, *rest = acknowledged.encode()
    packet = gathered(b"4" + head.encode(), rest)
    assert isinstance(packet, Ack)
    assert packet.attachments == tuple(attached)
    assert put_in(packet.arguments, packet.attachments) == [None, text, {"of": attached}]


def test_nothing_is_kept_beyond_the_limit() -> None:
    announced = Announced(Event("/", None, "e", []), 3)
    gathering = Gathering(announced, 10)
    assert gathering.add(b"12345") is None
    assert gathering.add(b"67890") is None
    assert gathering.size == 10
    with pytest.raises(PacketError):
        gathering.add(b"x")


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1, "x", [], {}, {"num": 0}, {"_placeholder": True}, {"_placeholder": 1, "num": 0}),
        *({"_placeholder": True, "num": 2}, {"_placeholder": True, "num": -1}),
        *({"_placeholder": True, "num": True}, {"_placeholder": True, "num": "0"}),
    ],
    ids=repr,
)
def test_what_is_no_placeholder_stands_for_nothing(value: Any) -> None:
    assert Attachments((b"a", b"b")).received(value) is None
    assert put_in(value, (b"a", b"b")) == value


def test_a_placeholder_stands_for_its_attachment() -> None:
    attachments = Attachments((b"a", b"b"))
    assert [attachments.received(placeholder(number)) for number in (1, 0)] == [b"b", b"a"]


def test_answers_attach_so_much_together() -> None:
    attachments = Attachments((), bytes_max=5)
    assert attachments.attach(b"abc") == placeholder(0)
    assert attachments.attach(b"de") == placeholder(1)
    assert attachments.attach(b"f") is None
    assert attachments.to_send == [b"abc", b"de"]
    assert Attachments().attach(bytes(limits.RPC_ATTACHED_BYTES_MAX)) == placeholder(0)


@given(TEXTS, st.integers(0, 3), st.integers(0, 300))
def test_placeholders_are_renumbered_and_texts_are_not(text: str, count: int, first: int) -> None:
    def value(start: int) -> list[Any]:
        return [text, {"body": [placeholder(start + number) for number in range(count)]}]

    made = renumbered(codec.encode(value(0)), count, first)
    assert codec.loads(made) == value(first)


def test_what_is_nested_too_deeply_stays() -> None:
    value: Any = placeholder(0)
    for _ in range(100):
        value = [value]
    assert put_in(value, (b"a",)) == value


def test_no_message_behind_a_binary_packet_raises_anything_else() -> None:
    chance = random.Random(11)
    for _ in range(5_000):
        count = chance.randint(1, 4)
        places = [placeholder(chance.randrange(-1, 6)) for _ in range(count)]
        gathering = Gathering(Announced(Event("/", 1, "e", list(places)), count), 40)
        found = None
        try:
            while found is None:
                found = gathering.add(chance.randbytes(chance.randrange(30)))
        except PacketError:
            assert gathering.size > 40
            continue
        assert isinstance(found, Event)
        assert len(found.attachments) == count
        put_in(found.arguments, found.attachments)
