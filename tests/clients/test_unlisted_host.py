"""Programs and SDKs with a server's name that is not configured, each with its default addressing.

An empty object makes no bucket, and an object that is called like a bucket is deleted in its place.
A new bucket cannot be made, and the program shows the reason. The programs reach any host through
the front-end itself, which takes requests as a proxy gets them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.api.support import new_name
from tests.clients.awscli import AwsCli
from tests.clients.node_sdk import node_sdk
from tests.clients.program import DEADLINE_SECONDS, Program
from tests.clients.rclone import Rclone
from tests.clients.s3cmd import S3cmd
from tests.clients.s5cmd import S5cmd
from tests.clients.sdk import Sdk, SdkError
from tests.servers import ACCESS_KEY, SECRET_KEY, Front

HOST = "nas.lan"


class Client(Protocol):
    """What each of them can do. ``create`` returns what it printed about its failure."""

    def put(self, bucket: str, key: str, file: Path) -> None: ...
    def remove(self, bucket: str, key: str) -> None: ...
    def create(self, bucket: str) -> str: ...


@dataclass(frozen=True)
class Commands:
    """A program, and its arguments for each of them: ``{url}`` is ``bucket/key``."""

    program: Program
    putting: str
    removing: str
    creating: str
    environ: Mapping[str, str]

    def put(self, bucket: str, key: str, file: Path) -> None:
        finished = self._run(self.putting, f"{bucket}/{key}", str(file))
        assert finished.returncode == 0, finished

    def remove(self, bucket: str, key: str) -> None:
        finished = self._run(self.removing, f"{bucket}/{key}")
        assert finished.returncode == 0, finished

    def create(self, bucket: str) -> str:
        finished = self._run(self.creating, bucket)
        assert finished.returncode != 0, finished
        return finished.stdout + finished.stderr

    def _run(self, arguments: str, url: str, file: str = "") -> subprocess.CompletedProcess[str]:
        filled = [word.format(url=url, file=file) for word in arguments.split()]
        return subprocess.run(
            [*self.program.argv, *filled],
            env={**self.program.environ, **self.environ},
            cwd=self.program.folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )


@dataclass(frozen=True)
class Served:
    """An SDK behind its commands."""

    sdk: Sdk

    def put(self, bucket: str, key: str, file: Path) -> None:
        self.sdk.ask("put", bucket=bucket, key=key, file=str(file), partSize=5 << 20)

    def remove(self, bucket: str, key: str) -> None:
        self.sdk.ask("remove", bucket=bucket, keys=[key])

    def create(self, bucket: str) -> str:
        with pytest.raises(SdkError) as caught:
            self.sdk.ask("makeBucket", bucket=bucket)
        return str(caught.value)


@dataclass(frozen=True)
class HostedS3cmd(S3cmd):
    """``s3cmd`` as ``s3cmd --configure`` sets it up: buckets are in the host."""

    @property
    def argv(self) -> list[str]:
        config = self.folder / "hosted"
        lines = {
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "host_base": f"{HOST}:{self.front.port}",
            "host_bucket": f"%(bucket)s.{HOST}:{self.front.port}",
            "use_https": "False",
            "proxy_host": "127.0.0.1",
            "proxy_port": str(self.front.port),
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        config.write_text(f"[default]\n{text}")
        program = super().argv[0]
        return [program, "--config", str(config), "--no-progress"]


# How each program puts, removes and creates.
_OF_AWS = ("s3 cp {file} s3://{url}", "s3 rm s3://{url}", "s3 mb s3://{url}")
_OF_S5CMD = ("cp {file} s3://{url}", "rm s3://{url}", "mb s3://{url}")
_OF_S3CMD = ("put {file} s3://{url}", "rm s3://{url}", "mb s3://{url}")
_OF_RCLONE = ("copyto {file} twofold:{url}", "deletefile twofold:{url}", "mkdir twofold:{url}")
NAMES = ("aws", "s5cmd", "rclone", "rclone by host", "s3cmd", "aws sdk js")


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, front: Front, tmp_path: Path) -> Iterator[Client]:
    named = replace(front, host=HOST)
    proxy = f"http://127.0.0.1:{front.port}"
    proxied = {"http_proxy": proxy, "HTTP_PROXY": proxy}
    by_host = {"RCLONE_CONFIG_TWOFOLD_FORCE_PATH_STYLE": "false"}
    programs: dict[str, tuple[Program, tuple[str, str, str], Mapping[str, str]]] = {
        "aws": (AwsCli(named, tmp_path), _OF_AWS, proxied),
        "s5cmd": (S5cmd(named, tmp_path), _OF_S5CMD, proxied),
        "rclone": (Rclone(named, tmp_path), _OF_RCLONE, proxied),
        "rclone by host": (Rclone(named, tmp_path), _OF_RCLONE, {**proxied, **by_host}),
        "s3cmd": (HostedS3cmd(front, tmp_path), _OF_S3CMD, {}),
    }
    if request.param in programs:
        program, lines, environ = programs[request.param]
        yield Commands(program, *lines, environ)
        return
    with node_sdk("aws_sdk.mjs", named, {"S3_ADDRESS": "127.0.0.1"}) as sdk:
        yield Served(sdk)


def test_no_bucket_comes_or_goes(client: Client, s3: Any, tmp_path: Path) -> None:
    bucket, other = new_name(), new_name()
    for name in (bucket, other):
        s3.create_bucket(Bucket=name)
    before = {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for key in ("empty-marker", other):
        client.put(bucket, key, empty)
    client.remove(bucket, other)
    (stored,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (stored["Key"], stored["Size"]) == ("empty-marker", 0)
    assert f"ENDPOINT={HOST}" in client.create(new_name())
    assert {entry["Name"] for entry in s3.list_buckets()["Buckets"]} == before
