"""What locationConfig.json says of an S3 service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3front.locations.location_config import load_locations
from s3front.locations.registry import TYPES
from s3front.locations.s3_details import S3Details
from shared.config import ConfigError
from shared.config.values import Secret
from tests.unit.shared.config.conftest import Installation

AMAZON = "s3.amazonaws.com"
PARIS = "s3.eu-west-3.amazonaws.com"
BACKBLAZE = "s3.us-west-004.backblazeb2.com"
KEYS = {"accessKey": "AKIDEXAMPLE", "secretKey": "s+cret"}


def load(
    installation: Installation, details: dict[str, Any], environ: dict[str, str] | None = None
) -> S3Details:
    there = {"type": "aws_s3", "legacyAwsBehavior": True, "details": details}
    document = {"us-east-1": {"type": "file"}, "aws-test": there}
    installation.write("locationConfig.json", document)
    found = load_locations(installation.load(), TYPES, environ or {})["aws-test"].details
    assert isinstance(found, S3Details)
    return found


def test_the_example_of_the_manual(installation: Installation) -> None:
    found = load(
        installation,
        {
            "awsEndpoint": "s3.amazonaws.com",
            "bucketName": "zenkobucket",
            "bucketMatch": True,
            "credentials": KEYS,
        },
    )
    assert (found.host, found.port, found.secure) == ("s3.amazonaws.com", 443, True)
    assert (found.bucket, found.bucket_match, found.is_amazon) == ("zenkobucket", True, True)
    assert found.key_pair is not None
    assert found.key_pair.secret_key == Secret("s+cret")
    assert (found.path_style, found.versions, found.encryption) == (False, True, None)
    assert "s+cret" not in repr(found)


def test_the_profile_of_the_manual(installation: Installation, tmp_path: Path) -> None:
    profiles = tmp_path / "credentials"
    profiles.write_text("[zenko]\naws_access_key_id=A\naws_secret_access_key=B\n")
    environ = {
        "AWS_SHARED_CREDENTIALS_FILE": str(profiles),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }
    given = {"bucketName": "zenkobucket", "credentialsProfile": "zenko"}
    assert load(installation, given, environ).profile == "zenko"
    (tmp_path / "config").write_text("[profile other]\nregion=eu-west-3\n")
    assert load(installation, {**given, "credentialsProfile": "other"}, environ).profile == "other"
    with pytest.raises(ConfigError, match=r"credentialsProfile: profile 'no' is not in .*credent"):
        load(installation, {**given, "credentialsProfile": "no"}, environ)
    profiles.write_text("aws_access_key_id=A\n")
    with pytest.raises(ConfigError, match="credentialsProfile: a file of profiles cannot be read"):
        load(installation, given, environ)


@pytest.mark.parametrize(
    ("given", "host", "port", "secure", "path_style", "region"),
    [
        ({"awsEndpoint": "localhost:9000"}, "localhost", 9000, True, True, None),
        ({"awsEndpoint": "http://10.0.0.1:9000/"}, "10.0.0.1", 9000, False, True, None),
        ({"awsEndpoint": "[fd00::1]:9000", "https": False}, "fd00::1", 9000, False, True, None),
        ({"awsEndpoint": "https://MinIO.lan"}, "minio.lan", 443, True, False, None),
        ({"awsEndpoint": "s3.lan", "pathStyle": True}, "s3.lan", 443, True, True, None),
        ({"https": False, "region": "eu-west-3"}, AMAZON, 80, False, False, "eu-west-3"),
        ({"bucketName": "a.b"}, AMAZON, 443, True, True, None),
        ({"bucketName": "a.b", "https": False}, AMAZON, 80, False, False, None),
        ({"awsEndpoint": PARIS}, PARIS, 443, True, False, "eu-west-3"),
        ({"awsEndpoint": BACKBLAZE}, BACKBLAZE, 443, True, False, "us-west-004"),
    ],
)
def test_where_it_is(
    installation: Installation,
    given: dict[str, Any],
    host: str,
    port: int,
    secure: bool,
    path_style: bool,
    region: str | None,
) -> None:
    found = load(installation, {"bucketName": "zenkobucket", "credentials": KEYS, **given})
    assert (found.host, found.port, found.secure) == (host, port, secure)
    assert (found.path_style, found.region) == (path_style, region)


@pytest.mark.parametrize(
    ("given", "encryption"),
    [(True, "AES256"), (False, None), ("AES256", "AES256"), ("aws:kms", "aws:kms")],
)
def test_encryption(installation: Installation, given: object, encryption: str | None) -> None:
    details = {"bucketName": "zenkobucket", "credentials": KEYS, "serverSideEncryption": given}
    assert load(installation, details).encryption == encryption


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bucketName": None}, "bucketName: must be the name of a bucket"),
        ({"bucketname": "x"}, "bucketname: unknown key; did you mean bucketName"),
        ({"credentialsProfile": "zenko"}, "details: credentials and credentialsProfile exclude"),
        ({"credentials": {"accessKey": "A"}}, "credentials.secretKey: is missing"),
        ({"awsEndpoint": "ftp://x"}, "awsEndpoint: 'ftp://x' is not a host, host:port, or"),
        ({"awsEndpoint": "x:99999"}, "awsEndpoint: 'x:99999' is not a host"),
        ({"awsEndpoint": "http://x", "https": True}, "awsEndpoint: http:// contradicts https"),
        *(
            ({"awsEndpoint": f"{scheme}user:s+cret@host{port}"}, "awsEndpoint: must have no user")
            for scheme in ("", "http://", "https://", "ftp://")
            for port in ("", ":1", ":x")
        ),
        ({"credentials": {"accessKey": "A", "secretKey": ""}}, "secretKey: must not be empty"),
        ({"credentials": {"accessKey": "", "secretKey": "s+cret"}}, "accessKey: must be printable"),
        (
            {"credentials": {"accessKey": "A\r\n", "secretKey": "s+cret"}},
            "accessKey: must be print",
        ),
        ({"caBundle": "a\0b"}, "caBundle: must not have a NUL character"),
        ({"serverSideEncryption": "yes"}, "serverSideEncryption: must be true, false, 'AES256'"),
        ({"region": "eu west"}, "region: must be the name of a region"),
        ({"caBundle": "/no/such.pem"}, "caBundle: /no/such.pem cannot be read"),
    ],
)
def test_what_is_wrong_is_said(
    installation: Installation, given: dict[str, Any], message: str
) -> None:
    details = {"bucketName": "zenkobucket", "credentials": KEYS, **given}
    with pytest.raises(ConfigError) as caught:
        load(installation, details)
    assert message in str(caught.value)
    assert "s+cret" not in str(caught.value)
