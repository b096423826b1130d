"""oidc-provider, a certified OpenID Connect provider, as a process on this machine, over TLS."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.clients.program import BUILD, require
from tests.servers import REPOSITORY, Process, Tls, accepts_connections, free_port, wait_for

HERE: Final = ("127.0.0.0/8", "::1")
"""Where it is, which is where no provider may be unless that is said."""

MODULES: Final = BUILD / "oidc" / "node_modules" / "oidc-provider"
_PROGRAM: Final = REPOSITORY / "tests" / "backends" / "oidc" / "provider.mjs"
_NODE: Final = REPOSITORY / ".venv" / "bin" / "node"


@dataclass
class OidcProvider:
    """A running provider; ``path`` is that of its issuer. It signs with the first of its keys."""

    folder: Path
    tls: Tls
    port: int
    path: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    claims: tuple[str, ...] = ()
    process: Process | None = None

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.port}{self.path}"

    @property
    def place(self) -> str:
        """As identity providers are registered."""
        return self.issuer.removeprefix("https://")

    def start(self) -> None:
        """Start, or start again with other keys, and wait until it answers."""
        if self.process is not None:
            self.process.kill()
            # The kernel may hold what Node listens on for a moment longer (io_uring).
            wait_for(lambda: not accepts_connections(self.port), "the port of the provider")
        settings = self.folder / "oidc.json"
        settings.write_text(
            json.dumps(
                {
                    "port": self.port,
                    "path": self.path,
                    "key": str(self.tls.key),
                    "cert": str(self.tls.certificate),
                    "keys": self.keys,
                    "claims": self.claims,
                }
            )
        )
        node = str(_NODE) if _NODE.exists() else shutil.which("node") or "node"
        argv = [node, str(_PROGRAM), str(settings), str(require(MODULES).parent)]
        process = Process("oidc", argv, dict(os.environ), self.folder / "oidc.log")
        process.start()
        self.process = process
        wait_for(
            lambda: process.poll() is not None or accepts_connections(self.port),
            lambda: f"oidc-provider: {process.output[-2000:]}",
            60,
        )

    def token(self, audience: str = "app", seconds: int = 600, **claims: Any) -> str:
        """An ID token that it issues."""
        said = {"sub": "somebody", **claims}
        response = requests.post(
            f"https://localhost:{self.port}/issue",
            json={"audience": audience, "seconds": seconds, "claims": said},
            verify=str(self.tls.authority),
            timeout=30,
        )
        assert response.status_code == 200, response.text
        return response.text

    def rotate(self, *keys: dict[str, Any]) -> None:
        """Sign by another key from now on, and publish none of those before."""
        self.keys = list(keys)
        self.start()


def rsa_key(key_id: str) -> dict[str, Any]:
    """A private key that signs with RS256."""
    key = rsa.generate_private_key(65537, 2048)
    return _published(RSAAlgorithm.to_jwk(key, as_dict=True), key_id, "RS256")


def ec_key(key_id: str) -> dict[str, Any]:
    """A private key that signs with ES256."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _published(ECAlgorithm.to_jwk(key, as_dict=True), key_id, "ES256")


def _published(key: dict[str, Any], key_id: str, algorithm: str) -> dict[str, Any]:
    key.pop("key_ops", None)  # those of the private key, which the public one would have as well
    return {**key, "kid": key_id, "alg": algorithm, "use": "sig"}


@contextmanager
def oidc_provider(folder: Path, tls: Tls, path: str = "") -> Iterator[OidcProvider]:
    """A provider as long as the block runs."""
    provider = OidcProvider(folder, tls, free_port(), path, [rsa_key("first")])
    provider.start()
    try:
        yield provider
    finally:
        if provider.process is not None:
            provider.process.kill()
