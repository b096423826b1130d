"""The command ``s3front``: checks the configuration, binds the sockets, becomes the supervisor of
front-ends, of background work, or of both."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from s3front.keys.keyring_file import check_keyring, share_memory_key
from s3front.locations.location_config import load_locations
from s3front.locations.registry import TYPES
from s3front.port.listeners import LISTEN_FDS, bind_sockets
from s3front.process.private_daemon_start import private_children
from shared.config import Config, ConfigError, load_accounts, load_config
from shared.process.command_line import (
    HOST,
    PORT,
    Reader,
    pass_on_log_format,
    plain_options,
    read_count,
    set_variables,
)
from shared.process.problems import exit_with_problem
from shared.process.supervisor import Child, replace_with_supervisor

PROGRAM: Final = "s3front"
WORKERS_MAX: Final = 256

START_OPTIONS: Final[Mapping[str, Reader | None]] = {
    "--workers": read_count(WORKERS_MAX),
    "--host": HOST,
    "--port": PORT,
    "--no-work": None,
}
"""Those of ``start``, which ``s3front.front_usage`` declares."""

_WORK_MODULE: Final = "s3front.work"


def start(
    *,
    workers: int | None = None,
    host: str | None = None,
    port: int | None = None,
    no_work: bool = False,
) -> None:
    """Become the supervisor of front-end processes, and of one for background work beside them
    unless ``no_work``."""
    set_variables({"S3_HOST": host, "S3_PORT": port})
    try:
        config = load_config()
        # Everything that can be wrong is said once, here, and not by every worker.
        _check_tls(config)
        load_accounts(config)
        locations = load_locations(config, TYPES)
        share_memory_key(check_keyring(config.keepers()))
        sockets = bind_sockets(config)
        children = private_children(config, locations)
    except (ConfigError, OSError) as error:
        exit_with_problem(PROGRAM, error)
    pass_on_log_format(config)
    descriptors = tuple(bound.detach() for bound in sockets)
    os.environ[LISTEN_FDS] = ",".join(str(descriptor) for descriptor in descriptors)
    argv = [sys.executable, "-m", "s3front.process.serve"]
    count = workers or config.clusters
    children += [Child(f"{PROGRAM}-{number + 1}", argv, descriptors) for number in range(count)]
    if not no_work:
        # Whatever becomes of it, S3 is served.
        children.append(_work_process()._replace(is_essential=False))
    replace_with_supervisor(children, name=PROGRAM)


def work() -> None:
    """Become the supervisor of one process of background work."""
    try:
        config = load_config()
        _check_tls(config)
        load_locations(config, TYPES)
        check_keyring(config.keepers())
    except (ConfigError, OSError) as error:
        exit_with_problem(PROGRAM, error)
    pass_on_log_format(config)
    child = _work_process()
    replace_with_supervisor([child], name=child.name)


def _work_process() -> Child:
    return Child(f"{PROGRAM}-work", [sys.executable, "-m", _WORK_MODULE])


def _check_tls(config: Config) -> None:
    """Raises ConfigError."""
    clients = (config.metadata_client, config.data_client)
    if config.cert_file_paths is None and all(client.tls is None for client in clients):
        return
    from shared.credentials import (  # noqa: PLC0415  # on first use, because of ssl
        data_credentials,
        metadata_credentials,
    )
    from shared.tls import server_context  # noqa: PLC0415  # likewise

    if config.cert_file_paths is not None:
        server_context(config.cert_file_paths, config.file, "certFilePaths")
    metadata_credentials(config)
    data_credentials(config)


def main() -> None:
    """The entry point of the installed command."""
    arguments = sys.argv[1:]
    options = plain_options(arguments[1:], START_OPTIONS) if arguments[:1] == ["start"] else None
    if options is not None:
        start(**options)
    elif arguments == ["work"]:
        work()
    else:
        from s3front.front_usage import app  # noqa: PLC0415  # on first use

        app()
