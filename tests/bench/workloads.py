"""The requests whose costs are measured, of our servers and of others: nothing but S3.

A ``Work`` is one row. Its requests are signed anew for every run, as signatures last 15 minutes.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.load import Client, S3Endpoint, Step, header

BUCKET: Final = "bench"
VERSIONED: Final = "bench-versions"
BUCKETS: Final = (BUCKET, VERSIONED)

_KIB: Final = 1024
_MIB: Final = 1024 * 1024
_KEYS: Final = 2000
_PAGE: Final = 1000
_COLD_PAGES: Final = 20
_PARTS: Final = 8
_MIXTURE: Final = {"get": 70, "put": 20, "list": 5, "delete": 5}
_BODIES: Final = {size: os.urandom(size) for size in (_KIB, 64 * _KIB, _MIB, 64 * _MIB)}
_SMALL: Final = _BODIES[_KIB]
_ENABLED: Final = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

Requests = Callable[[S3Endpoint], list[bytes]]


def _nothing(_: S3Endpoint) -> list[bytes]:
    return []


@dataclass(frozen=True)
class Work:
    """One row. ``steps`` signs what it asks for.

    ``fill`` are the requests that write what the row finds, sent before it and not measured: once,
    or before every run if the row uses it up (``refill``). A ``cold`` row is for a server that has
    just started, nothing of whose directory is in memory.
    """

    name: str
    connections: int
    steps: Callable[[S3Endpoint], Step]
    count_min: int = 1
    count_max: int | None = None
    fill: Requests = _nothing
    refill: bool = False
    cold: bool = False


def bucket_requests(endpoint: S3Endpoint) -> list[bytes]:
    """The requests that make the buckets, one after the other."""
    made = [endpoint.signed("PUT", f"/{bucket}") for bucket in BUCKETS]
    return [*made, endpoint.signed("PUT", f"/{VERSIONED}?versioning", _ENABLED)]


def works() -> list[Work]:
    """All rows, in an order in which no large object is written before small ones are measured."""
    return [
        Work("PUT 1 KiB, 1 in flight", 1, _cycle("PUT", _SMALL)),
        # Every key at least.
        Work("PUT 1 KiB, 64 in flight", 64, _cycle("PUT", _SMALL), _KEYS),
        Work("GET 1 KiB, 1 in flight", 1, _cycle("GET"), fill=_small_objects),
        Work("GET 1 KiB, 64 in flight", 64, _cycle("GET"), fill=_small_objects),
        Work("GET 1 KiB, 1,000 in flight", 1000, _cycle("GET"), fill=_small_objects),
        Work("HEAD, 64 in flight", 64, _cycle("HEAD"), fill=_small_objects),
        Work("conditional PUT 1 KiB, 64 in flight", 64, _conditional, fill=_small_objects),
        Work("versioned PUT 1 KiB, 64 in flight", 64, _versioned, _KEYS),
        Work("DELETE, 64 in flight", 64, _deletions, 1, _KEYS, _deletable, refill=True),
        Work("LIST 1,000", 4, _page, fill=_small_objects),
        Work(
            "LIST 1,000, cold pages",
            1,
            _cold_pages,
            _COLD_PAGES,
            _COLD_PAGES,
            _cold_objects,
            cold=True,
        ),
        Work("mixed, 64 in flight", 64, _mixed, fill=_small_objects),
        *_of_size("64 KiB", 64 * _KIB, connections=16, keys=256),
        *_of_size("1 MiB", _MIB, connections=4, keys=16),
        *_of_size("64 MiB", 64 * _MIB, connections=1, keys=1),
        Work("multipart 8 x 8 MiB", 4, _multipart),
    ]


def _of_size(name: str, size: int, *, connections: int, keys: int) -> list[Work]:
    folder = name.replace(" ", "")
    put, get = _cycle("PUT", _BODIES[size], folder, keys), _cycle("GET", b"", folder, keys)
    return [
        Work(f"PUT {name}", connections, put, keys),
        Work(f"GET {name}", connections, get, fill=_objects(folder, keys, _BODIES[size])),
    ]


def _objects(folder: str, keys: int, body: bytes) -> Requests:
    return lambda endpoint: [
        endpoint.signed("PUT", f"/{BUCKET}/{folder}/{number:06}", body) for number in range(keys)
    ]


_small_objects: Final = _objects("small", _KEYS, _SMALL)
_deletable: Final = _objects("deleted", _KEYS, _SMALL)
_cold_objects: Final = _objects("cold", _COLD_PAGES * _PAGE, b"x")


def sending(payloads: Sequence[bytes]) -> Step:
    """One request after the other, from the first again after the last."""
    return lambda client, number: client.call(payloads[number % len(payloads)])


def _cycle(
    method: str, body: bytes = b"", folder: str = "small", keys: int = _KEYS
) -> Callable[[S3Endpoint], Step]:
    return lambda endpoint: sending(
        [endpoint.signed(method, f"/{BUCKET}/{folder}/{number:06}", body) for number in range(keys)]
    )


def _conditional(endpoint: S3Endpoint) -> Step:
    """Overwrites with a condition that holds, as all small objects have the same bytes."""
    condition = {"if-match": f'"{hashlib.md5(_SMALL, usedforsecurity=False).hexdigest()}"'}
    return sending(
        [
            endpoint.signed("PUT", f"/{BUCKET}/small/{number:06}", _SMALL, condition)
            for number in range(_KEYS)
        ]
    )


def _versioned(endpoint: S3Endpoint) -> Step:
    return sending(
        [endpoint.signed("PUT", f"/{VERSIONED}/{number:06}", _SMALL) for number in range(_KEYS)]
    )


def _deletions(endpoint: S3Endpoint) -> Step:
    return sending(
        [endpoint.signed("DELETE", f"/{BUCKET}/deleted/{number:06}") for number in range(_KEYS)]
    )


def _page(endpoint: S3Endpoint) -> Step:
    return sending([endpoint.signed("GET", f"/{BUCKET}?list-type=2&prefix=small%2F")])


def _cold_pages(endpoint: S3Endpoint) -> Step:
    """Each page once."""
    pages = [
        endpoint.signed(
            "GET", f"/{BUCKET}?list-type=2&prefix=cold%2F&start-after=cold%2F{_PAGE * page:06}"
        )
        for page in range(_COLD_PAGES)
    ]
    random.shuffle(pages)
    return sending(pages)


def mixture(seed: int) -> list[str]:
    """Kinds of requests in their proportions, mixed; the same for a seed."""
    kinds = [kind for kind, count in _MIXTURE.items() for _ in range(count * 10)]
    random.Random(seed).shuffle(kinds)
    return kinds


def _mixed(endpoint: S3Endpoint) -> Step:
    """What is deleted is what was put, the oldest first; so nothing that is read is missing."""
    kinds = mixture(0)
    gets = _cycle("GET")(endpoint)
    page = endpoint.signed("GET", f"/{BUCKET}?list-type=2&prefix=small%2F&max-keys=100")
    paths = [f"/{BUCKET}/mixed/{number:06}" for number in range(_KEYS)]
    puts = [endpoint.signed("PUT", path, _SMALL) for path in paths]
    deletions = [endpoint.signed("DELETE", path) for path in paths]
    there: deque[int] = deque()

    async def step(client: Client, number: int) -> None:
        kind = kinds[number % len(kinds)]
        if kind == "get":
            await gets(client, number)
        elif kind == "list":
            await client.call(page)
        elif kind == "delete" and there:
            await client.call(deletions[there.popleft()])
        else:
            await client.call(puts[number % _KEYS])
            there.append(number % _KEYS)

    return step


def _multipart(endpoint: S3Endpoint) -> Step:
    """One upload, its parts one after the other."""
    body = _BODIES[64 * _MIB]
    part_bytes = len(body) // _PARTS
    parts = [body[start : start + part_bytes] for start in range(0, len(body), part_bytes)]

    async def step(client: Client, number: int) -> None:
        path = f"/{BUCKET}/multipart/{number % 16}"
        created = await client.call(endpoint.signed("POST", f"{path}?uploads="))
        found = re.search(b"<UploadId>(.+)</UploadId>", created.body)
        assert found is not None
        upload_id = found[1].decode()
        listed = ""
        for part, content in enumerate(parts, 1):
            target = f"{path}?partNumber={part}&uploadId={upload_id}"
            answer = await client.call(endpoint.signed("PUT", target, content))
            etag = (header(answer.head, b"etag") or b"").decode()
            listed += f"<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        await client.call(endpoint.signed("POST", f"{path}?uploadId={upload_id}", document))

    return step


def chosen(texts: Sequence[str]) -> list[Work]:
    """The rows whose names have one of these texts in them; all, when there are none."""
    return [work for work in works() if not texts or any(text in work.name for text in texts)]
