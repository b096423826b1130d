"""``metadataDaemon.callTimeoutMs``: a call that waits for longer than its client is not done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmd.metadata.engines.lmdb import LmdbEngine
from shared.rpc.envelope import clock_ms
from tests.interop.daemons import metadata_process
from tests.interop.raw_client import NAMESPACE, RawClient, raw_client
from tests.unit.dmd.metadata.support import until

CALL_TIMEOUT_MS = 200


@contextmanager
def busy_store(directory: Path) -> Iterator[None]:
    """A store in which nobody else can write, until the end of the block."""
    engine = LmdbEngine(directory)
    try:
        with engine.transaction():
            yield
    finally:
        engine.close()


async def passed(milliseconds: float) -> None:
    """Wait until the clock is so much further."""
    end = time.monotonic() + milliseconds / 1000
    await until(lambda: time.monotonic() > end)


async def put(raw: RawClient, number: int, sub: list[str], **more: Any) -> None:
    """Send a put of a key of that number."""
    params = {"rpcArgs": [str(number), "{}", {}], "subLevel": sub, **more}
    await raw.send(f'42{NAMESPACE},{number}["call","put",{json.dumps(params)}]')


async def test_a_put_that_waits_for_too_long_is_refused_and_not_done(
    tmp_path: Path, sub: list[str]
) -> None:
    with metadata_process(tmp_path, callTimeoutMs=CALL_TIMEOUT_MS) as daemon:
        async with raw_client(daemon.port) as raw:
            with busy_store(daemon.directory):
                # The first may begin, and then waits for the store; the others wait for the first.
                await put(raw, 1, sub)
                await passed(CALL_TIMEOUT_MS / 2)
                await put(raw, 2, sub)
                await put(raw, 3, sub, notAfterMs=clock_ms() + 20_000)
                answered = len(raw.frames)
                await passed(CALL_TIMEOUT_MS * 2)
                assert len(raw.frames) == answered  # none of them
            answers = {await raw.next() for _ in range(3)}
            refused = {answer for answer in answers if "ServiceUnavailable" in answer}
            assert answers - refused == {f"43{NAMESPACE},{n}[null,null]" for n in (1, 3)}
            assert len(refused) == 1
            reads = [{"subLevel": sub, "key": key} for key in "123"]
            found = await raw.result(4, "getMany", [reads], [])
            assert [entry is not None for entry in found] == [True, False, True]
