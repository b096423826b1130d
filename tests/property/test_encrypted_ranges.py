"""Ranges of encrypted blobs against slices of what they are of, however the bytes come."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from s3front.encryption.original import CounterTransform
from s3front.encryption.segments import SEGMENT_BYTES, SegmentedTransform
from s3front.encryption.transform import Coder, Transform

KEY = bytes(range(32))
CONTENT = bytes(index * 31 % 251 for index in range(4 * SEGMENT_BYTES))
NEAR = st.integers(-2, 2)
SIZES = st.one_of(
    st.integers(1, 100),
    st.builds(lambda count, near: count * SEGMENT_BYTES + near, st.integers(1, 3), NEAR),
    st.integers(1, len(CONTENT)),
)


def passed(coder: Coder[bytes] | Coder[bytes | bytearray], data: bytes, cuts: list[int]) -> bytes:
    """What the coder makes of bytes that come in these pieces."""
    made, at = b"", 0
    for length in cuts:
        made += coder.update(data[at : at + length])
        at += length
    return made + coder.update(data[at:]) + coder.finish()


@cache
def stored(size: int) -> bytes:
    return SegmentedTransform(KEY, {}).encoded(CONTENT[:size])


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(SIZES)
    start = draw(st.integers(0, size - 1))
    return size, start, draw(st.integers(start, size - 1))


CUTS = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2 * SEGMENT_BYTES)), max_size=6)


@given(ranges(), CUTS)
def test_a_range_is_a_slice(wanted: tuple[int, int, int], cuts: list[int]) -> None:
    size, start, end = wanted
    transform: Transform = SegmentedTransform(KEY, {})
    begins, ends = transform.stored_range(start, end, size)
    given_bytes = stored(size)[begins : ends + 1]
    assert ends < transform.stored_size(size) == len(stored(size))
    read = passed(transform.decoder(start, end, size), given_bytes, cuts)
    assert read == CONTENT[start : end + 1]


@given(SIZES, CUTS)
def test_however_the_plain_bytes_come(size: int, cuts: list[int]) -> None:
    encoder = SegmentedTransform(KEY, {}).encoder()
    assert passed(encoder, CONTENT[:size], cuts) == stored(size)


@given(ranges(), CUTS)
def test_a_range_of_the_original_is_a_slice(wanted: tuple[int, int, int], cuts: list[int]) -> None:
    size, start, end = wanted
    transform = CounterTransform(KEY)
    ciphertext = transform.decoder(0, size - 1, size).update(CONTENT[:size])
    read = passed(transform.decoder(start, end, size), ciphertext[start : end + 1], cuts)
    assert read == CONTENT[start : end + 1]
