"""Renamings through two front-ends, against each other and against writes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.api.racing import Racer, assert_consistent, create_bucket, race
from tests.etags import etag_of
from tests.faults.stores import assert_metadata_is_well, blobs_of
from tests.load_requests import ObjectClient
from tests.servers import Cluster, cluster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("renamings"), fronts=2, settings=settings) as started:
        yield started


def test_one_of_many_renamings_of_an_object_wins(running: Cluster) -> None:
    bucket = "renamed-once"
    create_bucket(running, bucket)

    def work(racer: Racer) -> list[int]:
        statuses = []
        for number in range(20):
            target, body = f"/{bucket}/source-{number}", b"%d" % number
            if racer.number == 0:
                assert racer.client.request("PUT", target, body).status == 200
            racer.meet()
            new = f"/{bucket}/{number}-{racer.number}"
            statuses.append(rename(racer.client, target, new))
        return statuses

    for statuses in zip(*race(running, 8, work), strict=True):
        assert sorted(statuses) == [200] + [404] * 7
    records = assert_consistent(running, [bucket])[bucket]
    assert len(records) == len(set(blobs_of(records))) == 20


def test_renamings_and_writes_lose_no_bytes_and_share_none(running: Cluster) -> None:
    """Half of the renamings may replace nothing, so that objects only go where a write or the
    other half says so: what is left is what was acknowledged, each once."""
    bucket, keys = "renamed", 6
    create_bucket(running, bucket)

    def work(racer: Racer) -> tuple[int, int]:
        chance = random.Random(racer.number)
        written = renamed = 0
        for index in range(150):
            old, new = chance.sample(range(keys), 2)
            target = f"/{bucket}/{new}"
            if racer.number < 2:
                body = b"%d by %d" % (index, racer.number)
                headers = {"If-None-Match": "*"} if racer.number == 0 else {}
                status = racer.client.request("PUT", target, body, headers).status
                assert status in (200, 412)
                written += status == 200
            else:
                headers = {"If-None-Match": "*"} if racer.number % 2 else {}
                status = rename(racer.client, f"/{bucket}/{old}", target, headers)
                # 409: it lost ten times to others.
                assert status in (200, 404, 409, 412)
                renamed += status == 200
        return written, renamed

    counts = race(running, 6, work)
    assert sum(renamed for _, renamed in counts) > 50, counts
    records = assert_consistent(running, [bucket])[bucket]
    blobs = blobs_of(records)
    assert len(blobs) == len(set(blobs)) == len(records) > 0
    assert_metadata_is_well(running.folder / "metadata")
    client = ObjectClient(running.fronts[0])
    for key, record in records.items():
        body = client.request("GET", f"/{bucket}/{key}").body
        assert etag_of(body).strip('"') == record["content-md5"]
        assert record["key"] == key


def test_renamings_that_replace_nothing_keep_every_object(running: Cluster) -> None:
    bucket, bodies = "shuffled", {b"object %d" % number for number in range(5)}
    create_bucket(running, bucket)
    client = ObjectClient(running.fronts[0])
    for number, body in enumerate(sorted(bodies)):
        assert client.request("PUT", f"/{bucket}/{number}", body).status == 200

    def work(racer: Racer) -> int:
        chance = random.Random(racer.number)
        pairs = [chance.sample(range(8), 2) for _ in range(150)]
        condition = {"If-None-Match": "*"}
        statuses = [
            rename(racer.client, f"/{bucket}/{old}", f"/{bucket}/{new}", condition)
            for old, new in pairs
        ]
        assert set(statuses) <= {200, 404, 409, 412}
        return statuses.count(200)

    assert sum(race(running, 6, work)) > 50
    records = assert_consistent(running, [bucket])[bucket]
    assert {client.request("GET", f"/{bucket}/{key}").body for key in records} == bodies
    assert len(records) == len(bodies)


def test_a_renaming_that_is_sent_often_at_once_is_done_once(running: Cluster) -> None:
    bucket = "renamed-with-token"
    create_bucket(running, bucket)

    def work(racer: Racer) -> None:
        for number in range(20):
            target = f"/{bucket}/old-{number}"
            if racer.number == 0:
                assert racer.client.request("PUT", target, b"data").status == 200
            racer.meet()
            headers = {"x-amz-client-token": f"token-{number}", "If-None-Match": "*"}
            assert rename(racer.client, target, f"/{bucket}/new-{number}", headers) == 200

    race(running, 6, work)
    records = assert_consistent(running, [bucket])[bucket]
    assert set(records) == {f"new-{number}" for number in range(20)}


def rename(client: ObjectClient, old: str, new: str, headers: dict[str, str] | None = None) -> int:
    """The status of a renaming."""
    sent = {"x-amz-rename-source": old, **(headers or {})}
    return client.request("PUT", f"{new}?renameObject", b"", sent).status
