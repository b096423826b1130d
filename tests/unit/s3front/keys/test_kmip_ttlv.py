"""The encoding of KMIP's messages, by the specification's own examples and by random ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3front.keys.kmip_ttlv import (
    DEPTH_MAX,
    Item,
    MalformedError,
    Type,
    decode,
    encode,
    enumeration,
    integer,
    message_length,
    structure,
)

TAG = 0x420020


@pytest.mark.parametrize(
    ("item", "octets"),
    [
        (Item(TAG, Type.INTEGER, 8), "42002002 00000004 0000000800000000"),
        (Item(TAG, Type.LONG_INTEGER, 123456789000000000), "42002003 00000008 01B69B4BA5749200"),
        (Item(TAG, Type.BIG_INTEGER, 1234567890000000000000000000),
         "42002004 00000010 0000000003FD35EB6BC2DF4618080000"),
        (Item(TAG, Type.ENUMERATION, 255), "42002005 00000004 000000FF00000000"),
        (Item(TAG, Type.BOOLEAN, 1), "42002006 00000008 0000000000000001"),
        (Item(TAG, Type.TEXT_STRING, "Hello World"),
         "42002007 0000000B 48656C6C6F20576F726C640000000000"),
        (Item(TAG, Type.BYTE_STRING, b"\x01\x02\x03"), "42002008 00000003 0102030000000000"),
        (Item(TAG, Type.DATE_TIME, 0x47DA67F8), "42002009 00000008 0000000047DA67F8"),
        (Item(TAG, Type.INTERVAL, 864000), "4200200A 00000004 000D2F0000000000"),
        (structure(TAG, [enumeration(0x420004, 254), integer(0x420005, 255)]),
         "42002001 00000020 42000405 00000004 000000FE00000000"
         "42000502 00000004 000000FF00000000"),
    ],
)  # fmt: skip
def test_the_examples_of_the_specification(item: Item, octets: str) -> None:
    """KMIP 1.4, section 9.1.2."""
    assert encode(item) == bytes.fromhex(octets)
    assert decode(bytes.fromhex(octets)) == item


_NUMBERS = {
    Type.INTEGER: (-(2**31), 2**31 - 1),
    Type.LONG_INTEGER: (-(2**63), 2**63 - 1),
    Type.BIG_INTEGER: (-(2**200), 2**200),
    Type.ENUMERATION: (0, 2**32 - 1),
    Type.BOOLEAN: (0, 1),
    Type.DATE_TIME: (0, 2**40),
    Type.INTERVAL: (0, 2**32 - 1),
}
_TAGS = st.integers(0x420001, 0x42FFFF)
_LEAVES = st.one_of(
    *(
        st.builds(Item, _TAGS, st.just(kind), st.integers(*bounds))
        for kind, bounds in _NUMBERS.items()
    ),
    st.builds(Item, _TAGS, st.just(Type.TEXT_STRING), st.text(st.characters(codec="utf-8"))),
    st.builds(Item, _TAGS, st.just(Type.BYTE_STRING), st.binary()),
)
_ITEMS = st.recursive(
    _LEAVES,
    lambda inside: st.builds(structure, _TAGS, st.lists(inside, max_size=4)),
    max_leaves=12,
)


@given(_ITEMS)
def test_what_is_encoded_is_decoded_again(item: Item) -> None:
    assert decode(encode(item)) == item


@given(_ITEMS, st.data())
def test_what_is_cut_off_is_refused(item: Item, data: st.DataObject) -> None:
    encoded = encode(item)
    with pytest.raises(MalformedError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_item_or_refused(data: bytes) -> None:
    try:
        item = decode(data)
    except MalformedError:
        return
    assert decode(encode(item)) == item


@given(_ITEMS, st.data())
def test_a_changed_byte_is_an_item_or_refused(item: Item, data: st.DataObject) -> None:
    changed = bytearray(encode(item))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(MalformedError):
        decode(bytes(changed))


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "4200200200000004",
        "42002002 00000005 0000000800000000",
        "4200200B 00000004 0000000800000000",
        "42002063 00000004 0000000800000000",
        "42002004 00000000",
        "42002007 00000001 FF00000000000000",
        "42002002 00000004 0000000800000000 00",
        "42002001 00000008 42000405 00000004 000000FE00000000",
        "42002001 FFFFFFFF 42000405",
        "42002001 00000010 42000408 00000020 0102030405060708",
    ],
)
def test_what_is_no_item_is_refused(octets: str) -> None:
    with pytest.raises(MalformedError):
        decode(bytes.fromhex(octets))


def test_it_goes_only_so_deep() -> None:
    item = integer(TAG, 1)
    for _ in range(DEPTH_MAX):
        item = structure(TAG, [item])
    assert decode(encode(item)) == item

    with pytest.raises(MalformedError):
        decode(encode(structure(TAG, [item])))


def test_the_length_of_a_message() -> None:
    message = encode(structure(TAG, [integer(TAG, 1)]))

    assert message_length(message[:8], TAG) == len(message) - 8
    for wrong in (b"HTTP/1.1", encode(integer(TAG, 1))[:8], encode(structure(1, []))):
        with pytest.raises(MalformedError):
            message_length(wrong, TAG)


def test_what_is_not_there_is_none() -> None:
    item = structure(TAG, [integer(0x420005, 255)])

    assert item.number(0x420005) == 255
    assert item.number(0x420006) is None
    assert item.text(0x420005) is None
    assert item.octets(0x420005, 0x420006) is None
