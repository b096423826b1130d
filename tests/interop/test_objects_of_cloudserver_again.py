"""``s3front keys encrypt-objects`` of what CloudServer has stored encrypted, and plain beside it:
it is read as before, and needs the keys of CloudServer no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import fork_server
from tests.api.encrypting import encryption_settings
from tests.clients_boto3 import s3_client
from tests.interop.test_objects_of_cloudserver import BY_FILE_KMS, READABLE, loaded, which
from tests.servers import Front, wait_for

NAMED = {
    bucket for bucket, answer in BY_FILE_KMS.bucket_answers.items() if "KMSMasterKeyID" in answer
}
"""Buckets whose default is a key of CloudServer's, which is not here."""


def test_what_cloudserver_has_encrypted_is_stored_as_ours(tmp_path: Path) -> None:
    settings = {**encryption_settings(tmp_path), "deleteDelaySeconds": 0}
    with loaded(tmp_path, settings) as front:
        s3 = s3_client(front)
        buckets = sorted({written.bucket for written in READABLE})
        for bucket in buckets:
            keys(front, "encrypt-objects", bucket)
        wait_for(lambda: all(job["state"] != "running" for job in jobs(front)), "the jobs", 90)
        found = {job["bucket"]: job for job in jobs(front)}
        states = {bucket: job["state"] for bucket, job in found.items()}
        assert {bucket for bucket, state in states.items() if state == "refused"} == NAMED, found
        assert {*states.values()} == {"done", "refused"}
        for written in READABLE:
            answer = s3.get_object(**which(written))
            assert answer["Body"].read() == written.body, written
            if written.bucket not in NAMED and written.body:
                assert answer.get("ServerSideEncryption"), written
        # A second job has nothing to do, but for what could not be done.
        for bucket in buckets:
            keys(front, "encrypt-objects", bucket)
        wait_for(lambda: all(job["state"] != "running" for job in jobs(front)), "the jobs", 90)
        assert {job["bucket"] for job in jobs(front) if job.get("stored")} == set()


def keys(front: Front, *argv: str) -> str:
    done = fork_server.run("s3front", ["keys", *argv], front.process.environ, 60)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def jobs(front: Front) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(keys(front, "jobs", "--json"))
    return found
