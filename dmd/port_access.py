"""Who may use the ports of a daemon's process: the shared secret, and TLS; SIGHUP renews both."""

from __future__ import annotations

from collections.abc import Callable

from shared.config import Config, ConfigError, load_config
from shared.config.model import DataDaemon, MetadataDaemon
from shared.daemon_secret import Gate
from shared.process.logs import EventLog
from shared.tls import port_context, renew

_LOOPBACK = ("localhost", "127.", "::1")

Section = Callable[[Config], DataDaemon | MetadataDaemon]
"""Finds the settings of one service."""


class PortAccess:
    """``gate`` and ``tls`` (None for plain ports) are those that the process serves with.

    ``key`` is the section's name in config.json. Raises ConfigError when a certificate is bad.
    """

    def __init__(self, config: Config, section: Section, key: str, log: EventLog) -> None:
        self._section = section
        self._key = f"{key}.certFilePaths"
        self._log = log
        settings = section(config)
        self.gate = Gate(config.shared_secret)
        self.tls = port_context(settings.cert_file_paths, config.file, self._key, log)
        self._warn_when_open(settings.bind_address)

    def reload(self) -> None:
        """Read secrets and certificates again; keep the old ones when something is bad."""
        try:
            config = load_config()
            paths = self._section(config).cert_file_paths
            renew(self.tls, paths, config.file, self._key, self._log)
        except ConfigError as error:
            self._log.error("reload refused, the old configuration stays", reason=str(error))
            return
        self.gate.secret = config.shared_secret
        self._log.info("secrets and certificates reloaded")
        self._warn_when_open(self._section(config).bind_address)

    def _warn_when_open(self, host: str) -> None:
        if not (host.startswith(_LOOPBACK) or self.gate.secret.required):
            self._log.warning(
                "ANYBODY WHO REACHES THIS PORT CAN READ AND CHANGE EVERYTHING: "
                "set daemonSecret, bind it to loopback or keep the network private",
                host=host,
            )
