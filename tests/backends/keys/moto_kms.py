"""moto's AWS KMS, as a process on this machine. It looks at no signature."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from shared.config.encryption import KmsAws
from shared.config.validation import parse
from tests.clients.program import BUILD, require
from tests.servers import Process, accepts_connections, free_port, wait_for

PROGRAM: Final = BUILD / "moto" / "bin" / "moto_server"
REGION: Final = "eu-west-3"


@dataclass
class Moto:
    """A running moto. ``port`` is where its clients are to ask, which may be in front of it."""

    process: Process
    own_port: int
    port: int = 0

    @property
    def kms(self) -> Any:
        """What an operator would use."""
        return boto3.client(
            "kms",
            endpoint_url=f"http://127.0.0.1:{self.own_port}",
            aws_access_key_id="operator",
            aws_secret_access_key="of-tests",
            region_name=REGION,
        )

    def key(self, alias: str = "") -> str:
        """A new master key; its ARN."""
        metadata = self.kms.create_key()["KeyMetadata"]
        if alias:
            self.kms.create_alias(AliasName=alias, TargetKeyId=metadata["KeyId"])
        return str(metadata["Arn"])

    def document(self, **more: Any) -> dict[str, Any]:
        """``kmsAWS`` of config.json."""
        return {
            "endpoint": f"http://127.0.0.1:{self.port or self.own_port}",
            "region": REGION,
            "ak": "server",
            "sk": "of-tests",
            **more,
        }

    def settings(self, **more: Any) -> KmsAws:
        return parse(KmsAws, self.document(**more), "config.json")


@contextmanager
def moto(folder: Path) -> Iterator[Moto]:
    """moto as long as the block runs."""
    port = free_port()
    argv = [str(require(PROGRAM)), "-H", "127.0.0.1", "-p", str(port)]
    process = Process("moto", argv, {"HOME": str(folder)}, folder / "moto.log")
    process.start()
    try:
        wait_for(
            lambda: process.poll() is not None or accepts_connections(port),
            lambda: f"moto: {process.output[-2000:]}",
            60,
        )
        yield Moto(process, port)
    finally:
        process.kill()
