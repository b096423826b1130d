"""Two front-ends write, delete and configure versions of the same keys at once."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.support import md5_base64
from tests.etags import etag_of
from tests.faults.stores import assert_metadata_is_well, blobs_of, stored_blobs, stored_records
from tests.load_requests import ObjectClient
from tests.servers import Cluster, cluster, wait_for

ROUNDS = 120 if os.environ.get("TWOFOLD_SOAK") else 10
KEYS = ("a", "b")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("versions"), fronts=2, settings=settings) as started:
        yield started


@dataclass
class Told:
    """What one thread was answered: bodies of versions by key and ID, and what it removed."""

    made: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    removed: set[tuple[str, str]] = field(default_factory=set)


Work = Callable[[ObjectClient, random.Random, Told], None]


def race(running: Cluster, count: int, work: Work) -> Told:
    """What so many threads, which take the front-ends in turn, were told altogether."""
    together = threading.Barrier(count, timeout=30)

    def run(number: int) -> Told:
        client, told = ObjectClient(running.fronts[number % 2]), Told()
        client.request("GET", "/")
        together.wait()
        work(client, random.Random(number), told)
        client.close()
        return told

    with ThreadPoolExecutor(count) as pool:
        every = [future.result() for future in [pool.submit(run, n) for n in range(count)]]
    return Told(
        {name: body for told in every for name, body in told.made.items()},
        {name for told in every for name in told.removed},
    )


def configure(client: ObjectClient, bucket: str, state: str) -> None:
    body = f"<VersioningConfiguration><Status>{state}</Status></VersioningConfiguration>"
    assert client.request("PUT", f"/{bucket}?versioning", body.encode()).status == 200


def put(client: ObjectClient, target: str, body: bytes) -> str:
    """The version ID of a new object, ``null`` when the answer tells none."""
    answer = client.request("PUT", target, body)
    assert answer.status == 200, answer.body
    return answer.headers.get("x-amz-version-id", "null")


def listed(client: ObjectClient, bucket: str) -> list[tuple[str, str, bool, bool]]:
    """Key, version ID, whether it is the latest and whether it is a delete marker."""
    page = client.request("GET", f"/{bucket}?versions").xml
    assert page.findtext("IsTruncated") == "false"
    return [
        (
            node.findtext("Key", ""),
            node.findtext("VersionId", ""),
            node.findtext("IsLatest") == "true",
            node.tag == "DeleteMarker",
        )
        for node in page
        if node.tag in ("Version", "DeleteMarker")
    ]


def assert_consistent(running: Cluster, bucket: str, told: Told) -> None:
    """Every version that was made is there with its own bytes, or was removed by somebody; and
    there is one latest and one null version of a key at most."""
    clients = [ObjectClient(front) for front in running.fronts]
    rows = listed(clients[0], bucket)
    assert rows == listed(clients[1], bucket)
    names = {(key, version) for key, version, _, _ in rows}
    assert len(names) == len(rows)
    for key in {key for key, _, _, _ in rows}:
        assert next(latest for name, _, latest, _ in rows if name == key)
        assert sum(latest for name, _, latest, _ in rows if name == key) == 1
    regular = {name: body for name, body in told.made.items() if name[1] != "null"}
    assert names - {name for name in names if name[1] == "null"} == set(regular) - told.removed
    bodies: list[bytes] = []
    for number, (key, version, latest, marker) in enumerate(rows):
        answer = clients[number % 2].request("GET", f"/{bucket}/{key}?versionId={version}")
        assert answer.status == (405 if marker else 200)
        if marker:
            continue
        bodies.append(answer.body)
        assert answer.headers["ETag"] == etag_of(answer.body)
        if version != "null":
            assert answer.body == regular[key, version]
        if latest:
            assert clients[0].request("GET", f"/{bucket}/{key}").body == answer.body
    records = stored_records(running, [bucket])[bucket]
    expected = set(blobs_of(records))
    assert len(expected) == len(bodies)
    assert_metadata_is_well(running.folder / "metadata")
    wait_for(lambda: _blobs_of_all(running) == stored_blobs(running), "no other bytes", 20)


def _blobs_of_all(running: Cluster) -> set[str]:
    known: dict[str, Any] = stored_records(running, ["__metastore"])["__metastore"]
    records = stored_records(running, list(known))
    return {blob for level in records.values() for blob in blobs_of(level)}


def make_bucket(running: Cluster, name: str, state: str | None = None) -> ObjectClient:
    client = ObjectClient(running.fronts[0])
    assert client.request("PUT", f"/{name}").status == 200
    if state is not None:
        configure(client, name, state)
    return client


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
def test_plain_writes_never_conflict(running: Cluster, state: str) -> None:
    """However many write one key, each gets its version or replaces the null one."""
    bucket = f"writes-{state.lower()}"
    client = make_bucket(running, bucket)
    # A null version first, which the first of them has to preserve or replace.
    put(client, f"/{bucket}/a", b"before")
    configure(client, bucket, state)

    def work(client: ObjectClient, chance: random.Random, told: Told) -> None:
        for _ in range(ROUNDS):
            if chance.random() < 0.2:
                answer = client.request("DELETE", f"/{bucket}/a")
                assert (answer.status, answer.headers["x-amz-delete-marker"]) == (204, "true")
                told.made["a", answer.headers["x-amz-version-id"]] = None
            else:
                body = b"%d" % chance.getrandbits(64)
                told.made["a", put(client, f"/{bucket}/a", body)] = body

    told = race(running, 8, work)
    assert_consistent(running, bucket, told)
    rows = listed(client, bucket)
    assert len(rows) == (8 * ROUNDS + 1 if state == "Enabled" else 1)
    if state == "Enabled":
        assert rows[-1][1] == "null"
        null = client.request("GET", f"/{bucket}/a?versionId=null")
        assert null.body == b"before"


def test_everything_at_once(running: Cluster) -> None:
    """Writes, deletions of all kinds, tags, and versioning that is suspended and enabled again."""
    bucket = "everything"
    make_bucket(running, bucket, "Enabled")

    def work(client: ObjectClient, chance: random.Random, told: Told) -> None:
        known: list[tuple[str, str]] = []
        for _ in range(ROUNDS):
            key = chance.choice(KEYS)
            kind = chance.choices(
                ("put", "delete", "version", "null", "many", "tag", "configure"),
                (8, 3, 4, 2, 2, 2, 1),
            )[0]
            if kind == "put":
                body = b"%d" % chance.getrandbits(64)
                known.append((key, put(client, f"/{bucket}/{key}", body)))
                told.made[known[-1]] = body
            elif kind == "delete":
                answer = client.request("DELETE", f"/{bucket}/{key}")
                assert answer.status == 204, answer.body
                known.append((key, answer.headers["x-amz-version-id"]))
                told.made[known[-1]] = None
            elif kind == "null" or (kind in ("version", "many") and not known):
                answer = client.request("DELETE", f"/{bucket}/{key}?versionId=null")
                assert answer.status == 204, answer.body
            elif kind == "version":
                name, version = known.pop(chance.randrange(len(known)))
                answer = client.request("DELETE", f"/{bucket}/{name}?versionId={version}")
                assert answer.status == 204, answer.body
                told.removed.add((name, version))
            elif kind == "many":
                name, version = known.pop()
                named = f"<Key>{name}</Key><VersionId>{version}</VersionId>"
                body = f"<Delete><Object>{named}</Object></Delete>".encode()
                sent = {"Content-MD5": md5_base64(body)}
                answer = client.request("POST", f"/{bucket}?delete", body, sent)
                assert [node.tag for node in answer.xml] == ["Deleted"], answer.body
                told.removed.add((name, version))
            elif kind == "tag":
                body = b"<Tagging><TagSet/></Tagging>"
                sent = {"Content-MD5": md5_base64(body)}
                answer = client.request("PUT", f"/{bucket}/{key}?tagging", body, sent)
                assert answer.status in (200, 404, 405, 409), answer.body
            else:
                configure(client, bucket, chance.choice(("Enabled", "Suspended")))

    told = race(running, 8, work)
    assert_consistent(running, bucket, told)


def test_the_null_version_is_always_there(running: Cluster) -> None:
    """While it is preserved, becomes the latest again, and is replaced, readers find one."""
    bucket = "null"
    client = make_bucket(running, bucket, "Suspended")
    put(client, f"/{bucket}/a", b"null")
    ended = threading.Event()

    def work(client: ObjectClient, chance: random.Random, _told: Told) -> None:
        try:
            if chance.random() == first_of_all:
                for number in range(ROUNDS):
                    configure(client, bucket, "Enabled")
                    version = put(client, f"/{bucket}/a", b"%d" % number)
                    configure(client, bucket, "Suspended")
                    if number % 2:
                        target = f"/{bucket}/a?versionId={version}"
                        assert client.request("DELETE", target).status == 204
                    put(client, f"/{bucket}/a", b"null %d" % number)
                return
            while not ended.is_set():
                answer = client.request("GET", f"/{bucket}/a?versionId=null")
                assert (answer.status, answer.body[:4]) == (200, b"null")
        finally:
            ended.set()

    first_of_all = random.Random(0).random()
    race(running, 4, work)
