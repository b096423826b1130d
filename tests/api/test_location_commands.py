"""``s3front locations list``, ``test`` and ``usage``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.installation import Installation
from tests.api.support import set_versioning
from tests.backends.s3_services import Service, remote, twofold
from tests.clients_boto3 import s3_client
from tests.servers import free_port

FILE = {"type": "file", "legacyAwsBehavior": True, "details": {}}
PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with twofold(tmp_path_factory.mktemp("remote")) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


def configure(installation: Installation, **locations: Any) -> None:
    path = installation.folder / "locationConfig.json"
    path.write_text(json.dumps({"us-east-1": FILE, **locations}))
    installation.environ["S3_LOCATION_FILE"] = str(path)


def asked(installation: Installation, *argv: str, code: int = 0) -> Any:
    done = installation.run("s3front", "locations", *argv, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_list_says_where_locations_lead_and_no_secret(
    installation: Installation, service: Service
) -> None:
    there = remote(service, versioned=True)
    cloud = {"type": "aws_s3", "details": there.document()}
    configure(installation, cloud=cloud, scratch={"type": "mem"}, tape={"type": "dmf"})
    done = installation.run("s3front", "locations", "list")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"us-east-1               file      dmd at 127.0.0.1:{installation.data_port}  legacy",
        f"cloud                   aws_s3    bucket {there.bucket} at "
        f"http://127.0.0.1:{service.port}",
        "scratch                 mem       memory of s3front start",
        "tape                    dmf         NOT SUPPORTED",
    ]
    assert "location 'tape': type 'dmf' is not supported by this version" in done.stderr
    assert service.secret_key not in done.stdout + done.stderr
    rows = asked(installation, "list", code=1)
    assert [row["name"] for row in rows] == ["us-east-1", "cloud", "scratch", "tape"]
    assert [row["supported"] for row in rows] == [True, True, True, False]
    configure(installation)
    assert len(asked(installation, "list")) == 1


def test_a_test_says_what_is_missing(installation: Installation, service: Service) -> None:
    good, plain = remote(service, versioned=True), remote(service, versioned=False)
    wrong = {"accessKey": service.access_key, "secretKey": "wrong" * 5}
    places = {
        "good": good.document(),
        "plain": plain.document(),
        "refused": good.document(credentials=wrong),
        "missing": good.document(bucketName="no-such-bucket"),
        "away": good.document(awsEndpoint=f"127.0.0.1:{free_port()}"),
    }
    locations = {name: {"type": "aws_s3", "details": each} for name, each in places.items()}
    configure(installation, **locations, tape={"type": "dmf"})
    installation.start("dmd", "start")
    found = asked(installation, "test", code=1)
    missing = {name for name, rows in found.items() if any(row["good"] is False for row in rows)}
    assert missing == {"plain", "refused", "missing", "away", "tape"}
    assert asked(installation, "test", "good", "us-east-1").keys() == {"good", "us-east-1"}
    done = installation.run("s3front", "locations", "test", "plain")
    assert done.returncode == 1
    assert "  MISSING versions: none are kept: switch versioning on" in done.stdout
    assert good.keys() == plain.keys() == []
    unknown = installation.run("s3front", "locations", "test", "god")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "s3front: there is no location 'god'; did you mean good?\n",
    )


def test_a_data_daemon_that_is_away(installation: Installation) -> None:
    configure(installation)
    found = asked(installation, "test", code=1)
    assert [row["good"] for row in found["us-east-1"]] == [False]


def test_usage_is_counted_by_location(installation: Installation) -> None:
    configure(installation, **dict.fromkeys(("paris", "empty"), FILE))
    _dmd, front = installation.start_both()
    s3 = s3_client(front)
    s3.create_bucket(Bucket="near")
    far = {"CreateBucketConfiguration": {"LocationConstraint": "paris"}}
    s3.create_bucket(Bucket="far", **far)
    set_versioning(s3, "near", "Enabled")
    for size in (0, 10, 300):
        s3.put_object(Bucket="near", Key="versions", Body=b"x" * size)
    s3.delete_object(Bucket="near", Key="versions")
    s3.put_object(Bucket="far", Key="plain", Body=b"x" * 1000)
    s3.put_object(Bucket="far", Key="plain", Body=b"x" * 2000)
    there = {"Metadata": {"scal-location-constraint": "paris"}}
    s3.put_object(Bucket="near", Key="elsewhere", Body=b"x" * 30, **there)
    upload = s3.create_multipart_upload(Bucket="far", Key="parts")["UploadId"]
    s3.upload_part(Bucket="far", Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 77)
    found = asked(installation, "usage")
    rows = {name: tuple(row.values()) for name, row in found["locations"].items()}
    assert rows == {
        "us-east-1": (3, 310, 0, 0, 0),
        "paris": (2, 2030, 1, 77, 1000),
        "empty": (0, 0, 0, 0, 0),
    }
    text = installation.run("s3front", "locations", "usage")
    assert text.returncode == 0
    assert text.stderr == ""
    assert text.stdout.splitlines()[2].split() == ["paris", "2", "2,030", "77", "1,000"]


def test_usage_of_what_is_not_configured_any_more(installation: Installation) -> None:
    configure(installation, paris=FILE)
    _dmd, front = installation.start_both()
    s3 = s3_client(front)
    far = {"CreateBucketConfiguration": {"LocationConstraint": "paris"}}
    s3.create_bucket(Bucket="far", **far)
    s3.put_object(Bucket="far", Key="key", Body=b"body")
    configure(installation)
    done = installation.run("s3front", "locations", "usage")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("  NOT CONFIGURED")


def test_usage_needs_the_metadata(installation: Installation) -> None:
    done = installation.run("s3front", "locations", "usage")
    assert done.returncode == 2
    assert "the metadata daemon" in done.stderr


def test_the_state_is_what_a_running_front_end_knows(
    installation: Installation, service: Service
) -> None:
    there = remote(service, versioned=True)
    away = there.document(awsEndpoint=f"127.0.0.1:{free_port()}")
    places = {"cloud": there.document(), "away": away}
    configure(
        installation,
        **{name: {"type": "aws_s3", "details": each} for name, each in places.items()},
    )
    _dmd, front = installation.start_both()
    done = installation.run("s3front", "locations", "state", "--url", "ftp://x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a URL begins with http://" in done.stderr
    found = asked(installation, "state")
    assert {name: place["state"] for name, place in found.items()} == {
        "cloud": "closed",
        "away": "closed",
    }
    s3 = s3_client(front)
    for name in places:
        constraint = {"LocationConstraint": name}
        s3.create_bucket(Bucket=f"at-{name}", CreateBucketConfiguration=constraint)
    s3.put_object(Bucket="at-cloud", Key="key", Body=b"bytes")
    for _ in range(5):
        with pytest.raises(ClientError, match="ServiceUnavailable"):
            s3.put_object(Bucket="at-away", Key="key", Body=b"bytes")
    assert asked(installation, "state", code=1)["away"]["state"] == "open"
    done = installation.run("s3front", "locations", "state")
    assert done.returncode == 1
    _, cloud, other = done.stdout.splitlines()
    assert cloud.split()[:2] == ["cloud", "closed"]
    assert other.split()[:2] == ["away", "open"]
    assert "no connection to 127.0.0.1" in other
