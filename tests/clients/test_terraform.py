"""Terraform's provider for AWS: identities, and who may use a bucket, made, changed and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.clients.terraform_program import Terraform, missing
from tests.clients_boto3 import s3_client
from tests.keyrings import encrypting
from tests.servers import Front, cluster

# The provider is the largest of all programs here: each command starts it, and takes ten seconds.
pytestmark = [
    pytest.mark.timeout(1600),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture
def keyed_front(tmp_path: Path) -> Iterator[Front]:
    """A front-end that can keep secrets."""
    settings = {**encrypting(tmp_path / "keyring"), "globalEncryptionEnabled": False}
    with cluster(tmp_path, settings=settings) as running:
        yield running.fronts[0]


def test_all_that_says_who_may_do_what(keyed_front: Front, tmp_path: Path) -> None:
    (tmp_path / "terraform").mkdir()
    terraform = Terraform(keyed_front, tmp_path / "terraform", "t1")
    terraform.prepare("access.tf")
    terraform.apply("first")
    made = terraform.outputs()
    assert made["account"] == "123456789012"
    anna = s3_client(keyed_front, made["key"], made["secret"])
    found = anna.get_object(Bucket="t1-reports", Key="2026/report.txt")
    assert found["Body"].read() == b"all well"
    unchanged = terraform.plan("first")
    assert unchanged.code == 0, unchanged.output
    terraform.apply("second")
    unchanged = terraform.plan("second")
    assert unchanged.code == 0, unchanged.output
    with pytest.raises(ClientError) as caught:
        anna.get_object(Bucket="t1-reports", Key="2026/report.txt")
    assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"
    terraform.destroy("second")
    assert s3_client(keyed_front).list_buckets()["Buckets"] == []
