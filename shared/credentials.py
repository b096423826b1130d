"""How a client of the daemon is let in: the secret that it shows, and the TLS that it speaks."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final

from shared.config import Config
from shared.daemon_secret import DaemonSecret
from shared.tls import client_context


@dataclass(frozen=True, slots=True)
class Credentials:
    """``tls``, None towards a plain port, verifies the server's certificate and host name."""

    secret: DaemonSecret = field(default_factory=DaemonSecret)
    tls: ssl.SSLContext | None = None

    @property
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"

    def renewed(self, new: Credentials) -> Credentials:
        """These, as far as they can change while a client is in use: it goes on to speak TLS, or
        not to speak it, since the address that it was given says so."""
        return new if (new.tls is None) == (self.tls is None) else Credentials(new.secret, self.tls)


NO_CREDENTIALS: Final = Credentials()
"""Those towards a daemon that lets everybody in, on plain ports."""


def metadata_credentials(config: Config) -> Credentials:
    """Those of ``metadataClient``, or of metadata in memory. Raises ConfigError."""
    private = config.private_daemon
    if private is not None and private.metadata_port is not None:
        return Credentials(DaemonSecret((private.secret.reveal(),)))
    tls = client_context(config.metadata_client.tls, config.file, "metadataClient.tls")
    return Credentials(config.shared_secret, tls)


def data_credentials(config: Config) -> Credentials:
    """Those of ``dataClient``. Raises ConfigError."""
    tls = client_context(config.data_client.tls, config.file, "dataClient.tls")
    return Credentials(config.shared_secret, tls)
