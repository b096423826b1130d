"""Bodies on their way to Azure in blocks."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator

import pytest

from s3front.locations.azure_blocks import (
    BLOCK_BYTES,
    BLOCKS_OF_A_BODY_MAX,
    BLOCKS_OF_A_PART_MAX,
    BlockBody,
    Blocks,
    Source,
    block_sizes,
    crc64,
    crc64_bytes,
    new_blocks,
)
from s3front.s3_errors import S3Error

GIB = 1024**3


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, GIB, 5 * GIB, 5 * GIB - 1])
def test_an_upload_of_the_most_parts_has_no_more_blocks_than_azure_takes(size: int) -> None:
    for blocks_max in (BLOCKS_OF_A_PART_MAX, BLOCKS_OF_A_BODY_MAX):
        sizes = block_sizes(size, blocks_max)
        assert sum(sizes) == size
        assert all(sizes)
        assert len(sizes) <= blocks_max
        assert max(sizes, default=0) <= 4000 * 1024**2


def test_ids_are_of_one_length_and_nobody_elses() -> None:
    blocks = [new_blocks([1] * number) for number in (0, 1, 5, 5)]
    ids = [name for part, one in enumerate(blocks, 9_998) for name in one.ids(part % 10_001)]
    assert len(set(ids)) == len(ids) == 11
    assert len({len(name) for name in ids}) == 1
    assert len(base64.b64encode(ids[0].encode())) <= 64
    assert Blocks.read(blocks[2].text()) == blocks[2]


@pytest.mark.parametrize("text", [None, "", "abc", 7, "abc:x"])
def test_a_part_that_says_nothing_of_its_blocks(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
        Blocks.read(text)


def test_the_checksum_is_that_of_azure() -> None:
    """The example of CRC-64/NVME's check value, in Azure's order of bytes."""
    assert crc64_bytes(crc64(b"123456789")) == bytes.fromhex("ae8b14860a799888")[::-1]
    assert crc64(b"6789", crc64(b"12345")) == crc64(b"123456789")


async def body_of(*pieces: bytes, error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


async def blocks_of(source: Source, *sizes: int) -> list[bytes]:
    found = []
    for size in sizes:
        async with asyncio.timeout(None) as limit:
            body = BlockBody(source, size, limit, 30.0)
            found.append(b"".join([piece async for piece in body]))
            assert body.crc64 == crc64(found[-1])
    return found


async def test_a_body_is_cut_into_blocks_wherever_its_pieces_end() -> None:
    for pieces in ([b"abcdefghij"], [b"a", b"", b"bcdef", b"ghij"], [b"abc", b"defg", b"hij"]):
        source = Source(body_of(*pieces))
        assert await blocks_of(source, 4, 3, 3) == [b"abcd", b"efg", b"hij"]
        await source.end()
        source.check()


async def test_a_body_of_other_size_than_was_said() -> None:
    short = Source(body_of(b"abc"))
    with pytest.raises(S3Error, match="IncompleteBody"):
        await blocks_of(short, 4)
    with pytest.raises(S3Error, match="IncompleteBody"):
        short.check()
    for long in (body_of(b"abcd"), body_of(b"abc", b"d")):
        source = Source(long)
        assert await blocks_of(source, 3) == [b"abc"]
        with pytest.raises(S3Error, match="IncompleteBody"):
            await source.end()


async def test_what_a_body_fails_with_is_kept_and_raised_once() -> None:
    error = ConnectionResetError("the client")
    source = Source(body_of(b"ab", error=error))
    with pytest.raises(ConnectionResetError):
        await blocks_of(source, 4)
    with pytest.raises(ConnectionResetError) as caught:
        source.check()
    assert caught.value is error
    source.check()


async def test_a_block_is_not_sent_again() -> None:
    async with asyncio.timeout(None) as limit:
        body = BlockBody(Source(body_of(b"abcd")), 4, limit, 30.0)
        assert await anext(aiter(body)) == b"abcd"
        with pytest.raises(ConnectionResetError):
            aiter(body)


async def test_a_small_body_is_gathered() -> None:
    assert await Source(body_of(b"ab", b"cd")).gather(4) == b"abcd"
    assert await Source(body_of()).gather(0) == b""
