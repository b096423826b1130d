"""Small objects in one hop: bytes come with the commit, and go with the read of the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.segment_records import holds_bodies, place_of
from tests.api.support import new_name
from tests.faults.stores import assert_consistent, read_stores
from tests.multipart import upload_parts
from tests.raw_http import Response, call
from tests.servers import Cluster, Front, cluster, wait_for
from tests.unit.dmd.data.harness import keys_in

SMALL = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("one-hop"), settings=settings) as made:
        yield made


@pytest.fixture
def front(running: Cluster) -> Front:
    return running.fronts[0]


@pytest.fixture
def bucket(front: Front) -> str:
    name = new_name()
    assert call(front, "PUT", f"/{name}").status == 200
    return name


def hops(running: Cluster, before: set[str]) -> list[int]:
    """By how many hops each blob came that was not there before."""
    new = keys_in(running.folder / "data") - before
    return sorted(1 if holds_bodies(place_of(key).segment) else 2 for key in new)


def get(front: Front, target: str, **headers: str) -> Response:
    return call(front, "GET", target, headers=headers)


@pytest.mark.parametrize(
    ("size", "count"), [(1, [1]), (1024, [1]), (65536, [1]), (65537, [2]), (300_000, [2])]
)
def test_objects_up_to_a_size_take_one(
    size: int, count: list[int], running: Cluster, front: Front, bucket: str
) -> None:
    before, content = keys_in(running.folder / "data"), b"x" * size
    assert call(front, "PUT", f"/{bucket}/k", body=content).status == 200
    assert hops(running, before) == count
    assert get(front, f"/{bucket}/k").body == content
    assert_consistent(running, 0)


def test_parts_and_copies_take_one(running: Cluster, front: Front, bucket: str) -> None:
    before = keys_in(running.folder / "data")
    target = f"/{bucket}/parts"
    upload_parts(front, target, {1: SMALL})
    assert hops(running, before) == [1]
    source = {"x-amz-copy-source": target}
    assert call(front, "PUT", f"/{bucket}/copy", headers=source).status == 200
    assert hops(running, before) == [1, 1]
    assert get(front, f"/{bucket}/copy").body == get(front, target).body == SMALL
    assert_consistent(running, 0)


def test_versions_take_one(running: Cluster, front: Front, bucket: str) -> None:
    before = keys_in(running.folder / "data")
    assert call(front, "PUT", f"/{bucket}/k", body=b"null").status == 200
    enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert call(front, "PUT", f"/{bucket}?versioning", body=enabled.encode()).status == 200
    versions = {"null": b"null"}
    for content in (b"one", b"two"):
        put = call(front, "PUT", f"/{bucket}/k", body=content)
        versions[put.headers["x-amz-version-id"]] = content
    assert hops(running, before) == [1, 1, 1]
    for version, content in versions.items():
        assert get(front, f"/{bucket}/k?versionId={version}").body == content
    assert_consistent(running, 0)


def test_conditions_and_ranges_are_judged_as_ever(front: Front, bucket: str) -> None:
    target = f"/{bucket}/k"
    etag = call(front, "PUT", target, body=SMALL).headers["ETag"]
    assert call(front, "PUT", target, headers={"If-None-Match": "*"}, body=b"x").status == 412
    assert get(front, target, **{"If-None-Match": etag}).status == 304
    assert get(front, target, **{"If-Match": '"other"'}).status == 412
    part = get(front, target, Range="bytes=10-19")
    assert (part.status, part.body) == (206, SMALL[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(SMALL)}"
    assert get(front, target, Range="bytes=-5").body == SMALL[-5:]
    assert get(front, target, Range=f"bytes={len(SMALL)}-").status == 416
    assert call(front, "HEAD", target).headers["Content-Length"] == str(len(SMALL))


def test_what_is_replaced_is_deleted(running: Cluster, front: Front, bucket: str) -> None:
    before, target = read_stores(running).blobs, f"/{bucket}/k"
    for content in (b"one", b"two", b"three"):
        assert call(front, "PUT", target, body=content).status == 200
    assert call(front, "DELETE", target).status == 204
    wait_for(lambda: set(read_stores(running).blobs) <= set(before), "blobs to be deleted", 60)


def test_a_get_needs_no_data_daemon(running: Cluster, front: Front, bucket: str) -> None:
    target = f"/{bucket}/k"
    assert call(front, "PUT", target, body=SMALL).status == 200
    running.dmd_data.kill()
    try:
        assert get(front, target).body == SMALL
    finally:
        running.start_daemons()


def test_a_damaged_body_is_an_error(running: Cluster, front: Front, bucket: str) -> None:
    before, target = keys_in(running.folder / "data"), f"/{bucket}/k"
    assert call(front, "PUT", target, body=SMALL).status == 200
    (key,) = keys_in(running.folder / "data") - before
    place = place_of(key)
    path = running.folder / "data" / "packed" / f"{place.segment:08x}.segment"
    with path.open("r+b") as segment:
        segment.seek(place.offset + 100)
        segment.write(b"damage")
    assert get(front, target).status == 500
    assert call(front, "DELETE", target).status == 204


@pytest.mark.parametrize("restarted", ["dmd_metadata", "dmd_data"])
def test_either_daemon_may_be_restarted(
    restarted: str, running: Cluster, front: Front, bucket: str
) -> None:
    before = keys_in(running.folder / "data")
    for number in range(3):
        assert call(front, "PUT", f"/{bucket}/{number}", body=b"%d" % number).status == 200
        process = getattr(running, restarted)
        process.kill()
        running.start_daemons()
        wait_for(lambda: get(front, f"/{bucket}").status == 200, "the front-end to be connected")
    assert call(front, "PUT", f"/{bucket}/3", body=b"3").status == 200
    assert hops(running, before) == [1] * 4
    assert [get(front, f"/{bucket}/{number}").body for number in range(4)] == [
        b"%d" % number for number in range(4)
    ]
    assert_consistent(running, 0)


# -- Where it takes two -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"metadataDaemon": {"bodySizeMaxBytes": 0}}, {1: 2, 1024: 2}),
        ({"metadataDaemon": {"bodySizeMaxBytes": 1000}}, {1: 1, 1000: 1, 1001: 2}),
        ({"dataDaemon": {"packedSizeMaxBytes": 500}}, {1: 1, 500: 1, 501: 2}),
        ({"dataDaemon": {"packedSizeMaxBytes": 0}}, {1: 2}),
    ],
    ids=str,
)
def test_the_configuration_says_up_to_which_size(
    settings: dict[str, dict[str, int]], sizes: dict[int, int], tmp_path: Path
) -> None:
    with cluster(tmp_path, settings=settings) as running:
        front = running.fronts[0]
        assert call(front, "PUT", "/bucket").status == 200
        for size, count in sizes.items():
            before = keys_in(tmp_path / "data")
            assert call(front, "PUT", f"/bucket/{size}", body=b"x" * size).status == 200
            assert hops(running, before) == [count]
            assert get(front, f"/bucket/{size}").body == b"x" * size


def test_another_data_daemon_than_that_beside_the_metadata_gets_the_bytes_itself(
    tmp_path: Path,
) -> None:
    with cluster(tmp_path / "here") as here, cluster(tmp_path / "there", fronts=0) as there:
        front = here.add_front(
            settings={"dataClient": {"host": "127.0.0.1", "port": there.data_port}}
        )
        assert call(front, "PUT", "/bucket").status == 200
        assert call(front, "PUT", "/bucket/k", body=SMALL).status == 200
        assert get(front, "/bucket/k").body == SMALL
        assert keys_in(tmp_path / "here" / "data") == set()
        assert hops(there, set()) == [2]
