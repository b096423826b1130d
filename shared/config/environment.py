"""The environment on top of config.json, with CloudServer's variable names.

Follows ``reference/cloudserver-features.md``, sections 4.2 and 4.3: what CloudServer leaves to a
container script, the processes read themselves. A variable that is set but empty counts as not
set, because compose files pass on what they do not know. Every error names its variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar, cast, get_args

from msgspec.structs import replace

from shared.config.encryption import KeeperType, Kmip, KmipTls, KmipTransport
from shared.config.errors import ENVIRONMENT, ConfigError
from shared.config.model import (
    DEFAULT_LOCATION,
    BackendClient,
    Backends,
    DataBackend,
    EnvironmentCredentials,
    LogFormat,
    LogLevel,
    MetadataBackend,
    Redis,
    Settings,
    VersionIdEncoding,
)
from shared.config.values import (
    Secret,
    parse_access_key,
    parse_endpoint,
    parse_flag,
    parse_host,
    parse_networks,
    parse_port,
    parse_replication_group,
    parse_secret,
)

Updates = dict[str, Any]
"""New values by attribute name."""

_T = TypeVar("_T")

_BACKENDS: Final = {
    # variable: (values of this version, further values of CloudServer's)
    "S3BACKEND": (("mem", "file"), ("scality", "cdmi")),
    "S3DATA": (("mem", "file", "multiple", "scality"), ()),
    "S3METADATA": (("mem", "file"), ("mongodb", "scality", "cdmi")),
    "S3VAULT": (("mem",), ("vault", "multiple", "scality")),
    "S3KMS": (get_args(KeeperType), ("scality", "cdmi")),
}

MEMORY_KEY: Final = "TWOFOLD_MEMORY_KEY"
"""Environment variable: the master key that the processes of one ``s3front start`` share, and that
is in their memory alone."""


_ADVICE: Final = {
    ("S3KMS", "scality"): " (CloudServer needs a module of Scality's for it, and takes a file when "
    "that is missing; here that is never done in silence)",
    **dict.fromkeys(
        (("S3BACKEND", "scality"), ("S3METADATA", "scality"), ("S3VAULT", "scality")),
        " (objects go to a RING by a location of type scality, with S3DATA=multiple)",
    ),
}
"""What else is to be said of a value of CloudServer's."""

_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Environment:
    """The variables of one process. Relative paths in them start at ``directory``."""

    def __init__(self, variables: Mapping[str, str], directory: Path) -> None:
        self._variables = variables
        self._directory = directory

    def text(self, name: str) -> str | None:
        return self._variables.get(name) or None

    def parsed(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        """The value as ``parse`` understands it; its ValueError becomes a ConfigError."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            refuse(name, str(error))

    def path(self, name: str, default: str) -> Path:
        return self._directory / (self.text(name) or default)

    def directory(self, name: str) -> Path | None:
        """The directory that the variable names; None when it is not set."""
        text = self.text(name)
        return None if text is None else self._directory / text

    def existing_file(self, name: str) -> Path | None:
        """The file that the variable names, which must exist; None when it is not set."""
        text = self.text(name)
        if text is None:
            return None
        path = self._directory / text
        if not path.is_file():
            refuse(name, f"there is no file {text}")
        return path


def refuse(name: str, reason: str) -> NoReturn:
    raise ConfigError(ENVIRONMENT, name, reason)


def settings_updates(settings: Settings, environment: Environment) -> Updates:
    """What the environment changes in ``settings``; certificates are checked by the loader."""
    ports = _daemon_ports(settings, environment)
    settings = replace(settings, **ports)
    updates = (
        ports
        | _listening(settings, environment)
        | _daemon_hosts(settings, environment)
        | _endpoints(settings, environment)
        | _redis(settings, environment)
    )
    updates |= _data_socket(replace(settings, **updates), environment)
    log = {
        "log_level": environment.parsed("LOG_LEVEL", _one_of(get_args(LogLevel))),
        "format": environment.parsed("LOG_FORMAT", _one_of(get_args(LogFormat))),
    }
    given = {name: value for name, value in log.items() if value is not None}
    updates["log"] = replace(settings.log, **given)
    networks = environment.parsed("HEALTHCHECKS_ALLOWFROM", lambda t: parse_networks(_entries(t)))
    if networks is not None:
        updates["health_checks"] = replace(settings.health_checks, allow_from=networks)
    group = environment.parsed("REPLICATION_GROUP_ID", parse_replication_group)
    if group is not None:
        updates["replication_group_id"] = group
    updates["external_backends"] = replace(
        settings.external_backends,
        aws_s3=_agent(settings.external_backends.aws_s3, environment, "AWS_S3"),
        gcp=_agent(settings.external_backends.gcp, environment, "GCP"),
    )
    updates |= _kmip(settings.kmip, environment)
    keyring = environment.directory("S3_KEYRING_FILE")
    if keyring is not None:
        updates["encryption"] = replace(settings.encryption, keyring_file=keyring)
    record_log = environment.parsed("RECORDLOG_ENABLED", parse_flag)
    if record_log is not None:
        updates["record_log"] = replace(settings.record_log, enabled=record_log)
    return updates


def _kmip(kmip: Kmip | None, environment: Environment) -> Updates:
    """S3KMIP_HOSTS and its kin, on top of the first server of ``kmip``. Several hosts, parted by
    commas, are servers that differ in nothing else."""
    text = environment.text
    hosts = environment.parsed(
        "S3KMIP_HOSTS" if text("S3KMIP_HOSTS") else "S3KMIP_HOST",
        lambda given: [parse_host(host) for host in _entries(given)],
    )
    tls = {
        "port": environment.parsed("S3KMIP_PORT", parse_port),
        "key": environment.directory("S3KMIP_KEY"),
        "cert": environment.directory("S3KMIP_CERT"),
        "ca": environment.parsed("S3KMIP_CA", lambda given: tuple(map(Path, _entries(given)))),
    }
    depth = environment.parsed("S3KMIP_PIPELINE_DEPTH", _count)
    client = {
        "compound_create_activate": environment.parsed("S3KMIP_COMPOUND_CREATE", parse_flag),
        "bucket_name_attribute_name": text("S3KMIP_BUCKET_ATTRIBUTE_NAME"),
    }
    tls, client = _given(tls), _given(client)
    if not (hosts or tls or client or depth):
        return {}
    before = kmip or Kmip()
    first, *others = before.transport
    if depth is not None:
        first = replace(first, pipeline_depth=depth)
    if tls:
        first = replace(first, tls=replace(first.tls, **tls))
    transport: tuple[KmipTransport, ...] = (first, *others)
    if hosts:
        transport = tuple(replace(first, tls=replace(first.tls, host=host)) for host in hosts)
    _check_kmip(first.tls)
    return {"kmip": replace(before, client=replace(before.client, **client), transport=transport)}


def _check_kmip(tls: KmipTls) -> None:
    try:
        tls.check()
    except ValueError as error:
        refuse("S3KMIP_KEY", str(error))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _agent(client: BackendClient, environment: Environment, prefix: str) -> BackendClient:
    """AWS_S3_HTTPAGENT_KEEPALIVE and its kin."""
    variable = f"{prefix}_HTTPAGENT_KEEPALIVE"
    given = {
        "keep_alive": environment.parsed(variable, parse_flag),
        "keep_alive_msecs": environment.parsed(f"{variable}_MS", _count),
        "max_sockets": environment.parsed(f"{variable}_MAX_SOCKETS", _count),
        "max_free_sockets": environment.parsed(f"{variable}_MAX_FREE_SOCKETS", _count),
    }
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(client, http_agent=replace(client.http_agent, **changed))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) <= 10**9):
        raise ValueError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def backends(environment: Environment) -> Backends:
    """S3DATA, S3METADATA, S3VAULT and S3KMS, on top of S3BACKEND, which sets all of them at once;
    of S3KMS it says no more than that nothing is to be on disk.

    ``scality`` is ``multiple`` under an older name: a RING is one of the locations.
    """
    chosen = {name: environment.parsed(name, _backend_of(name)) for name in _BACKENDS}
    everything = chosen["S3BACKEND"]
    data = chosen["S3DATA"] or everything or "multiple"
    metadata = chosen["S3METADATA"] or everything or "file"
    if metadata == "mem" and data == "file":
        refuse(
            "S3DATA" if chosen["S3DATA"] else "S3METADATA",
            "S3DATA=file makes no sense with metadata in memory: at the end of the process, all "
            "bytes would stay on disk, and nothing would say what they are of; use S3DATA=mem, or "
            "S3DATA=multiple for a location that has a use for them",
        )
    # What each variable may be, was looked at when it was read.
    return Backends(
        data=cast("DataBackend", "multiple" if data == "scality" else data),
        metadata=cast("MetadataBackend", metadata),
        kms=cast("KeeperType | None", chosen["S3KMS"] or ("mem" if everything == "mem" else None)),
    )


def memory_key(environment: Environment) -> Secret | None:
    """TWOFOLD_MEMORY_KEY."""
    text = environment.text(MEMORY_KEY)
    return None if text is None else Secret(text)


def version_id_encoding(environment: Environment) -> VersionIdEncoding | None:
    """S3_VERSION_ID_ENCODING_TYPE."""
    parse = _one_of(get_args(VersionIdEncoding))
    return cast(
        "VersionIdEncoding | None", environment.parsed("S3_VERSION_ID_ENCODING_TYPE", parse)
    )


def public_read_buckets(environment: Environment) -> frozenset[str]:
    """ALLOW_PUBLIC_READ_BUCKETS: names, parted by commas."""
    return frozenset(_entries(environment.text("ALLOW_PUBLIC_READ_BUCKETS") or ""))


def credentials(environment: Environment) -> EnvironmentCredentials | None:
    """The account of the environment; one variable without the other is an error."""
    access, secret = "SCALITY_ACCESS_KEY_ID", "SCALITY_SECRET_ACCESS_KEY"
    access_key = environment.parsed(access, parse_access_key)
    secret_key = environment.text(secret)
    if access_key is None and secret_key is None:
        return None
    if access_key is None:
        refuse(access, f"is not set, but {secret} is: set both or none")
    if secret_key is None:
        refuse(secret, f"is not set, but {access} is: set both or none")
    return EnvironmentCredentials(access_key=access_key, secret_key=Secret(secret_key))


def daemon_secrets(
    settings: Settings, environment: Environment, directory: Path, file: str
) -> tuple[Secret, ...]:
    """The secrets of the daemons' ports: those of the environment, else those of config.json; none
    when there are none.

    A file has one on each line, of which the first is sent.
    """
    secret = environment.parsed("DAEMON_SECRET", parse_secret)
    path = environment.existing_file("DAEMON_SECRET_FILE")
    if secret is not None and path is not None:
        refuse("DAEMON_SECRET_FILE", "is set, and DAEMON_SECRET as well: set one of them")
    if secret is not None:
        return (secret,)
    if path is not None:
        return _secrets_in(path, ENVIRONMENT, "DAEMON_SECRET_FILE")
    given = settings.daemon_secret_file
    if given is None:
        return settings.daemon_secret
    if settings.daemon_secret:
        raise ConfigError(
            file, "daemonSecretFile", "is given, and daemonSecret as well: give one of them"
        )
    return _secrets_in(directory / given, file, "daemonSecretFile")


def _secrets_in(path: Path, file: str, key: str) -> tuple[Secret, ...]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise ConfigError(file, key, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, key, f"{path} is not ASCII") from None
    secrets = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            secrets.append(parse_secret(line.strip()))
        except ValueError as error:
            raise ConfigError(file, key, f"line {number} of {path} {error}") from None
    if not secrets:
        raise ConfigError(file, key, f"{path} holds no secret")
    return tuple(secrets)


def _listening(settings: Settings, environment: Environment) -> Updates:
    """LISTEN_ADDR is where the daemons bind, and where the front-end listens instead of
    ``listenOn``, on the configured port; S3_HOST and S3_PORT are about the front-end alone."""
    everywhere = environment.parsed("LISTEN_ADDR", parse_host)
    host = environment.parsed("S3_HOST", parse_host) or everywhere
    port = environment.parsed("S3_PORT", parse_port)
    updates: Updates = {}
    if everywhere is not None:
        bound = {"bind_address": everywhere}
        updates["data_daemon"] = replace(settings.data_daemon, **bound)
        updates["metadata_daemon"] = replace(settings.metadata_daemon, **bound)
    if port is not None:
        updates["port"] = port
    if host is not None:
        updates["listen_on"] = ((host, port or settings.port),)
    elif port is not None:
        hosts = dict.fromkeys(address[0] for address in settings.listen_on)
        updates["listen_on"] = tuple((name, port) for name in hosts)
    return updates


def _daemon_ports(settings: Settings, environment: Environment) -> Updates:
    """METADATA_PORT and DATA_PORT: where a daemon listens, and where the front-end finds it."""
    updates: Updates = {}
    for variable, names in (
        ("METADATA_PORT", ("metadata_client", "metadata_daemon")),
        ("DATA_PORT", ("data_client", "data_daemon")),
    ):
        port = environment.parsed(variable, parse_port)
        if port is not None:
            for name in names:
                updates[name] = replace(getattr(settings, name), port=port)
    return updates


def _daemon_hosts(settings: Settings, environment: Environment) -> Updates:
    updates: Updates = {}
    data_host = environment.parsed("DATA_HOST", parse_host)
    if data_host is not None:
        updates["data_client"] = replace(settings.data_client, host=data_host)
    metadata_host = environment.parsed("METADATA_HOST", parse_host)
    if metadata_host is not None:
        updates["metadata_client"] = replace(settings.metadata_client, host=metadata_host)
    return updates


def _data_socket(settings: Settings, environment: Environment) -> Updates:
    """A Unix socket for the data of halves that were started together, as ``start-both.sh`` does.

    config.json may name its own, or another machine's daemon: then there is none.
    """
    path = environment.text("S3DATA_SOCKET")
    daemon, client = settings.data_daemon, settings.data_client
    if path is None or daemon.socket_path is not None or client.socket_path is not None:
        return {}
    updates: Updates = {"data_daemon": replace(daemon, socket_path=Path(path))}
    if client.host in _THIS_MACHINE and client.port == daemon.port:
        updates["data_client"] = replace(client, socket_path=Path(path))
    return updates


def _endpoints(settings: Settings, environment: Environment) -> Updates:
    """The hosts of ENDPOINT join those of config.json, with the default location."""
    hosts = environment.parsed(
        "ENDPOINT", lambda text: [parse_endpoint(entry) for entry in _entries(text)]
    )
    if not hosts:
        return {}
    endpoints = {**settings.rest_endpoints, **dict.fromkeys(hosts, DEFAULT_LOCATION)}
    return {"rest_endpoints": MappingProxyType(endpoints)}


def _redis(settings: Settings, environment: Environment) -> Updates:
    """One server in the place of whatever config.json names; its password stays."""
    host = environment.parsed("REDIS_HOST", parse_host)
    port = environment.parsed("REDIS_PORT", parse_port)
    if host is None and port is None:
        return {}
    return {
        name: Redis(
            host=host or (before.host if before else None) or "localhost",
            port=port or (before.port if before else 6379),
            password=before.password if before else None,
        )
        for name, before in (("redis", settings.redis), ("local_cache", settings.local_cache))
    }


def _entries(text: str) -> list[str]:
    """A comma-separated list; spaces around an entry do not count."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _one_of(accepted: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in accepted:
            raise ValueError(f"{text!r} is not one of {', '.join(accepted)}")
        return text

    return parse


def _backend_of(variable: str) -> Callable[[str], str]:
    accepted, known = _BACKENDS[variable]
    check = _one_of(accepted)

    def parse(text: str) -> str:
        if text in known:
            choice = " or ".join(accepted)
            advice = _ADVICE.get((variable, text), "")
            raise ValueError(f"{text!r} is not supported by this version; use {choice}{advice}")
        return check(text)

    return parse
