"""The real ``aws`` program."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.program import BUILD, Program, require
from tests.servers import ACCESS_KEY, SECRET_KEY

_CONFIG = """\
[default]
s3 =
    multipart_threshold = {part_size_mib}MB
    multipart_chunksize = {part_size_mib}MB
    max_concurrent_requests = {concurrent_requests}
"""

# The program itself, which takes half a second to start, doing one command after the other. One
# driver gets slower with each, so it is replaced now and then.
_MANY = """\
import json, sys
from awscli.clidriver import create_clidriver
for number, line in enumerate(sys.stdin):
    if number % 50 == 0:
        driver = create_clidriver()
    if code := driver.main(json.loads(line)):
        sys.exit(code)
"""
_MANY_SECONDS = 1800.0


def require_awscli() -> Path:
    """The folder with the program; fails the test when it is missing."""
    return require(BUILD / "awscli" / "bin" / "aws").parent


@dataclass(frozen=True)
class AwsCli(Program):
    """``aws``, which takes its settings from the environment and from a file of configuration."""

    concurrent_requests: int = 10
    part_size_mib: int = 16

    @property
    def argv(self) -> list[str]:
        return ["aws"]

    @property
    def settings(self) -> dict[str, str]:
        config = self.folder / "aws-config"
        config.write_text(
            _CONFIG.format(
                concurrent_requests=self.concurrent_requests, part_size_mib=self.part_size_mib
            )
        )
        settings = {
            "PATH": f"{require_awscli()}:{os.environ['PATH']}",
            "AWS_CONFIG_FILE": str(config),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.front.url,
            "AWS_MAX_ATTEMPTS": "1",
        }
        if self.front.tls is not None:
            settings["AWS_CA_BUNDLE"] = str(self.front.tls.authority)
        return settings

    def s3(self, *arguments: str, given: bytes = b"") -> str:
        """What a successful ``aws s3`` command printed."""
        return self.run("s3", *arguments, given=given).output

    def api(self, *arguments: str) -> Any:
        """What a successful ``aws s3api`` command answered."""
        return self.run("s3api", *arguments).document

    def api_many(self, commands: Iterable[tuple[str, ...]]) -> None:
        """Run ``aws s3api`` commands, which must succeed, in one process."""
        lines = (json.dumps(["s3api", *command]) for command in commands)
        subprocess.run(
            [str(require_awscli() / "python"), "-c", _MANY],
            env=self.environ,
            cwd=self.folder,
            input="\n".join(lines).encode(),
            stdout=subprocess.DEVNULL,
            timeout=_MANY_SECONDS,
            check=True,
        )
