"""What is stored of an encrypted blob, and all that may happen to it."""

from __future__ import annotations

import itertools
import random

import pytest

from s3front.encryption.segments import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    SegmentedTransform,
    new_blob_key,
    stored_size,
)
from s3front.s3_errors import S3Error

STORED_BYTES = SEGMENT_BYTES + TAG_BYTES
SIZES = (
    1,
    15,
    SEGMENT_BYTES - 1,
    SEGMENT_BYTES,
    SEGMENT_BYTES + 1,
    3 * SEGMENT_BYTES,
    3 * SEGMENT_BYTES + 7,
)
CONTENT = random.Random(1).randbytes(5 * SEGMENT_BYTES + 1000)


@pytest.fixture
def transform() -> SegmentedTransform:
    return SegmentedTransform(new_blob_key(), {})


def encoded(transform: SegmentedTransform, data: bytes, step: int = 1 << 30) -> bytes:
    encoder = transform.encoder()
    made = [encoder.update(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(made) + encoder.finish()


def decoded(
    transform: SegmentedTransform, stored: bytes, size: int, start: int = 0, end: int | None = None
) -> bytes:
    """The plain bytes of a range, given only what is stored of it."""
    last = size - 1 if end is None else end
    begins, ends = transform.stored_range(start, last, size)
    decoder = transform.decoder(start, last, size)
    return bytes(decoder.update(stored[begins : ends + 1]) + decoder.finish())


def segments(stored: bytes) -> list[bytes]:
    return [stored[at : at + STORED_BYTES] for at in range(HEADER_BYTES, len(stored), STORED_BYTES)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1000, SEGMENT_BYTES, 1 << 30])
def test_what_is_encrypted_is_decrypted(
    transform: SegmentedTransform, size: int, step: int
) -> None:
    data = CONTENT[:size]
    stored = encoded(transform, data, step)
    assert len(stored) == stored_size(size) == transform.stored_size(size)
    assert stored == transform.encoded(data)
    assert decoded(transform, stored, size) == data
    assert data[:15] not in stored or size < 15


def test_no_two_blobs_have_anything_in_common() -> None:
    one, other = (encoded(SegmentedTransform(new_blob_key(), {}), CONTENT) for _ in range(2))
    assert one[:16] == other[:16]  # the form
    assert one[16:HEADER_BYTES] != other[16:HEADER_BYTES]
    assert not set(segments(one)) & set(segments(other))


@pytest.mark.parametrize("size", [1, 100])
def test_each_byte_that_is_altered_is_refused(transform: SegmentedTransform, size: int) -> None:
    stored = encoded(transform, CONTENT[:size])
    for at, bit in itertools.product(range(len(stored)), (1, 128)):
        damaged = bytearray(stored)
        damaged[at] ^= bit
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, bytes(damaged), size)


def test_altered_bytes_of_a_large_one_are_refused(transform: SegmentedTransform) -> None:
    """By each read that touches their segment, and by no other."""
    size, chance = len(CONTENT), random.Random(2)
    stored = encoded(transform, CONTENT)
    for at in chance.sample(range(HEADER_BYTES, len(stored)), 60):
        damaged = bytearray(stored)
        damaged[at] ^= 1 << chance.randrange(8)
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, bytes(damaged), size)
        hit = (at - HEADER_BYTES) // STORED_BYTES
        for index in range(len(segments(stored))):
            start = index * SEGMENT_BYTES
            end = min(start + SEGMENT_BYTES, size) - 1
            if index == hit:
                with pytest.raises(S3Error, match="InternalError"):
                    decoded(transform, bytes(damaged), size, start, start)
            else:
                read = decoded(transform, bytes(damaged), size, start, end)
                assert read == CONTENT[start : end + 1]


def test_segments_that_changed_places_are_refused(transform: SegmentedTransform) -> None:
    size = 6 * SEGMENT_BYTES
    data = random.Random(3).randbytes(size)
    stored = encoded(transform, data)
    each = segments(stored)
    for one, other in itertools.combinations(range(len(each)), 2):
        swapped = list(each)
        swapped[one], swapped[other] = each[other], each[one]
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, stored[:HEADER_BYTES] + b"".join(swapped), size)
        repeated = list(each)
        repeated[other] = each[one]
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, stored[:HEADER_BYTES] + b"".join(repeated), size)


@pytest.mark.parametrize("size", [SEGMENT_BYTES, len(CONTENT)])
def test_what_was_cut_off_is_refused(transform: SegmentedTransform, size: int) -> None:
    """At each boundary and beside it, whatever size the record says."""
    stored = encoded(transform, CONTENT[:size])
    boundaries = range(HEADER_BYTES, len(stored) + 1, STORED_BYTES)
    cuts = {at + near for at in (0, *boundaries) for near in (-1, 0, 1)} - {-1, len(stored)}
    for cut in sorted(cuts):
        if cut > len(stored):
            continue
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, stored[:cut], size)
    for count in range(1, len(boundaries) - 1):
        # A whole number of segments, and a record that says just as many.
        shorter = count * SEGMENT_BYTES
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, stored[: HEADER_BYTES + count * STORED_BYTES], shorter)


@pytest.mark.parametrize("more", [b"\0", bytes(STORED_BYTES)])
def test_what_was_added_to_is_refused(transform: SegmentedTransform, more: bytes) -> None:
    stored = encoded(transform, CONTENT)
    decoder = transform.decoder(0, len(CONTENT) - 1, len(CONTENT))
    with pytest.raises(S3Error, match="InternalError"):
        decoder.update(stored + more)


def test_a_segment_of_another_blob_is_refused(transform: SegmentedTransform) -> None:
    stored, size = encoded(transform, CONTENT), len(CONTENT)
    other = encoded(SegmentedTransform(new_blob_key(), {}), CONTENT)
    for index in range(len(segments(stored))):
        mixed = segments(stored)
        mixed[index] = segments(other)[index]
        with pytest.raises(S3Error, match="InternalError"):
            decoded(transform, stored[:HEADER_BYTES] + b"".join(mixed), size)
    with pytest.raises(S3Error, match="InternalError"):
        decoded(transform, other, size)


def test_nothing_of_a_refused_segment_is_given_out(transform: SegmentedTransform) -> None:
    """A reader that gets the bytes bit by bit has no plain byte of it before it is refused."""
    damaged = bytearray(encoded(transform, CONTENT))
    damaged[HEADER_BYTES + STORED_BYTES + 5] ^= 1
    decoder = transform.decoder(0, len(CONTENT) - 1, len(CONTENT))
    given = []

    def read() -> None:
        for at in range(0, len(damaged), 1000):
            given.append(decoder.update(bytes(damaged[at : at + 1000])))

    with pytest.raises(S3Error, match="InternalError"):
        read()
    assert b"".join(given) == CONTENT[:SEGMENT_BYTES]


def test_a_range_costs_the_segments_that_it_touches(transform: SegmentedTransform) -> None:
    size = len(CONTENT)
    begins, ends = transform.stored_range(SEGMENT_BYTES + 5, SEGMENT_BYTES + 6, size)
    assert (begins, ends + 1 - begins) == (HEADER_BYTES + STORED_BYTES, STORED_BYTES)
    begins, ends = transform.stored_range(size - 1, size - 1, size)
    assert ends + 1 == stored_size(size)
    assert ends + 1 - begins == size % SEGMENT_BYTES + TAG_BYTES
