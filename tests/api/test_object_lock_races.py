"""Two front-ends lock, overwrite and delete the same versions at once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.metadata.object_store import ObjectStore, planned
from s3front.objects.versioning import NULL, plan_change, plan_removal
from s3front.rpc.rpc_client import RpcClient
from shared.rpc.envelope import METADATA_NAMESPACE
from tests.api.racing import Racer, race
from tests.api.support import md5_base64
from tests.faults.stores import assert_metadata_is_well
from tests.load_requests import ObjectClient
from tests.raw_http import Response
from tests.servers import Cluster, cluster
from tests.unit.dmd.metadata.support import RecordingLog

ROUNDS = 300 if os.environ.get("TWOFOLD_SOAK") else 15
ON, OFF = (f"<LegalHold><Status>{status}</Status></LegalHold>" for status in ("ON", "OFF"))
LOCKED = {"x-amz-bucket-object-lock-enabled": "true"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("locks"), fronts=2, settings=settings) as started:
        yield started


def send_document(client: ObjectClient, method: str, target: str, document: str) -> Response:
    body = document.encode()
    return client.request(method, target, body, {"Content-MD5": md5_base64(body)})


def put(client: ObjectClient, bucket: str) -> str:
    """The ID of a new version."""
    answer = client.request("PUT", f"/{bucket}/key", b"body")
    assert answer.status == 200, answer.body
    return answer.headers["x-amz-version-id"]


def delete(client: ObjectClient, bucket: str, version: str, *, many: bool) -> bool:
    """Whether a version was deleted, by one call or the other; else it was protected."""
    if many:
        named = f"<Key>key</Key><VersionId>{version}</VersionId>"
        document = f"<Delete><Object>{named}</Object></Delete>"
        answer = send_document(client, "POST", f"/{bucket}?delete", document)
        (row,) = answer.xml
        assert row.tag == "Deleted" or row.findtext("Code") == "AccessDenied", answer.body
        return row.tag == "Deleted"
    answer = client.request("DELETE", f"/{bucket}/key?versionId={version}")
    assert answer.status in (204, 403), answer.body
    return answer.status == 204


def hold(client: ObjectClient, bucket: str, version: str, document: str = ON) -> bool:
    """Whether a legal hold was set; else there was no such version."""
    target = f"/{bucket}/key?legal-hold&versionId={version}"
    answer = send_document(client, "PUT", target, document)
    assert answer.status in (200, 404), answer.body
    return answer.status == 200


def is_there(client: ObjectClient, bucket: str, version: str) -> bool:
    answer = client.request("GET", f"/{bucket}/key?versionId={version}")
    assert answer.status in (200, 404), answer.body
    return answer.status == 200


@pytest.mark.parametrize("many", [False, True], ids=["DeleteObject", "DeleteObjects"])
@pytest.mark.parametrize("place", ["latest", "former"])
def test_a_version_is_held_or_deleted(running: Cluster, place: str, many: bool) -> None:
    """Of a legal hold and a deletion at once, each version sees one."""
    bucket = f"{place}-{many}".lower()
    client = ObjectClient(running.fronts[0])
    assert client.request("PUT", f"/{bucket}", headers=LOCKED).status == 200
    versions = [put(client, bucket) for _ in range(ROUNDS)]
    if place == "former":
        client.request("DELETE", f"/{bucket}/key")
    else:
        # The latest first, so that each of them is that when its turn comes, or was.
        versions.reverse()

    def work(racer: Racer) -> list[bool]:
        did = []
        for version in versions:
            racer.meet()
            if racer.number == 0:
                did.append(hold(racer.client, bucket, version))
            else:
                did.append(delete(racer.client, bucket, version, many=many))
        return did

    held, deleted = race(running, 2, work)
    for version, was_held, was_deleted in zip(versions, held, deleted, strict=True):
        assert was_held is not was_deleted
        assert is_there(client, bucket, version) is was_held
    assert_metadata_is_well(running.folder / "metadata")


def test_a_null_version_that_became_the_latest_again_meanwhile(running: Cluster) -> None:
    """What was decided while it was not does not hold; a lock is in its master and in its copy."""
    client = ObjectClient(running.fronts[0])
    assert client.request("PUT", "/again").status == 200
    assert client.request("PUT", "/again/key", b"body").status == 200
    enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert send_document(client, "PUT", "/again?versioning", enabled).status == 200
    content = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    locks = f"<ObjectLockConfiguration>{content}</ObjectLockConfiguration>"
    assert send_document(client, "PUT", "/again?object-lock", locks).status == 200
    newer = put(client, "again")

    async def decide_on_what_is_no_more() -> None:
        rpc = RpcClient(
            f"http://127.0.0.1:{running.metadata_port}", METADATA_NAMESPACE, RecordingLog()
        )
        rpc.start()
        metadata = MetadataGateway(rpc)
        store = ObjectStore(metadata, BucketStore(metadata), "oldest")
        bucket, current = await store.read("again", "key", "test", NULL)
        assert bucket is not None
        assert current is not None
        assert delete(client, "again", newer, many=False)
        assert hold(client, "again", "null")
        plan = plan_removal(bucket.record.versioning, current.record, current.place, judged=True)
        removal = planned(bucket, "key", current, plan)
        same = plan_change(bucket.record.versioning, current.record, current.place, current.record)
        change = planned(bucket, "key", current, same)
        with pytest.raises(ChangedError):
            await store.commit(bucket, [removal], "test")
        with pytest.raises(ChangedError):
            await store.commit(bucket, [change], "test")
        await rpc.close()

    asyncio.run(decide_on_what_is_no_more())
    assert client.request("HEAD", "/again/key").headers["x-amz-object-lock-legal-hold"] == "ON"
    assert_metadata_is_well(running.folder / "metadata")
    assert not delete(client, "again", "null", many=False)
    assert hold(client, "again", "null", OFF)
    assert delete(client, "again", "null", many=False)


def test_everything_at_once(running: Cluster) -> None:
    """Holds that come and go while versions are written over each other and deleted: a deletion
    succeeds only between holds, so what is held at the end is there."""
    bucket = "everything"
    client = ObjectClient(running.fronts[0])
    assert client.request("PUT", f"/{bucket}", headers=LOCKED).status == 200

    def work(racer: Racer) -> set[str]:
        chance, client = random.Random(racer.number), racer.client
        held: set[str] = set()
        for _ in range(ROUNDS):
            shared.append(put(client, bucket))
            other = chance.choice(shared)
            kind = chance.choice(("hold", "hold", "release", "delete", "many", "tag", "marker"))
            if kind == "hold" and hold(client, bucket, other):
                held.add(other)
            elif kind == "release" and held:
                # Before it is lifted, so that nobody counts on what another thread has lifted.
                released.add(mine := held.pop())
                hold(client, bucket, mine, OFF)
            elif kind in ("delete", "many"):
                delete(client, bucket, other, many=kind == "many")
            elif kind == "tag":
                tags = "<Tagging><TagSet/></Tagging>"
                target = f"/{bucket}/key?tagging&versionId={other}"
                assert send_document(client, "PUT", target, tags).status in (200, 404, 409)
            elif kind == "marker":
                assert client.request("DELETE", f"/{bucket}/key").status == 204
        return held

    shared: list[str] = []
    released: set[str] = set()
    held = set[str]().union(*race(running, 4, work)) - released
    assert held
    for version in held:
        assert is_there(client, bucket, version)
        assert not delete(client, bucket, version, many=False)
    assert_metadata_is_well(running.folder / "metadata")
