"""Azurite, the emulator of Blob Storage that Azure's makers provide, with a container in it."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    LinearRetry,
    generate_container_sas,
)

from tests.clients.program import BUILD, require
from tests.servers import (
    REPOSITORY,
    Process,
    Tls,
    accepts_connections,
    free_port,
    wait_for,
)

ACCOUNT: Final = "twofoldtests"
CONTAINER: Final = "zenkontainer"
_PROGRAM: Final = BUILD / "azurite" / "node_modules" / ".bin" / "azurite-blob"


@dataclass(frozen=True)
class Azurite:
    """A running Azurite with an account."""

    process: Process
    port: int
    key: str
    tls: Tls | None = None

    @property
    def endpoint(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def service(self) -> BlobServiceClient:
        """Azure's own client, to look from the other side. It asks again when Azurite has just
        ended a connection that was kept."""
        return BlobServiceClient(
            self.endpoint,
            {"account_name": ACCOUNT, "account_key": self.key},
            retry_policy=LinearRetry(backoff=0, retry_total=3, random_jitter_range=0),
            connection_verify=True if self.tls is None else str(self.tls.authority),
        )

    def container(self, name: str = CONTAINER) -> ContainerClient:
        """A container, which is made if it is not there."""
        client = self.service.get_container_client(name)
        if not client.exists():
            client.create_container()
        return client

    def details(self, container: str = CONTAINER, **others: Any) -> dict[str, Any]:
        """The details of a location, as in locationConfig.json."""
        return {
            "azureStorageEndpoint": f"{self.endpoint}/",
            "azureContainerName": container,
            "azureStorageAccountName": ACCOUNT,
            "azureStorageAccessKey": self.key,
            "bucketMatch": True,
            **others,
        }

    def sas(self, permission: str, container: str = CONTAINER, hours: int = 1000) -> str:
        """A signature for a container."""
        return generate_container_sas(
            ACCOUNT,
            container,
            account_key=self.key,
            permission=ContainerSasPermissions.from_string(permission),
            expiry=datetime.now(UTC) + timedelta(hours=hours),
        )


@contextmanager
def azurite(folder: Path, *, in_memory: bool = True, tls: Tls | None = None) -> Iterator[Azurite]:
    """Azurite as long as the block runs; its blobs are in memory, or else in the folder. With TLS
    it takes tokens as well, and believes what they say."""
    port, key = free_port(), base64.b64encode(secrets.token_bytes(64)).decode()
    argv = [str(require(_PROGRAM)), "--blobPort", str(port), "--blobHost", "127.0.0.1"]
    argv += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    argv += ["--inMemoryPersistence"] if in_memory else ["--location", str(folder)]
    if tls is not None:
        argv += ["--cert", str(tls.certificate), "--key", str(tls.key), "--oauth", "basic"]
    path = f"{REPOSITORY / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    process = Process("azurite", argv, environ, folder / "azurite.log")
    process.start()
    try:
        wait_for(
            lambda: process.poll() is not None or accepts_connections(port),
            lambda: f"azurite: {process.output[-2000:]}",
        )
        yield Azurite(process, port, key, tls)
    finally:
        process.kill()
