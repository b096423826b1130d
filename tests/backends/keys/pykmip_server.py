"""PyKMIP's server, as a process on this machine, and certificates for it and its clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trustme

from s3front.keys import kmip_messages as messages
from s3front.keys.kmip import KmipKeys, make_kmip
from s3front.keys.kmip_messages import Operation, Tag, Version
from s3front.keys.kmip_ttlv import Item, enumeration, structure, text
from s3front.keys.sealed_data_key import Mode
from shared.config.encryption import Kmip
from shared.config.validation import parse
from tests.clients.program import BUILD, require
from tests.servers import Process, accepts_connections, free_port, wait_for
from tests.unit.s3front.locations.scripted_remote import KeptLog

PROGRAM: Final = BUILD / "pykmip" / "bin" / "pykmip-server"

_CONFIGURATION: Final = """[server]
hostname=127.0.0.1
port={port}
certificate_path={folder}/server.crt
key_path={folder}/server.key
ca_path={folder}/ca.crt
auth_suite=TLS1.2
policy_path={folder}/policies
enable_tls_client_auth=True
database_path={folder}/keys.db
logging_level=DEBUG
"""


@dataclass
class PyKmip:
    """A running server. ``port`` is where its clients are to ask, which may be in front of it."""

    process: Process
    folder: Path
    own_port: int
    port: int = 0

    def document(self, who: str = "s3front", **more: Any) -> dict[str, Any]:
        """``kmip`` of config.json, with the certificate of a client."""
        tls = {
            "host": "127.0.0.1",
            "port": self.port or self.own_port,
            "key": str(self.folder / f"{who}.key"),
            "cert": str(self.folder / f"{who}.crt"),
            "ca": str(self.folder / "ca.crt"),
        }
        return {"transport": {"tls": tls}, **more}

    def settings(self, who: str = "s3front", **more: Any) -> Kmip:
        return parse(Kmip, self.document(who, **more), "config.json")

    def revoke(self, key_id: str) -> None:
        """Take a key out of use, as an operator would."""
        asyncio.run(_revoke(self.settings(), key_id))

    def encrypt_with_zeros(self, key_id: str, data: bytes) -> bytes:
        """By AES-CBC with an initialisation vector of zeros, as CloudServer asks for it."""
        return asyncio.run(_encrypt_with_zeros(self.settings(), key_id, data))

    def restart(self) -> None:
        """End it, and start it again with what it has on disk."""
        self.process.kill()
        self.process.start()
        self.wait()

    def wait(self) -> None:
        """Until it listens."""
        wait_for(
            lambda: self.process.poll() is not None or accepts_connections(self.own_port),
            lambda: f"pykmip: {self.process.output[-2000:]}",
            60,
        )


async def _revoke(settings: Kmip, key_id: str) -> None:
    keys = make_kmip(settings, "config.json", KeptLog())
    try:
        await revoke(keys, key_id)
    finally:
        await keys.close()


async def _encrypt_with_zeros(settings: Kmip, key_id: str, data: bytes) -> bytes:
    keys = make_kmip(settings, "config.json", KeptLog())
    payload = messages.encrypt(key_id, Mode.CBC, bytes(16), data, b"")
    request = messages.request(Version(1, 4), Operation.ENCRYPT, payload)
    try:
        reply = messages.reply(await keys._connections.ask(request))
    finally:
        await keys.close()
    ciphered = None if reply.payload is None else reply.payload.octets(Tag.DATA)
    assert ciphered is not None, reply
    return ciphered


async def operate(keys: KmipKeys, operation: int, payload: list[Item]) -> None:
    """What this server never asks for itself."""
    request = messages.request(Version(1, 4), operation, payload)
    reply = messages.reply(await keys._connections.ask(request))
    assert reply.payload is not None, reply


async def revoke(keys: KmipKeys, key_id: str) -> None:
    """Take a key out of use."""
    reason = structure(0x420081, [enumeration(0x420082, 6), text(0x420080, "about to be deleted")])
    await operate(keys, 0x13, [*messages.of_key(key_id), reason])


def write_certificates(folder: Path) -> None:
    """An authority, the certificate of the server, and those of two clients."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    for name in ("server", "s3front", "stranger"):
        issued = authority.issue_cert("localhost", "127.0.0.1", common_name=name)
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.crt"))


@contextmanager
def pykmip(folder: Path) -> Iterator[PyKmip]:
    """PyKMIP as long as the block runs; its keys are on disk."""
    write_certificates(folder)
    (folder / "policies").mkdir()
    port = free_port()
    configuration = folder / "server.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, folder=folder))
    argv = [str(require(PROGRAM)), "-f", str(configuration), "-l", str(folder / "server.log")]
    environ = {**os.environ, "HOME": str(folder)}
    process = Process("pykmip", argv, environ, folder / "pykmip.log")
    running = PyKmip(process, folder, port)
    process.start()
    try:
        running.wait()
        yield running
    finally:
        process.kill()
