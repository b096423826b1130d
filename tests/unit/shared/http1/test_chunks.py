"""The chunked coding: every split, every violation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http1.chunks import LAST_CHUNK, ChunkDecoder, chunk
from shared.http1.head import MalformedRequestError
from shared.limits import CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX

CODED = b"4\r\nWiki\r\n5;a=b\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n"
PLAIN = b"Wikipedia in\r\n\r\nchunks."


def decode(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """The body, what follows it, and whether it is complete."""
    decoder = ChunkDecoder()
    body = rest = b""
    for piece in pieces:
        if decoder.complete:
            rest += piece
        else:
            found, rest = decoder.feed(piece)
            body += b"".join(found)
    return body, rest, decoder.complete


@pytest.mark.parametrize("cut", range(len(CODED) + 5))
def test_a_body_cut_in_two(cut: int) -> None:
    sent = CODED + b"GET /"
    assert decode(sent[:cut], sent[cut:]) == (PLAIN, b"GET /", True)


def test_a_body_of_single_bytes() -> None:
    assert decode(*(CODED[n : n + 1] for n in range(len(CODED)))) == (PLAIN, b"", True)


def test_a_body_that_breaks_off_is_not_complete() -> None:
    assert not any(decode(CODED[:cut])[2] for cut in range(len(CODED)))


@given(st.lists(st.binary(min_size=1)), st.lists(st.integers(0, 2000)))
def test_what_is_encoded_is_decoded(blocks: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(map(chunk, blocks)) + LAST_CHUNK
    edges = sorted({0, len(sent), *(cut % (len(sent) + 1) for cut in cuts)})
    pieces = [sent[start:end] for start, end in pairwise(edges)]
    assert decode(*pieces) == (b"".join(blocks), b"", True)


@pytest.mark.parametrize(
    "sent",
    [
        b"zz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"1\na\r\n",
        b"1\r\na\n",
        b"1\r\nab\r\n",
        b"1;\x00\r\na\r\n",
        b"1;\r\r\na\r\n",
        b"fffffffffffffffff\r\n",
        b"1" * (CHUNK_HEADER_BYTES_MAX + 1),
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n: no name\r\n\r\n",
        b"0\r\na: b\n\r\n",
        b"0\r\n" + b"a: b\r\n" * TRAILER_BYTES_MAX,
    ],
    ids=lambda sent: ascii(sent[:24]),
)
def test_what_is_not_chunked_is_refused(sent: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        decode(sent)
    with pytest.raises(MalformedRequestError):
        decode(*(sent[n : n + 1] for n in range(len(sent))))
