"""A front-end process, ``python -m s3front.process.serve``: everything that it is made of, put
together."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

from s3front.app import App
from s3front.authz.new_buckets import NewBuckets
from s3front.context import Services
from s3front.daemon_clients import (
    daemon_credentials,
    data_client,
    metadata_client,
    surroundings,
    usable_locations,
)
from s3front.daemon_clients import renew as renew_credentials
from s3front.encryption.choice import EncryptionSettings
from s3front.keys.keepers import Keychain
from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.one_hop import OneHop
from s3front.locations.outbound import outbound
from s3front.locations.registry import LocationRegistry
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.listing_store import ListingStore
from s3front.metadata.object_store import ObjectStore
from s3front.metadata.refusal_store import RefusalStore
from s3front.metadata.upload_store import UploadStore
from s3front.port.forwarded import Proxies
from s3front.port.http_server import LARGE_BLOCKS_BYTES, create_http_server
from s3front.port.listeners import inherited_sockets
from s3front.process.accounts_watch import AccountsWatch
from s3front.process.identity_parts import IdentityParts
from s3front.process.key_looks import KeyLooks
from s3front.process.place_looks import PlaceLooks
from s3front.rpc.rpc_client import RpcClient
from shared import version_id
from shared.config import (
    Config,
    ConfigError,
    load_accounts,
    load_config,
)
from shared.process.descriptors import connections_within_limit
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
    accounts, locations = load_accounts(config), usable_locations(config, log)
    client, store = metadata_client(config, log), data_client(config)
    metadata = MetadataGateway(client)
    keychain = Keychain(config.keepers(), log, metadata, outbound(config))
    identities = IdentityParts(config, accounts, metadata, keychain, log)
    buckets, refusals = BucketStore(metadata), RefusalStore(metadata)
    oldest_version_id = version_id.infinite(config.replication_group_id)
    services = Services(
        metadata=metadata,
        buckets=buckets,
        objects=ObjectStore(metadata, buckets, oldest_version_id),
        listings=ListingStore(metadata),
        uploads=UploadStore(metadata, buckets),
        locations=LocationRegistry(locations, surroundings(config, store, log)),
        credentials=identities.credentials,
        endpoints=config.endpoints,
        health_networks=config.health_checks.allow_from,
        log=log,
        proxies=_proxies(config),
        websites=config.website_endpoints,
        part_bytes_min=config.multipart_min_part_size_bytes,
        commit_seconds_max=config.commit_seconds_max,
        keys=keychain.keys,
        encryption_settings=_encryption_settings(config),
        public_read_buckets=config.public_read_buckets,
        one_hop=OneHop(client, store),
        directory=identities.directory,
        identities=identities.store,
        sessions=identities.sessions,
        refusals=refusals,
        new_buckets=_new_buckets(config),
    )
    app = App(services)
    loop = asyncio.get_running_loop()
    watching = vital(loop.create_task(watch.run(identities.use), name="accounts watch"))
    writing = vital(loop.create_task(refusals.run(), name="refusals"))
    requests = config.requests
    most = connections_within_limit(requests.max_connections)
    server = create_http_server(app.handle, log, requests.body_memory_bytes, most)
    looks, key_looks = PlaceLooks(log), KeyLooks(metadata, log)

    def reload() -> None:
        _reload(app, identities, client, store, tls, keychain)
        looks.begin(app.services.locations)
        key_looks.begin(app.services)

    client.start()
    identities.begin()
    try:
        for listener in inherited_sockets():
            await server.listen(listener, tls)
        log.info("serving", port=server.port, tls=tls is not None, hosts=list(services.endpoints))
        looks.begin(app.services.locations)
        key_looks.begin(app.services)
        await serve_until_stopped(reload)
        await server.close(STOP_SECONDS_MAX)
    finally:
        watching.cancel()
        writing.cancel()
        looks.close()
        key_looks.close()
        await identities.close()
        await app.services.locations.close()
        await keychain.close()
        await store.close()
        await client.close()


def _reload(
    app: App,
    identities: IdentityParts,
    client: RpcClient,
    store: DmdFileStore,
    tls: ssl.SSLContext | None,
    keychain: Keychain,
) -> None:
    """Read credentials, certificates, locations, keys and endpoints again; keep the old ones when
    they are bad."""
    log = app.services.log
    try:
        config = load_config()
        accounts, locations = load_accounts(config), usable_locations(config, log)
        credentials, renew_providers = daemon_credentials(config), identities.renewing(config)
        keychain.renew(config.keepers())
        renew(tls, config.cert_file_paths, config.file, "certFilePaths", log)
    except ConfigError as error:
        log.error("reload refused, the old configuration stays", reason=str(error))
        return
    identities.use(accounts)
    renew_providers()
    renew_credentials(client, store, credentials)
    app.services = replace(
        app.services,
        locations=app.services.locations.renewed(locations),
        endpoints=config.endpoints,
        health_networks=config.health_checks.allow_from,
        proxies=_proxies(config),
        websites=config.website_endpoints,
        keys=keychain.keys,
        encryption_settings=_encryption_settings(config),
        public_read_buckets=config.public_read_buckets,
        new_buckets=_new_buckets(config),
    )
    log.info("configuration reloaded")


def _proxies(config: Config) -> Proxies:
    settings = config.requests
    return Proxies(
        settings.trusted_proxy_cidrs if settings.via_proxy else (),
        settings.extract_client_ip_from_header,
        settings.public_endpoints,
    )


def _new_buckets(config: Config) -> NewBuckets:
    return NewBuckets(config.default_object_ownership, config.default_public_access_block)


def _encryption_settings(config: Config) -> EncryptionSettings:
    return EncryptionSettings(
        config.global_encryption_enabled, config.encryption.customer_keys_over_http
    )


if __name__ == "__main__":
    try:
        settings = load_config()
        run_process(lambda: serve(settings))
    except ConfigError as problem:
        exit_with_problem("s3front", problem)
