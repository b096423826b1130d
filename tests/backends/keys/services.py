"""Every kind of key service, with something in front of it that fails as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from s3front.keys import remote_keepers
from s3front.keys.base import MasterKeys
from s3front.keys.data_key_cache import CachedKeys
from s3front.keys.kmip import make_kmip
from s3front.keys.making import Making
from shared.config.encryption import Keepers, KmsAws, Vault
from shared.config.validation import parse
from tests.backends.keys.describing import described, making
from tests.backends.keys.moto_kms import moto
from tests.backends.keys.openbao import KEY, openbao
from tests.backends.keys.pykmip_server import pykmip
from tests.faults.http_faults import Act, HttpFaults, Misbehaviour, Stage
from tests.faults.proxy import TcpProxy
from tests.unit.s3front.locations.scripted_remote import KeptLog

Faults = HttpFaults | TcpProxy


@dataclass
class Service:
    """A key service. ``settings`` describe it in config.json; ``key_id`` is what clients are shown
    of its current master key, ``named`` what they may call it, and ``withdraw`` takes it out of
    use."""

    name: str
    faults: Faults
    described: Keepers
    make: Callable[[Making], MasterKeys]
    settings: dict[str, Any]
    key_id: str
    named: str
    withdraw: Callable[[], object]
    wrap_as_original: Callable[[bytes], bytes] | None = None
    """Wraps a data key as CloudServer has it wrapped, where it knows this kind of service."""

    @asynccontextmanager
    async def keeper(self, log: KeptLog | None = None) -> AsyncIterator[CachedKeys]:
        """It, as a front-end asks it."""
        self.faults.heal()
        keys = self.make(making(log, of=self.described))
        assert isinstance(keys, CachedKeys)
        try:
            yield keys
        finally:
            await keys.close()
            self.faults.heal()


def vault(folder: Path, stack: ExitStack) -> Service:
    """OpenBao."""
    running = stack.enter_context(openbao(folder))
    faults = stack.enter_context(HttpFaults(running.own_port))
    running.port = faults.port
    document = running.document()
    return Service(
        "vault",
        faults,
        described(vault=parse(Vault, document, "config.json")),
        remote_keepers.vault,
        {"encryption": {"vault": document}},
        f"{KEY}:v1",
        KEY,
        lambda: running.call("DELETE", f"transit/keys/{KEY}/soft-delete"),
    )


def aws(folder: Path, stack: ExitStack) -> Service:
    """moto."""
    running = stack.enter_context(moto(folder))
    arn = running.key("alias/twofold")
    faults = stack.enter_context(HttpFaults(running.own_port))
    running.port = faults.port
    document = running.document()
    return Service(
        "aws",
        faults,
        described(kms_aws=parse(KmsAws, document, "config.json")),
        remote_keepers.aws,
        {"kmsAWS": document},
        arn,
        "alias/twofold",
        lambda: running.kms.disable_key(KeyId=arn.rpartition("/")[2]),
        lambda key: running.kms.encrypt(KeyId=arn, Plaintext=key)["CiphertextBlob"],
    )


def kmip(folder: Path, stack: ExitStack) -> Service:
    """PyKMIP."""
    running = stack.enter_context(pykmip(folder))

    async def create() -> str:
        keys = make_kmip(running.settings(), "config.json", KeptLog())
        try:
            return await keys.create("of tests")
        finally:
            await keys.close()

    key_id = asyncio.run(create())
    faults = stack.enter_context(TcpProxy(running.own_port))
    running.port = faults.port
    return Service(
        "kmip",
        faults,
        described(kmip=running.settings(keyId=key_id)),
        remote_keepers.kmip,
        {"kmip": running.document(keyId=key_id)},
        key_id,
        key_id,
        lambda: running.revoke(key_id),
        lambda key: running.encrypt_with_zeros(key_id, key),
    )


KINDS: Final[dict[str, Callable[[Path, ExitStack], Service]]] = {
    "vault": vault,
    "aws": aws,
    "kmip": kmip,
}


def refuse(faults: Faults) -> None:
    """Nobody is there."""
    faults.refuse()
    if isinstance(faults, TcpProxy):
        faults.cut()


def hang(faults: Faults) -> None:
    """Nothing is answered."""
    if isinstance(faults, TcpProxy):
        faults.stall()
    else:
        faults.misbehave(Misbehaviour(Stage.HEAD, Act.HANG))
