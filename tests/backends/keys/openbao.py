"""OpenBao, the open fork of HashiCorp Vault, on this machine, with a transit engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from shared.config.encryption import Vault
from shared.config.validation import parse
from tests.clients.program import BUILD, require
from tests.servers import Process, Tls, accepts_connections, free_port, wait_for

PROGRAM: Final = BUILD / "openbao" / "bin" / "bao"
ROOT: Final = "root-token-of-tests"
KEY: Final = "twofold"
POLICY: Final = """
path "transit/datakey/plaintext/twofold" { capabilities = ["update"] }
path "transit/decrypt/twofold" { capabilities = ["update"] }
"""
"""What docs/encryption.md says that this server needs."""


@dataclass
class OpenBao:
    """A running OpenBao in development mode: all it has is in memory. ``port`` is where its
    clients are to ask, which may be in front of it."""

    process: Process
    own_port: int
    port: int = 0
    tls: Tls | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port or self.own_port}"

    def call(
        self, method: str, path: str, document: object = None, token: str = ROOT, *also: int
    ) -> Mapping[str, Any]:
        """What an operator would do. Fails unless it is done, or answered with a status that may
        be ``also``."""
        scheme = "http" if self.tls is None else "https"
        answer = requests.request(
            method,
            f"{scheme}://127.0.0.1:{self.own_port}/v1/{path}",
            json=document,
            headers={"X-Vault-Token": token} if token else {},
            timeout=10,
            verify=True if self.tls is None else str(self.tls.authority),
        )
        assert answer.status_code in (200, 204, *also), (
            f"{path}: {answer.status_code} {answer.text}"
        )
        found: Mapping[str, Any] = answer.json() if answer.text else {}
        return found

    def token(self, policies: str = "twofold", **more: Any) -> str:
        """A token of an operator's making."""
        document = {"policies": [policies], "no_default_policy": False, **more}
        return str(self.call("POST", "auth/token/create-orphan", document)["auth"]["client_token"])

    def looked_up(self, token: str) -> Mapping[str, Any]:
        """What is known of a token; nothing of one that has ended."""
        found = self.call("POST", "auth/token/lookup", {"token": token}, ROOT, 403)
        known: Mapping[str, Any] = found.get("data") or {}
        return known

    def app_role(self, **more: Any) -> dict[str, Any]:
        """The settings of a new AppRole."""
        self.call("POST", "auth/approle/role/twofold", {"token_policies": "twofold", **more})
        role = self.call("GET", "auth/approle/role/twofold/role-id")["data"]["role_id"]
        secret = self.call("POST", "auth/approle/role/twofold/secret-id")["data"]["secret_id"]
        return {"roleId": role, "secretId": secret}

    def document(self, **more: Any) -> dict[str, Any]:
        """``encryption.vault`` of config.json."""
        ways = {"token", "tokenFile", "roleId"}
        way = {} if ways & more.keys() else {"token": ROOT}
        return {"address": self.address, **way, **self.more, **more}

    def settings(self, **more: Any) -> Vault:
        return parse(Vault, json.loads(json.dumps(self.document(**more))), "config.json")


@contextmanager
def openbao(folder: Path, tls: Tls | None = None, *, is_set_up: bool = True) -> Iterator[OpenBao]:
    """OpenBao as long as the block runs, with what an operator has to set up."""
    port = free_port()
    argv = [str(require(PROGRAM)), "server", "-dev", "-dev-no-store-token"]
    environ = {**os.environ, "BAO_DEV_ROOT_TOKEN_ID": ROOT, "HOME": str(folder)}
    if tls is None:
        argv += [f"-dev-listen-address=127.0.0.1:{port}"]
    else:
        argv += [f"-dev-listen-address=127.0.0.1:{free_port()}"]
        configuration = folder / "openbao.hcl"
        configuration.write_text(
            f'listener "tcp" {{ address = "127.0.0.1:{port}" tls_cert_file = "{tls.certificate}" '
            f'tls_key_file = "{tls.key}" }}\n'
        )
        argv += [f"-config={configuration}"]
    process = Process("openbao", argv, environ, folder / "openbao.log")
    process.start()
    try:
        wait_for(
            lambda: process.poll() is not None or "Root Token" in process.output_of_this_run,
            lambda: f"openbao: {process.output[-2000:]}",
        )
        wait_for(lambda: accepts_connections(port), "openbao's port")
        bao = OpenBao(process, port, tls=tls)
        if is_set_up:
            set_up(bao)
        yield bao
    finally:
        process.kill()


def set_up(bao: OpenBao) -> None:
    """The engine, the key, and who may use it."""
    bao.call("POST", "sys/mounts/transit", {"type": "transit"})
    bao.call("POST", f"transit/keys/{KEY}", {"derived": True})
    bao.call("PUT", "sys/policies/acl/twofold", {"policy": POLICY})
    bao.call("POST", "sys/auth/approle", {"type": "approle"})
