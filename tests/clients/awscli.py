"""The real ``aws`` program, from an environment of its own (``make clients``)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import ACCESS_KEY, REPOSITORY, SECRET_KEY, Front

BIN = REPOSITORY / ".build" / "awscli" / "bin"

_CONFIG = """\
[default]
s3 =
    multipart_threshold = 64MB
    multipart_chunksize = 64MB
    max_concurrent_requests = {concurrent_requests}
"""


def require_awscli() -> Path:
    """The folder with the program; fails the test when it is missing."""
    assert (BIN / "aws").is_file(), f"{BIN / 'aws'} is missing: run `make clients` first"
    return BIN


@dataclass(frozen=True)
class Finished:
    """What a command printed, and its exit code."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The JSON that an ``s3api`` command printed; None when it printed nothing."""
        return json.loads(self.output) if self.output.strip() else None


@dataclass(frozen=True)
class AwsCli:
    """Runs ``aws`` against one front-end; ``folder`` is its home and working directory."""

    front: Front
    folder: Path
    concurrent_requests: int = 10

    @property
    def environ(self) -> dict[str, str]:
        """What the program is told, beside the little that every program needs."""
        config = self.folder / "aws-config"
        config.write_text(_CONFIG.format(concurrent_requests=self.concurrent_requests))
        environ = {
            "PATH": f"{require_awscli()}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            # File names outside ASCII need a UTF-8 locale.
            "LC_ALL": "C.UTF-8",
            "AWS_CONFIG_FILE": str(config),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.front.url,
            "AWS_MAX_ATTEMPTS": "1",
        }
        if self.front.tls is not None:
            environ["AWS_CA_BUNDLE"] = str(self.front.tls.authority)
        return environ

    def try_(self, *arguments: str, given: bytes = b"") -> Finished:
        """Run a command, with ``given`` on its standard input."""
        finished = subprocess.run(
            ["aws", *arguments],
            env=self.environ,
            cwd=self.folder,
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Finished(
            finished.returncode,
            finished.stdout.decode(errors="replace"),
            finished.stderr.decode(errors="replace"),
        )

    def run(self, *arguments: str, given: bytes = b"") -> Finished:
        """Run a command that must succeed."""
        finished = self.try_(*arguments, given=given)
        assert finished.code == 0, f"aws {' '.join(arguments)}: {finished.errors}"
        return finished

    def s3(self, *arguments: str, given: bytes = b"") -> str:
        """What a successful ``aws s3`` command printed."""
        return self.run("s3", *arguments, given=given).output

    def api(self, *arguments: str) -> Any:
        """What a successful ``aws s3api`` command answered."""
        return self.run("s3api", *arguments).document
