"""The real ``aws`` program."""

from __future__ import annotations

import os
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
