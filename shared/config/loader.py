"""``load_config``: config.json and the environment, as one Config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from shared.config.compatibility import SET_ASIDE, set_aside, variable_warnings
from shared.config.documents import display_name, find, read_document
from shared.config.environment import (
    Environment,
    backends,
    credentials,
    daemon_secrets,
    memory_key,
    public_read_buckets,
    refuse,
    settings_updates,
    version_id_encoding,
)
from shared.config.errors import ConfigError
from shared.config.model import CertFilePaths, Config, Settings
from shared.config.private_daemon import (
    PART_OF_PRIVATE_DAEMON,
    PRIVATE_DAEMON,
    as_private_daemon,
    parse_private_daemon,
    with_private_metadata,
)
from shared.config.validation import SectionT, parse
from shared.config.values import parse_flag
from shared.failpoints import parse_failpoint

_NAME = "config.json"


def load_config(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Config:
    """The configuration of this process.

    ``environ`` stands for the process environment and ``directory`` for the working directory
    when not given. The file is the one that S3_CONFIG_FILE names, else ``conf/config.json``, else
    ``config.json``, else the built-in defaults, which are those of the stock file. Raises
    ConfigError for the first thing wrong. Of other files it reads that of the secret alone:
    accounts and locations have their own functions.
    """
    directory = Path.cwd() if directory is None else directory.absolute()
    variables = os.environ if environ is None else environ
    environment = Environment(variables, directory)
    path = environment.existing_file("S3_CONFIG_FILE") or find(directory, _NAME)
    file = _NAME if path is None else display_name(path, directory)
    settings, warnings = (Settings(), ()) if path is None else _settings(path, file)
    settings = replace(settings, **settings_updates(settings, environment))
    secured = _secured(settings, environment, directory, file)
    data = environment.directory("S3_DATA_DIR")
    within = "" if data is None else f"{data}/"
    config = Config(
        **asdict(settings) | secured,
        file=file,
        directory=directory,
        data_path=environment.path("S3DATAPATH", f"{within}localData"),
        metadata_path=environment.path("S3METADATAPATH", f"{within}localMetadata"),
        data_directory=data,
        data_no_sync=environment.parsed("S3DATA_NOSYNC", parse_flag) or False,
        data_no_cache=environment.parsed("S3DATA_NOCACHE", parse_flag) or False,
        backends=backends(environment),
        location_file=environment.existing_file("S3_LOCATION_FILE"),
        auth_file=environment.existing_file("S3AUTH_CONFIG"),
        credentials=credentials(environment),
        version_id_encoding=version_id_encoding(environment) or "hex",
        private_daemon=environment.parsed(PRIVATE_DAEMON, parse_private_daemon),
        memory_key=memory_key(environment),
        public_read_buckets=public_read_buckets(environment),
        failpoint=environment.parsed("DMD_FAILPOINT", parse_failpoint),
        warnings=warnings + variable_warnings(variables),
    )
    is_part = environment.text(PART_OF_PRIVATE_DAEMON) is not None
    return as_private_daemon(config) if is_part else with_private_metadata(config)


def _settings(path: Path, file: str) -> tuple[Settings, tuple[str, ...]]:
    document, warnings = set_aside(read_document(path, file), file)
    return parse(Settings, document, file, also_known=SET_ASIDE), warnings


def _secured(
    settings: Settings, environment: Environment, directory: Path, file: str
) -> dict[str, Any]:
    """What guards the ports: the secrets as they are, and certificates with absolute paths to
    files that exist."""

    def absolute(section: SectionT | None, key: str) -> SectionT | None:
        if section is None:
            return None
        paths = {}
        for name, given in asdict(section).items():
            if given is not None:
                paths[name] = directory / given
                if not paths[name].is_file():
                    raise ConfigError(file, f"{key}.{name}", f"there is no file {given}")
        return replace(section, **paths)

    secured: dict[str, Any] = {
        "cert_file_paths": absolute(_certificates(settings, environment, file), "certFilePaths"),
        "daemon_secret": daemon_secrets(settings, environment, directory, file),
    }
    for name, key in (("data_daemon", "dataDaemon"), ("metadata_daemon", "metadataDaemon")):
        daemon = getattr(settings, name)
        paths = absolute(daemon.cert_file_paths, f"{key}.certFilePaths")
        secured[name] = replace(daemon, cert_file_paths=paths)
    for name, key in (("data_client", "dataClient"), ("metadata_client", "metadataClient")):
        client = getattr(settings, name)
        secured[name] = replace(client, tls=absolute(client.tls, f"{key}.tls"))
    return secured


def _certificates(settings: Settings, environment: Environment, file: str) -> CertFilePaths | None:
    """Those of the S3 port: SSL=TRUE requires them, SSL=FALSE turns TLS off although the file has
    them."""
    wanted = environment.parsed("SSL", parse_flag)
    if wanted and settings.cert_file_paths is None:
        refuse("SSL", f"needs certFilePaths (key, cert and optionally ca) in {file}")
    return None if wanted is False else settings.cert_file_paths
