"""Records and keys of packed blobs."""

from __future__ import annotations

import zlib

import pytest

from dmd.data.blob_keys import created_at_ms
from shared.blob_files import is_blob_key
from shared.segment_records import (
    HEADER_BYTES,
    STATE_OFFSET,
    Place,
    State,
    key_of,
    live_checksum,
    pack_header,
    parse_header,
    place_of,
    record_bytes,
)

PLACE = Place(7, 128)
KEY = key_of(1_700_000_000_000, PLACE)
HEADER = pack_header(KEY, 5, zlib.crc32(b"bytes"), 64)


def with_state(code: bytes) -> bytes:
    """The header with another state."""
    return HEADER[:STATE_OFFSET] + code + HEADER[STATE_OFFSET + 4 :]


def with_byte(position: int, value: int) -> bytes:
    """The header with one byte replaced."""
    return HEADER[:position] + bytes((value,)) + HEADER[position + 1 :]


def test_a_key_is_a_blob_key_that_tells_its_time_and_place() -> None:
    assert is_blob_key(KEY)
    assert (created_at_ms(KEY), place_of(KEY)) == (1_700_000_000_000, PLACE)


def test_two_keys_of_one_place_differ() -> None:
    assert key_of(0, PLACE) != key_of(0, PLACE)


@pytest.mark.parametrize(
    ("length", "size"), [(0, 64), (20, 64), (21, 128), (1024, 1088), (65536, 65600)]
)
def test_a_record_is_padded(length: int, size: int) -> None:
    assert record_bytes(length) == size


def test_a_header_comes_back() -> None:
    record = parse_header(HEADER, 0, PLACE)
    assert record is not None
    assert (record.key, record.length, record.checksum) == (KEY, 5, zlib.crc32(b"bytes"))
    assert (record.state, record.previous, record.end) == (State.LIVE, 64, 192)


@pytest.mark.parametrize("state", State)
def test_a_state_can_be_changed_in_place(state: State) -> None:
    record = parse_header(with_state(state.value), 0, PLACE)
    assert record is not None
    assert record.state is state


@pytest.mark.parametrize("code", [bytes(4), b"\xff" * 4, b"L\0\0\0", b"dead"])
def test_an_unknown_state_is_live(code: bytes) -> None:
    record = parse_header(with_state(code), 0, PLACE)
    assert record is not None
    assert record.state is State.LIVE


@pytest.mark.parametrize("state", [State.LIVE, State.QUARANTINED])
def test_no_damage_of_three_bits_or_of_one_byte_deletes_a_blob(state: State) -> None:
    flips = [1 << bit for bit in range(32)]
    masks = {a | b | c for a in flips for b in flips for c in flips}
    masks |= {byte << 8 * place for byte in range(256) for place in range(4)}
    code = int.from_bytes(state.value, "little")
    for mask in masks:
        record = parse_header(with_state((code ^ mask).to_bytes(4, "little")), 0, PLACE)
        assert record is not None
        assert record.state in (State.LIVE, state), hex(mask)


@pytest.mark.parametrize("position", [at for at in range(HEADER_BYTES) if not 4 <= at < 8])
def test_any_other_damage_is_seen(position: int) -> None:
    assert parse_header(with_byte(position, HEADER[position] ^ 1), 0, PLACE) is None


@pytest.mark.parametrize("place", [Place(8, 128), Place(7, 192), Place(0, 0)])
def test_a_header_is_none_at_another_place(place: Place) -> None:
    assert parse_header(HEADER, 0, place) is None


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_a_part_of_a_header_is_none(length: int) -> None:
    assert parse_header(HEADER[:length], 0, PLACE) is None


@pytest.mark.parametrize("state", State)
def test_the_checksum_of_a_live_blob_alone_is_told(state: State) -> None:
    expected = zlib.crc32(b"bytes") if state is State.LIVE else None
    assert live_checksum(with_state(state.value), KEY, 5) == expected


@pytest.mark.parametrize("position", range(HEADER_BYTES))
def test_no_checksum_is_told_by_a_damaged_header(position: int) -> None:
    for bit in range(8):
        damaged = with_byte(position, HEADER[position] ^ 1 << bit)
        assert live_checksum(damaged, KEY, 5) is None


def test_no_checksum_is_told_of_another_blob() -> None:
    other = key_of(1_700_000_000_000, PLACE)
    assert live_checksum(HEADER, other, 5) is None
    assert live_checksum(HEADER, KEY, 6) is None
