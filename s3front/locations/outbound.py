"""How clouds are reached: through which proxy, and by how many connections.

``outboundProxy`` and ``externalBackends`` of config.json, and, before them, the variables that
other programs have for proxies (``reference/cloudserver-features.md``, section 4).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from s3front.locations.origin import ANY_POOL, Pool, Proxy
from shared.config import Config, ConfigError
from shared.config.errors import ENVIRONMENT
from shared.config.model import HttpAgent, OutboundProxy
from shared.config.values import ProxyAddress, parse_proxy

if TYPE_CHECKING:
    import ssl

_CERTIFICATE: Final = "HTTPS_PROXY_CERTIFICATE"


class Outbound(msgspec.Struct, frozen=True):
    """``plain`` and ``secure`` are the proxies for servers without TLS and with it; ``exempt`` are
    the hosts that are reached without one. ``pools`` are by type of location."""

    plain: Proxy | None = None
    secure: Proxy | None = None
    exempt: tuple[str, ...] = ()
    pools: Mapping[str, Pool] = MappingProxyType({})

    def proxy(self, host: str, port: int, *, tls: bool) -> Proxy | None:
        """The proxy for a server; None when it is reached without."""
        found = self.secure if tls else self.plain
        if found is None or is_here(host) or any(_covers(e, host, port) for e in self.exempt):
            return None
        return found

    def pool(self, type_name: str) -> Pool:
        """That of a location of this type."""
        return self.pools.get(type_name, ANY_POOL)


DIRECT: Final = Outbound()


def outbound(config: Config, environ: Mapping[str, str] = os.environ) -> Outbound:
    """As it is configured. Raises ConfigError."""
    settings = config.outbound_proxy
    plain = _from_environment(environ, "HTTP_PROXY") or settings.url
    secure = _from_environment(environ, "HTTPS_PROXY") or settings.url
    tls = None
    if any(address is not None and address.secure for address in (plain, secure)):
        tls = _proxy_tls(settings, config, environ)
    agents = config.external_backends
    return Outbound(
        _proxy(plain, tls),
        _proxy(secure, tls),
        tuple(part.strip() for part in _variable(environ, "NO_PROXY").split(",") if part.strip()),
        {"aws_s3": _pool(agents.aws_s3.http_agent), "gcp": _pool(agents.gcp.http_agent)},
    )


def _variable(environ: Mapping[str, str], name: str) -> str:
    """One of the variables that programs know in capitals and without."""
    return environ.get(name) or environ.get(name.lower()) or ""


def _from_environment(environ: Mapping[str, str], name: str) -> ProxyAddress | None:
    text = _variable(environ, name)
    if not text:
        return None
    try:
        return parse_proxy(text if "://" in text else f"http://{text}")
    except ValueError as error:
        raise ConfigError(ENVIRONMENT, name, str(error)) from None


def _proxy_tls(
    settings: OutboundProxy, config: Config, environ: Mapping[str, str]
) -> ssl.SSLContext:
    from shared.tls import load_identity, trusting_context  # noqa: PLC0415  # on first use

    named = environ.get(_CERTIFICATE)
    if named:
        tls = trusting_context(config.directory / named, ENVIRONMENT, _CERTIFICATE)
    else:
        bundle = settings.ca_bundle and config.directory / settings.ca_bundle
        tls = trusting_context(bundle, config.file, "outboundProxy.caBundle")
    if settings.key is not None and settings.cert is not None:
        paths: tuple[Path, Path] = (
            config.directory / settings.key,
            config.directory / settings.cert,
        )
        load_identity(tls, *paths, config.file, "outboundProxy")
    return tls


def _proxy(address: ProxyAddress | None, tls: ssl.SSLContext | None) -> Proxy | None:
    if address is None:
        return None
    authorization = address.authorization
    return Proxy(
        address.host,
        address.port,
        tls if address.secure else None,
        None if authorization is None else authorization.reveal(),
    )


def _pool(agent: HttpAgent) -> Pool:
    return Pool(
        agent.max_free_sockets if agent.keep_alive else 0,
        agent.max_sockets,
        max(agent.keep_alive_msecs // 1000, 1) if agent.keep_alive else None,
    )


def is_here(host: str) -> bool:
    """Whether what is sent to a host, a name or an address without brackets, stays on this
    machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY is about a host: a name and all below it, an address, a network,
    each with a port or without, or ``*``."""
    if entry == "*":
        return True
    name, separator, number = entry.rpartition(":")
    if separator and number.isdigit() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").lower().removeprefix("*").removeprefix(".")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return host.lower() == entry or host.lower().endswith(f".{entry}")
