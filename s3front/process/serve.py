"""A front-end process, ``python -m s3front.process.serve``: everything that it is made of, put
together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s3front.app import App
from s3front.auth.credential_sources import FileCredentials
from s3front.context import Services
from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.http_client import Origin
from s3front.locations.registry import LocationRegistry
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.listing_store import ListingStore
from s3front.metadata.object_store import ObjectStore
from s3front.metadata.upload_store import UploadStore
from s3front.port.forwarded import Proxies
from s3front.port.http_server import LARGE_BLOCKS_BYTES, create_http_server
from s3front.port.listeners import inherited_sockets
from s3front.process.accounts_watch import AccountsWatch
from s3front.rpc.rpc_client import RpcClient
from s3front.work.client_tokens import TokenWorker
from s3front.work.deletions import DeletionWorker
from s3front.work.job_lease import Lease
from s3front.work.runner import Job, holder_name, work
from s3front.work.upload_remains import PERIOD_SECONDS, UploadWorker
from shared import version_id
from shared.config import (
    Config,
    ConfigError,
    Location,
    load_accounts,
    load_config,
    load_locations,
    location_warnings,
)
from shared.credentials import data_credentials, metadata_credentials
from shared.process.heap import keep_freed_memory
from shared.process.logs import configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.program import (
    STOP_SECONDS_MAX,
    arm_failpoint,
    run_process,
    serve_until_stopped,
)
from shared.process.vital import vital
from shared.rpc.envelope import METADATA_NAMESPACE
from shared.tls import port_context, renew


async def serve(config: Config) -> None:
    """Serve on the inherited sockets until told to stop. Raises ConfigError before it is ready."""
    configure_logging("s3front", config.log.log_level, layout=config.log.format)
    log = get_logger()
    for warning in config.warnings:
        log.warning("setting without effect", setting=warning)
    arm_failpoint(config.failpoint, log)
    keep_freed_memory(LARGE_BLOCKS_BYTES)
    tls = port_context(config.cert_file_paths, config.file, "certFilePaths", log)
    watch = AccountsWatch(config, log)
    from_file, locations = FileCredentials(load_accounts(config)), _locations(config, log)
    credentials = metadata_credentials(config)
    client = RpcClient(
        _url(credentials.scheme, config.metadata_client.host, config.metadata_client.port),
        METADATA_NAMESPACE,
        log,
        call_timeout_seconds=config.metadata_client.call_timeout_ms / 1000,
        credentials=credentials,
    )
    data = config.data_client
    socket_path = data.socket_path and config.directory / data.socket_path
    store = DmdFileStore(
        Origin(data.host, data.port, socket_path), credentials=data_credentials(config)
    )
    metadata = MetadataGateway(client)
    buckets = BucketStore(metadata)
    oldest_version_id = version_id.infinite(config.replication_group_id)
    services = Services(
        metadata=metadata,
        buckets=buckets,
        objects=ObjectStore(metadata, buckets, oldest_version_id),
        listings=ListingStore(metadata),
        uploads=UploadStore(metadata),
        locations=LocationRegistry(locations, store),
        credentials=from_file,
        endpoints=config.endpoints,
        health_networks=config.health_checks.allow_from,
        log=log,
        proxies=_proxies(config),
        websites=config.website_endpoints,
        part_bytes_min=config.multipart_min_part_size_bytes,
        commit_seconds_max=config.commit_seconds_max,
    )
    app = App(services)
    loop = asyncio.get_running_loop()
    tasks = (
        vital(loop.create_task(_work(config, metadata, services), name="background work")),
        vital(loop.create_task(watch.run(from_file.use), name="accounts watch")),
    )
    server = create_http_server(app.handle, log, config.requests.body_memory_bytes)
    client.start()
    try:
        for listener in inherited_sockets():
            await server.listen(listener, tls)
        log.info("serving", port=server.port, tls=tls is not None, hosts=list(services.endpoints))
        await serve_until_stopped(lambda: _reload(app, from_file, client, store, tls))
        await server.close(STOP_SECONDS_MAX)
    finally:
        for task in tasks:
            task.cancel()
        await store.close()
        await client.close()


async def _work(config: Config, metadata: MetadataGateway, services: Services) -> None:
    """The background work of this process."""
    delay, log = config.delete_delay_seconds, services.log
    uploads = UploadWorker(metadata, services.uploads, log)
    jobs = (
        Job("deletions", DeletionWorker(metadata, services.locations, log, delay).run_once),
        Job("client tokens", TokenWorker(metadata).run_once),
        Job("uploads of deleted buckets", uploads.finish_deleted),
        Job("uploads", uploads.look_everywhere, PERIOD_SECONDS),
    )
    await work(Lease(metadata, "background", holder_name()), jobs, log)


def _reload(
    app: App,
    from_file: FileCredentials,
    client: RpcClient,
    store: DmdFileStore,
    tls: ssl.SSLContext | None,
) -> None:
    """Read credentials, certificates, locations and endpoints again; keep the old ones when they
    are bad."""
    log = app.services.log
    try:
        config = load_config()
        accounts, locations = load_accounts(config), _locations(config, log)
        metadata, data = metadata_credentials(config), data_credentials(config)
        renew(tls, config.cert_file_paths, config.file, "certFilePaths", log)
    except ConfigError as error:
        log.error("reload refused, the old configuration stays", reason=str(error))
        return
    from_file.use(accounts)
    client.credentials = client.credentials.renewed(metadata)
    store.credentials = store.credentials.renewed(data)
    app.services = replace(
        app.services,
        locations=LocationRegistry(locations, store),
        endpoints=config.endpoints,
        health_networks=config.health_checks.allow_from,
        proxies=_proxies(config),
        websites=config.website_endpoints,
    )
    log.info("configuration reloaded")


def _locations(config: Config, log: Any) -> Mapping[str, Location]:
    """The configured locations, with a warning for each that cannot be used."""
    locations = load_locations(config)
    for warning in location_warnings(locations):
        log.warning("location without effect", location=warning)
    return locations


def _proxies(config: Config) -> Proxies:
    settings = config.requests
    return Proxies(
        settings.trusted_proxy_cidrs if settings.via_proxy else (),
        settings.extract_client_ip_from_header,
        settings.public_endpoints,
    )


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


if __name__ == "__main__":
    try:
        settings = load_config()
        run_process(lambda: serve(settings))
    except ConfigError as problem:
        exit_with_problem("s3front", problem)
