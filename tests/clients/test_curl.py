"""curl, which signs in Version 4 by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.program import DEADLINE_SECONDS
from tests.forms import signed_v4
from tests.servers import ACCESS_KEY, SECRET_KEY, Front

Curl = Callable[..., tuple[str, int]]


@pytest.fixture
def curl(endpoint: Front) -> Curl:
    """Runs curl on a path of the server; returns what it got, and the status."""

    def run(path: str, *options: str) -> tuple[str, int]:
        argv = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *options]
        if endpoint.tls is not None:
            argv += ["--cacert", str(endpoint.tls.authority)]
        finished = subprocess.run(
            [*argv, f"{endpoint.url}{path}"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        body, _, status = finished.stdout.rpartition("\n")
        return body, int(status)

    return run


@pytest.fixture
def signing() -> list[str]:
    """Older versions of curl do not send the hash that S3 requires, so it is given."""
    return [
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        f"{ACCESS_KEY}:{SECRET_KEY}",
        "--header",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
    ]


def test_curl_signs(curl: Curl, signing: list[str], s3: Any, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"body" * 100_000)
    for key in ("a", "a%20b", "dir/%C3%BC"):
        path = f"/{bucket}/{key}"
        assert curl(path, *signing, "--upload-file", str(file)) == ("", 200)
        assert curl(path, *signing) == ("body" * 100_000, 200)
    listed, status = curl(f"/{bucket}?list-type=2&prefix=dir", *signing)
    assert (listed.count("<Key>"), status) == (1, 200)
    assert curl(f"/{bucket}/a", *signing, "--request", "DELETE") == ("", 204)
    assert curl(f"/{bucket}/a", *signing)[1] == 404
    wrong = [option.replace(SECRET_KEY, "wrong") for option in signing]
    assert curl(f"/{bucket}/a%20b", *wrong)[1] == 403
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 2


def test_curl_sends_a_form(curl: Curl, s3: Any, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(bytes(range(256)) * 50_000)
    fields = signed_v4({"Content-Type": "image/png"}, bucket, ["starts-with", "$key", "up/"])
    form = ["--form-string", "key=up/${filename}"]
    for name, value in fields.items():
        form += ["--form-string", f"{name}={value}"]
    assert curl(f"/{bucket}", *form, "--form", f"file=@{file}") == ("", 204)
    found = s3.get_object(Bucket=bucket, Key="up/photo.png")
    assert found["ContentType"] == "image/png"
    assert found["Body"].read() == file.read_bytes()
