"""``s3front keys encrypt-objects`` of what is at a place of every type: new blobs take the place of
the old ones, which go, and nothing else is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3front.work.encryption_jobs import job_key
from shared.records.encrypted import TWOFOLD_SCHEME, protections
from shared.records.names import DELETIONS, KEY_JOBS, STRAYS
from tests import fork_server
from tests.backends.bodies import MIB, body_of_size
from tests.backends.places import CHOSEN, PLACE, Place, Server, new_bucket, server
from tests.faults.stores import stored_records
from tests.servers import wait_for

SIZES = (1, 70_001, 3 * MIB + 1)


@pytest.mark.parametrize("place", CHOSEN, ids=lambda place: place.name)
def test_what_is_at_a_place_is_encrypted_and_decrypted(place: Place, tmp_path: Path) -> None:
    with server(place, tmp_path, keyed=True) as running:
        s3 = running.client()
        bucket = new_bucket(s3, PLACE)
        bodies = {f"of {size}": body_of_size(size) for size in SIZES}
        for key, body in bodies.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"a": "b"}, Tagging="c=d")
        bodies["parts"] = uploaded(running, bucket)
        for decrypt in (False, True):
            before = running.blobs()
            job = run_job(running, bucket, decrypt=decrypt)
            assert (job["state"], job["stored"], job.get("failed", 0)) == ("done", 4, 0)
            found = [
                None if each is None else each.scheme
                for record in stored_records(running.cluster, [bucket])[bucket].values()
                for each in protections(record)
            ]
            assert set(found) == ({None} if decrypt else {TWOFOLD_SCHEME})
            for key, body in bodies.items():
                answer = running.client(1).get_object(Bucket=bucket, Key=key)
                assert answer["Body"].read() == body
                assert ("ServerSideEncryption" in answer) is not decrypt
            assert s3.head_object(Bucket=bucket, Key="of 1")["Metadata"] == {"a": "b"}
            wait_until_nothing_waits(running)
            assert not running.blobs() & before
            assert len(running.blobs()) == len(before)


def uploaded(running: Server, bucket: str) -> bytes:
    s3 = running.client()
    named = {"Bucket": bucket, "Key": "parts"}
    named["UploadId"] = s3.create_multipart_upload(**named)["UploadId"]
    pieces = [body_of_size(5 * MIB), b"end"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**named, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(pieces, 1)
    ]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    return b"".join(pieces)


def run_job(running: Server, bucket: str, *, decrypt: bool) -> dict[str, object]:
    options = ["--decrypt"] if decrypt else []
    environ = running.cluster.fronts[0].process.environ
    done = fork_server.run("s3front", ["keys", "encrypt-objects", bucket, *options], environ, 60)
    assert done.returncode == 0, done.stderr

    def job() -> dict[str, object]:
        found: dict[str, object] = stored_records(running.cluster, [KEY_JOBS])[KEY_JOBS][
            job_key(bucket)
        ]
        return found

    wait_for(lambda: job().get("state", "running") != "running", lambda: str(job()), 60)
    return job()


def wait_until_nothing_waits(running: Server) -> None:
    def is_done() -> bool:
        queues = stored_records(running.cluster, [DELETIONS, STRAYS])
        return not queues[DELETIONS] and not queues[STRAYS]

    wait_for(is_done, "deletions and strays", 60)
