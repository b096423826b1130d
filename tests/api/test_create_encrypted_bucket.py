"""``s3front create-encrypted-bucket``, by the options of CloudServer's tool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.encrypting import encrypting_cluster, rule
from tests.api.support import new_name
from tests.clients_boto3 import s3_client
from tests.servers import ACCESS_KEY, SECRET_KEY, Cluster, Front, Tls, free_port

KEYS = ("-a", ACCESS_KEY, "-k", SECRET_KEY)


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("encrypting")) as running:
        running.add_front(tls=tls)
        yield running


@pytest.fixture(scope="module")
def front(encrypting: Cluster) -> Front:
    return encrypting.fronts[0]


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


def run(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "s3front", "create-encrypted-bucket", *options]
    environment = {**os.environ, **environ}
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def at(front: Front) -> tuple[str, ...]:
    return ("-h", "localhost", "-p", str(front.port))


def default_of(s3: Any, bucket: str) -> Any:
    found = s3.get_bucket_encryption(Bucket=bucket)
    return found["ServerSideEncryptionConfiguration"]["Rules"]


def test_a_bucket_is_made(front: Front, s3: Any) -> None:
    name = new_name()
    done = run(*KEYS, *at(front), "-b", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}: made, and encrypted\n", "")
    assert default_of(s3, name) == [rule(BucketKeyEnabled=False)]


def test_with_all_options(encrypting: Cluster, s3: Any, tls: Tls) -> None:
    name = new_name()
    front = encrypting.fronts[1]
    long = ("--host", "localhost", "--port", str(front.port), "--bucket", name)
    options = (*long, "--ssl", "--verbose", "--location-constraint", "us-east-1")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    done = run(*options, **keys, SSL_CERT_FILE=str(tls.authority))
    assert done.returncode == 0, done.stderr
    assert "status: 200" in done.stdout
    assert f"Location: /{name}" in done.stdout
    assert default_of(s3, name) == [rule(BucketKeyEnabled=False)]
    untrusted = run(*options, **keys)
    assert untrusted.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted.stderr


def test_what_goes_wrong(front: Front, bucket: str) -> None:
    """One line that says it, and no secret in it."""
    wrong = ("-a", ACCESS_KEY, "-k", "wrong")
    nobody = ("-h", "localhost", "-p", str(free_port()))
    for options, code, said in (
        ((*KEYS, *at(front), "-b", bucket), 1, "409 BucketAlreadyOwnedByYou"),
        ((*KEYS, *at(front), "-b", new_name(), "-l", "nowhere"), 1, "InvalidLocationConstraint"),
        ((*wrong, *at(front), "-b", new_name()), 1, "403 SignatureDoesNotMatch"),
        ((*KEYS, *nobody, "-b", new_name()), 1, "does not answer: "),
        ((*KEYS, *at(front), "-b", "A"), 2, "--bucket"),
        ((*KEYS, *at(front)), 2, "Missing option '--bucket'"),
    ):
        done = run(*options)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert said in done.stderr
        assert SECRET_KEY not in done.stderr
        assert "Traceback" not in done.stderr
