"""The value around a record: its round trip, and that damage is noticed."""

from __future__ import annotations

import zlib

import pytest

from dmd.metadata.stored import NO_PROJECTION, CorruptRecordError, Stored, pack, unpack

KEY = b"!bucket!key"
ENTRY = Stored(2**40 + 7, 1, b"\x93\x01\x02\x03", '{"a":"\U0001f600"}'.encode())


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        Stored(1, NO_PROJECTION, b"", b""),
        Stored(2**64 - 1, 255, b"p" * 70_000, b"r" * 1_000_000),
    ],
)
def test_a_value_is_read_back_as_it_was_packed(entry: Stored) -> None:
    assert unpack(KEY, pack(KEY, entry)) == entry


def test_the_layout_is_checksum_revision_schema_length_projection_record() -> None:
    value = pack(KEY, Stored(0x0102030405060708, 9, b"pp", b"record"))
    assert value[4:] == bytes.fromhex("0102030405060708 09 00000002") + b"pp" + b"record"


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 255, 256, 1_500, 100_000])
def test_the_checksum_is_that_of_zlib(size: int) -> None:
    """Whichever library computes it, stores that are there stay readable."""
    record = (bytes(range(251)) * (size // 251 + 1))[:size]
    value = pack(KEY, Stored(7, 1, b"projection", record))
    assert int.from_bytes(value[:4], "big") == zlib.crc32(KEY + value[4:])


def test_every_flipped_bit_is_noticed() -> None:
    value = pack(KEY, ENTRY)
    for index in range(len(value)):
        for bit in range(8):
            damaged = bytearray(value)
            damaged[index] ^= 1 << bit
            with pytest.raises(CorruptRecordError):
                unpack(KEY, bytes(damaged))


def test_every_truncation_is_noticed() -> None:
    value = pack(KEY, ENTRY)
    for length in range(len(value)):
        with pytest.raises(CorruptRecordError):
            unpack(KEY, value[:length])


def test_a_value_that_goes_on_too_long_is_noticed() -> None:
    with pytest.raises(CorruptRecordError):
        unpack(KEY, pack(KEY, ENTRY) + b"\0")


@pytest.mark.parametrize("other", [b"!bucket!keY", b"!bucket!key\0", b"!bucket!ke", b""])
def test_a_value_of_another_key_is_noticed(other: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        unpack(other, pack(KEY, ENTRY))


def test_a_zeroed_value_is_noticed() -> None:
    with pytest.raises(CorruptRecordError):
        unpack(KEY, bytes(100))
