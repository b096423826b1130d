"""A process of background work, ``python -m s3front.work``: the workers of the table.

It serves nobody, so that no job shares an event loop with S3 traffic. There may be any number of
such processes on any hosts: each job is done by the one that has its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from functools import partial

from s3front.daemon_clients import (
    daemon_credentials,
    data_client,
    metadata_client,
    renew,
    surroundings,
    usable_locations,
)
from s3front.keys.keepers import Keychain
from s3front.keys.sealing import Keys
from s3front.locations.outbound import outbound
from s3front.locations.registry import LocationRegistry
from s3front.metadata.gateway import MetadataGateway
from s3front.rpc.rpc_client import RpcClient
from s3front.work.job_lease import LeasedMetadata
from s3front.work.runner import Runner, holder_name
from s3front.work.worker import Registration, Tools
from s3front.work.workers import WORKERS
from shared.config import Config, ConfigError, load_config
from shared.process.logs import EventLog, configure_logging, get_logger
from shared.process.problems import exit_with_problem
from shared.process.program import arm_failpoint, run_process, serve_until_stopped
from shared.process.vital import vital

_CLOSE_SECONDS_MAX = 5.0


async def work(config: Config, workers: Sequence[Registration] = WORKERS) -> None:
    """Work until told to stop. Raises ConfigError before it is ready."""
    configure_logging("s3front-work", config.log.log_level, layout=config.log.format)
    log = get_logger()
    arm_failpoint(config.failpoint, log)
    client, store = metadata_client(config, log), data_client(config)
    around = surroundings(config, store, log)
    locations = LocationRegistry(usable_locations(config, log), around)
    gateway = MetadataGateway(client)
    keychain = Keychain(config.keepers(), log, gateway, outbound(config))
    tools = _tools(config, client, locations, keychain.keys, log)
    runner = Runner(partial(LeasedMetadata, client), tools, workers, holder_name())

    def reload() -> None:
        nonlocal locations
        try:
            new = load_config()
            renewed, credentials = usable_locations(new, log), daemon_credentials(new)
            keychain.renew(new.keepers())
        except ConfigError as error:
            log.error("reload refused, the old configuration stays", reason=str(error))
            return
        renew(client, store, credentials)
        locations = locations.renewed(renewed)
        runner.use(_tools(new, client, locations, keychain.keys, log))
        log.info("configuration reloaded")

    client.start()
    working = vital(asyncio.get_running_loop().create_task(runner.run(), name="background work"))
    try:
        log.info("serving", workers=[worker.name for worker in workers])
        await serve_until_stopped(reload)
    finally:
        working.cancel()
        await asyncio.wait({working})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                await runner.close()
        await locations.close()
        await keychain.close()
        await store.close()
        await client.close()


def _tools(
    config: Config, client: RpcClient, locations: LocationRegistry, keys: Keys, log: EventLog
) -> Tools:
    return Tools(
        metadata=MetadataGateway(client),
        locations=locations,
        keys=keys,
        encrypts_all=config.global_encryption_enabled,
        delete_delay_seconds=config.delete_delay_seconds,
        log=log,
        clock=time.monotonic,
        wall_clock=time.time,
        stray_seconds=config.gc_grace_seconds,
    )


def main(workers: Sequence[Registration] = WORKERS) -> None:
    """Run the process."""
    try:
        config = load_config()
        run_process(lambda: work(config, workers))
    except ConfigError as problem:
        exit_with_problem("s3front", problem)


if __name__ == "__main__":
    main()
