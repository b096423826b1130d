"""A front-end process: everything that it is made of, put together."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace

from s3front.app import App
from s3front.context import Services
from s3front.http_server import create_http_server
from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.registry import LocationRegistry
from s3front.metadata.store import MetadataStore
from shared.config import Config, ConfigError, load_accounts, load_config, load_locations
from shared.observability import configure_logging, get_logger
from shared.process import STOP_SECONDS_MAX, serve_until_stopped
from shared.rpc.client import RpcClient
from shared.rpc.envelope import METADATA_NAMESPACE

LISTEN_FDS = "TWOFOLD_LISTEN_FDS"
"""Environment variable: the listening sockets that a front-end inherits, comma-separated."""


async def serve(config: Config) -> None:
    """Serve on the inherited sockets until told to stop. Raises ConfigError before it is ready."""
    configure_logging("s3front", config.log.log_level)
    log = get_logger()
    for warning in config.warnings:
        log.warning("setting without effect", setting=warning)
    tls = tls_context(config)
    accounts, locations = load_accounts(config), load_locations(config)
    client = RpcClient(
        _url(config.metadata_client.host, config.metadata_client.port),
        METADATA_NAMESPACE,
        log,
        call_timeout_seconds=config.metadata_client.call_timeout_ms / 1000,
    )
    store = DmdFileStore(config.data_client.host, config.data_client.port)
    services = Services(
        metadata=MetadataStore(client),
        locations=LocationRegistry(locations, store),
        accounts=accounts,
        endpoints=config.rest_endpoints,
        health_networks=config.health_checks.allow_from,
        log=log,
    )
    app = App(services)
    server = create_http_server(app.handle, log)
    client.start()
    try:
        for listener in inherited_sockets():
            await server.listen(listener, tls)
        log.info("serving", port=server.port, tls=tls is not None)
        await serve_until_stopped(lambda: _reload(app, store))
        await server.close(STOP_SECONDS_MAX)
    finally:
        await store.close()
        await client.close()


def _reload(app: App, store: DmdFileStore) -> None:
    """Read credentials, locations and endpoints again; keep the old ones when they are bad."""
    log = app.services.log
    try:
        config = load_config()
        accounts, locations = load_accounts(config), load_locations(config)
    except ConfigError as error:
        log.error("reload refused, the old configuration stays", reason=str(error))
        return
    app.services = replace(
        app.services,
        accounts=accounts,
        locations=LocationRegistry(locations, store),
        endpoints=config.rest_endpoints,
        health_networks=config.health_checks.allow_from,
    )
    log.info("configuration reloaded")


def tls_context(config: Config) -> ssl.SSLContext | None:
    """The TLS settings of the S3 port, None for plain HTTP; raises ConfigError."""
    paths = config.cert_file_paths
    if paths is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            config.directory / paths.cert, config.directory / paths.key, _no_password
        )
        if paths.ca is not None:
            context.load_verify_locations(config.directory / paths.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(config.file, "certFilePaths", str(error)) from error
    return context


def _no_password() -> str:
    """OpenSSL would ask for the password of an encrypted key on the terminal."""
    raise OSError("the key is encrypted; give one without password")


def bind_sockets(config: Config) -> list[socket.socket]:
    """Sockets bound to the configured addresses, not listening yet; raises OSError.

    Every address of the machine is two sockets, as IPv6 ones do not serve IPv4 on every system.
    """
    sockets: list[socket.socket] = []
    try:
        for host, port in config.listen_addresses:
            for name in (host,) if host else ("0.0.0.0", "::"):  # noqa: S104  # the S3 port is public
                if name == "::" and not socket.has_dualstack_ipv6():
                    continue
                sockets.append(_bind(name, port))
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setblocking(False)
            bound.bind(address)
            # Two processes that bound the same address both believe in it until one listens.
            bound.listen(1024)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return bound


def inherited_sockets() -> Sequence[socket.socket]:
    """The sockets that the supervisor has bound for this process."""
    names = os.environ.get(LISTEN_FDS, "")
    return [socket.socket(fileno=int(name)) for name in names.split(",") if name]


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
