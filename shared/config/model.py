"""The settings of one installation, as frozen values with CloudServer's key names.

``Settings`` is what config.json may say; ``Config`` is that, with the environment on top and the
places of the other files. Keys, shapes and defaults follow
``reference/cloudserver-features.md``, section 4.1; the keys that are ours alone are
``callTimeoutMs``, ``streamMax…``, ``streamAckTimeoutMs``, ``maxMessageSizeBytes``,
``leaseSeconds``, ``directoryLocks`` and ``fenceCommand`` of both daemons, ``socketPath`` and
``packedSizeMaxBytes`` of the data, ``bodySizeMaxBytes`` of the metadata, ``maxAgeSeconds`` and
``maxSizeBytes`` of the record log,
``gc…Seconds``, ``format`` of ``log``, ``publicEndpoints`` of ``requests``, ``encryption``,
``default…`` of new buckets, and
what guards the daemons' ports: ``daemonSecret``, ``daemonSecretFile``, and their
``certFilePaths`` and ``tls``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from shared import limits
from shared.config.encryption import Encryption, Keepers, KeeperType, Kmip, KmsAws, with_paths
from shared.config.validation import Section, SectionT
from shared.config.values import (
    LOOPBACK_NETWORKS,
    Address,
    AddressText,
    Clusters,
    Command,
    Count,
    Endpoints,
    HeaderName,
    Host,
    Hosts,
    LogName,
    MemberError,
    MessageBytes,
    Milliseconds,
    Networks,
    PackedBytes,
    Password,
    Port,
    ProxyNetworks,
    ProxyUrl,
    PublicEndpoint,
    ReplicationGroup,
    ReserveBytes,
    Seconds,
    Secret,
    Secrets,
    Text,
    split_port,
)
from shared.daemon_secret import DaemonSecret
from shared.failpoints import ArmedFailPoint

LogLevel = Literal["trace", "debug", "info", "warn", "error", "fatal"]
LogFormat = Literal["auto", "json", "text"]
VersionIdEncoding = Literal["hex", "base62"]
DirectoryLocks = Literal["detect", "reliable", "unreliable"]
DataBackend = Literal["mem", "file", "multiple"]
MetadataBackend = Literal["mem", "file"]
ObjectOwnership = Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]

DEFAULT_LOCATION: Final = "us-east-1"
"""The location that must exist, and that of an endpoint which names no other."""

DEFAULT_ENDPOINTS: Final = MappingProxyType(
    dict.fromkeys(
        ("localhost", "127.0.0.1", "s3.docker.test", "cloudserver-front", "lb"), DEFAULT_LOCATION
    )
)

_CALL_TIMEOUT_MS: Final = int(limits.RPC_CALL_TIMEOUT_SECONDS * 1000)
_STREAM_ACK_TIMEOUT_MS: Final = int(limits.STREAM_ACK_TIMEOUT_SECONDS * 1000)


class CertFilePaths(Section, frozen=True, kw_only=True):
    """TLS of a port, PEM files. Relative paths start at the configuration's directory."""

    key: Path
    cert: Path
    ca: Path | None = None


class ClientTls(Section, frozen=True, kw_only=True):
    """TLS towards a daemon. ``ca``: PEM file of the authorities that it trusts, relative as above;
    those of the system when there is none."""

    ca: Path | None = None


class DataClient(Section, frozen=True, kw_only=True):
    """Where the front-end finds the data daemon. ``socket_path``: a Unix socket that is preferred
    while it connects; a relative path starts at the configuration's directory."""

    host: Host = "localhost"
    port: Port = 9991
    socket_path: Path | None = None
    tls: ClientTls | None = None


class MetadataClient(Section, frozen=True, kw_only=True):
    """Where the front-end finds the metadata daemon, and how long it waits for an answer."""

    host: Host = "localhost"
    port: Port = 9990
    call_timeout_ms: Milliseconds = _CALL_TIMEOUT_MS
    tls: ClientTls | None = None


class DirectoryOwner(Section, frozen=True, kw_only=True):
    """How a daemon owns its directory (``dmd.ownership.owned_directory``): a lease, whether to rely
    on locks, and the command that makes sure that another machine's owner writes no more."""

    lease_seconds: Seconds = 0
    directory_locks: DirectoryLocks = "detect"
    fence_command: Command = ()

    def check(self) -> None:
        if self.fence_command and not self.lease_seconds:
            raise ValueError("fenceCommand needs leaseSeconds, to know of a silent owner")


class DataDaemon(DirectoryOwner, frozen=True, kw_only=True):
    """Where the data daemon listens, and which blobs it packs.

    ``socket_path``: a Unix socket besides the port; a relative path starts at the configuration's
    directory. Blobs of up to ``packed_size_max_bytes`` bytes are packed; 0 for none.
    ``max_connections`` are served at a time, over both.
    """

    bind_address: Host = "localhost"
    port: Port = 9991
    socket_path: Path | None = None
    packed_size_max_bytes: PackedBytes = limits.PACKED_BLOB_BYTES
    max_connections: Count = limits.HTTP_CONNECTIONS_MAX
    cert_file_paths: CertFilePaths | None = None


class MetadataDaemon(DirectoryOwner, frozen=True, kw_only=True):
    """Where the metadata daemon listens, its waits, and the sizes of messages and packets;
    ``rest_port`` is that of the debugging interface."""

    bind_address: Host = "localhost"
    port: Port = 9990
    call_timeout_ms: Milliseconds = _CALL_TIMEOUT_MS
    stream_max_pending_ack: Count = limits.STREAM_PENDING_ACKS_MAX
    stream_ack_timeout_ms: Milliseconds = _STREAM_ACK_TIMEOUT_MS
    stream_max_packet_items: Count = limits.STREAM_PACKET_ITEMS_MAX
    stream_max_packet_size_bytes: Count = limits.STREAM_PACKET_BYTES_MAX
    max_message_size_bytes: MessageBytes = limits.RPC_MESSAGE_BYTES_MAX
    reserve_size_bytes: ReserveBytes = limits.METADATA_RESERVE_BYTES
    """What is kept of the disk for deletions; 0 for nothing."""
    body_size_max_bytes: PackedBytes = limits.BODY_BYTES
    """Bodies of up to this size come with their commit where both services share a machine and the
    data directory, and are packed; 0 for none."""
    rest_enabled: bool = False
    rest_port: Port | None = None
    cert_file_paths: CertFilePaths | None = None

    def check(self) -> None:
        DirectoryOwner.check(self)
        if self.rest_enabled and self.rest_port is None:
            raise ValueError("restEnabled needs restPort")


class Log(Section, frozen=True, kw_only=True):
    """``logLevel`` is the least severe level that is written; ``format`` that of a line: ``auto``
    is ``text`` on a terminal, else ``json``."""

    log_level: LogLevel = "info"
    dump_level: LogLevel = "error"
    format: LogFormat = "auto"


class HealthChecks(Section, frozen=True, kw_only=True):
    """Who may ask for the server's health; the machine itself always may."""

    allow_from: Networks = LOOPBACK_NETWORKS


class Requests(Section, frozen=True, kw_only=True):
    """The proxies in front of the S3 port, and what they are believed (``s3front.port.forwarded``).

    ``body_memory_bytes`` is what a process may hold of bodies that it cannot pass on yet,
    ``max_connections`` how many clients it serves at a time.
    """

    via_proxy: bool = False
    trusted_proxy_cidrs: ProxyNetworks = msgspec.field(default=(), name="trustedProxyCIDRs")
    extract_client_ip_from_header: HeaderName = msgspec.field(
        default="X-Forwarded-For", name="extractClientIPFromHeader"
    )
    public_endpoints: tuple[PublicEndpoint, ...] = ()
    body_memory_bytes: Count = limits.BODY_MEMORY_BYTES
    max_connections: Count = limits.HTTP_CONNECTIONS_MAX

    def check(self) -> None:
        if self.via_proxy and not self.trusted_proxy_cidrs:
            raise ValueError("viaProxy needs trustedProxyCIDRs")


class RecordLog(Section, frozen=True, kw_only=True):
    """The log of metadata changes that replication tools read, and how much of it is kept."""

    enabled: bool = False
    record_log_name: LogName = "s3-recordlog"
    max_age_seconds: Count = limits.RECORD_LOG_SECONDS
    max_size_bytes: Count = limits.RECORD_LOG_BYTES


class Sentinel(Section, frozen=True, kw_only=True):
    host: Host
    port: Port = 26379


class Redis(Section, frozen=True, kw_only=True):
    """One Redis server (``host``), or a group watched by sentinels (``name``, ``sentinels``)."""

    host: Host | None = None
    port: Port = 6379
    password: Password | None = None
    name: Text | None = None
    sentinels: tuple[Sentinel, ...] = ()
    sentinel_password: Password | None = None

    def check(self) -> None:
        if self.host is None and not (self.name and self.sentinels):
            raise ValueError("needs host, or name and sentinels")


class OutboundProxy(Section, frozen=True, kw_only=True):
    """The HTTP proxy that clouds are reached through. Paths of PEM files begin at the directory of
    the configuration: ``key`` and ``cert`` are what is shown to a proxy that is reached over TLS,
    ``ca_bundle`` has the authorities that its certificate may be of."""

    url: ProxyUrl | None = None
    key: Path | None = None
    cert: Path | None = None
    ca_bundle: Path | None = None

    def check(self) -> None:
        if (self.key is None) != (self.cert is None):
            raise ValueError("needs both key and cert, or none of them")


class OpenIdConnect(Section, frozen=True, kw_only=True):
    """How identity providers are reached, whose tokens roles may trust. ``ca_bundle``, a PEM file,
    has authorities that their certificates may be of besides those of the system. They may be in
    ``allowed_networks`` that are not public."""

    ca_bundle: Path | None = None
    allowed_networks: ProxyNetworks = ()


class HttpAgent(Section, frozen=True, kw_only=True):
    """Connections to the endpoint of a location: whether they are kept when nothing is asked, how
    many of those, how many at all, and after what silence the kernel tries whether they live."""

    keep_alive: bool = True
    keep_alive_msecs: Milliseconds = 1000
    max_free_sockets: Count = 256
    max_sockets: Count | None = None


class BackendClient(Section, frozen=True, kw_only=True):
    http_agent: HttpAgent = HttpAgent()


class ExternalBackends(Section, frozen=True, kw_only=True):
    """How locations are reached, by type."""

    aws_s3: BackendClient = msgspec.field(default=BackendClient(), name="aws_s3")
    gcp: BackendClient = BackendClient()


class Settings(Section, frozen=True, kw_only=True):
    """What config.json says."""

    port: Port = 8000
    listen_on: tuple[AddressText, ...] = ()
    rest_endpoints: Endpoints = DEFAULT_ENDPOINTS
    website_endpoints: Hosts = ()
    replication_group_id: ReplicationGroup = "RG001"
    clusters: Clusters = 1
    delete_delay_seconds: Seconds = 3600
    multipart_min_part_size_bytes: Count = limits.PART_BYTES_MIN
    gc_quarantine_seconds: Seconds = limits.GC_QUARANTINE_SECONDS
    data_client: DataClient = DataClient()
    metadata_client: MetadataClient = MetadataClient()
    gc_grace_seconds: Seconds = limits.GC_GRACE_SECONDS
    data_daemon: DataDaemon = DataDaemon()
    metadata_daemon: MetadataDaemon = MetadataDaemon()
    daemon_secret: Secrets = ()
    """Shared by both halves: the first one is sent, all of them are accepted. In a Config also
    those of ``daemon_secret_file`` and of the environment."""
    daemon_secret_file: Path | None = None
    record_log: RecordLog = RecordLog()
    log: Log = Log()
    health_checks: HealthChecks = HealthChecks()
    requests: Requests = Requests()
    cert_file_paths: CertFilePaths | None = None
    """TLS of the S3 port."""
    local_cache: Redis | None = None
    redis: Redis | None = None
    outbound_proxy: OutboundProxy = OutboundProxy()
    open_id_connect: OpenIdConnect = OpenIdConnect()
    external_backends: ExternalBackends = ExternalBackends()
    global_encryption_enabled: bool = False
    """Whether all new objects are encrypted, whatever their bucket says."""
    default_encryption_key_per_account: bool = False
    """Whether each account has a master key of its own, of a keeper that can make some."""
    kms_aws: KmsAws | None = msgspec.field(default=None, name="kmsAWS")
    kmip: Kmip | None = None
    encryption: Encryption = Encryption()
    default_object_ownership: ObjectOwnership = "BucketOwnerEnforced"
    """Who owns the objects of a new bucket whose request does not say."""
    default_public_access_block: bool = False
    """Whether all public access to a new bucket is blocked."""

    def check(self) -> None:
        """A commit that is sent before half the grace has passed must end before all of it has; and
        a host has one meaning."""
        if self.gc_grace_seconds * 1000 <= 2 * self.metadata_client.call_timeout_ms:
            raise MemberError(
                "gcGraceSeconds", "must be more than twice metadataClient.callTimeoutMs"
            )
        for host in self.website_endpoints:
            if host in self.rest_endpoints:
                raise MemberError("websiteEndpoints", f"{host!r} is one of restEndpoints")

    @property
    def commit_seconds_max(self) -> float:
        """How old bytes may be that a front-end commits: half the grace of garbage collection."""
        return self.gc_grace_seconds / 2


class Backends(Section, frozen=True, kw_only=True):
    """Which implementations are in use: ``S3DATA``, ``S3METADATA``, ``S3VAULT`` and ``S3KMS``.

    ``data`` is ``multiple`` when the location that is chosen says where bytes go; ``file`` when all
    of them go to the data daemon, whatever the location is, and ``mem`` when all are kept in
    memory. ``metadata`` is with the metadata daemon, or in memory. What is in memory has a daemon
    of its own, which ``s3front start`` runs (``PrivateDaemon``). ``kms`` is who keeps the master
    keys of new objects, None where the variables do not say.
    """

    data: DataBackend = "multiple"
    metadata: MetadataBackend = "file"
    vault: Literal["mem"] = "mem"
    kms: KeeperType | None = None


class PrivateDaemon(Section, frozen=True, kw_only=True):
    """The daemon that keeps everything in memory, and that the processes of one ``s3front start``
    have to themselves (``shared.config.private_daemon``): the loopback ports of its services, None
    for one that it does not have, and the secret that it asks for."""

    metadata_port: int | None
    data_port: int | None
    secret: Secret


class EnvironmentCredentials(Section, frozen=True, kw_only=True):
    """SCALITY_ACCESS_KEY_ID and SCALITY_SECRET_ACCESS_KEY: the one account that then exists."""

    access_key: str
    secret_key: Secret


class Config(Settings, frozen=True, kw_only=True):
    """Everything that a process is told from outside. Made by ``load_config`` only.

    Its ``repr`` holds no secret. Accounts and locations are files of their own, read by
    ``load_accounts`` and ``load_locations`` with the places named here, so that they can be read
    again while the process runs.
    """

    file: str
    """The name of the file that the settings come from, for messages."""
    directory: Path
    """The directory that the files are looked for in and that relative paths start at."""
    data_path: Path
    metadata_path: Path
    data_directory: Path | None = None
    """S3_DATA_DIR: the directory that holds both, unless they have variables of their own; None
    when it is not set."""
    data_no_sync: bool = False
    """Answer before bytes are on disk. For tests: a crash then loses acknowledged objects."""
    data_no_cache: bool = False
    """Drop object bytes from the page cache after use."""
    backends: Backends = Backends()
    private_daemon: PrivateDaemon | None = None
    """That of the supervisor which this process has; None without one."""
    location_file: Path | None = None
    """S3_LOCATION_FILE; None when the variable is not set."""
    auth_file: Path | None = None
    """S3AUTH_CONFIG; None when the variable is not set."""
    credentials: EnvironmentCredentials | None = None
    version_id_encoding: VersionIdEncoding = "hex"
    """How long version IDs are: with ``base62`` they carry nothing but what makes them unique, and
    S3 clients see 32 characters; with ``hex`` they see 56 and more."""
    memory_key: Secret | None = None
    """The master key that is in memory alone, which the processes of one ``s3front start`` share;
    in base64."""
    public_read_buckets: frozenset[str] = frozenset()
    """ALLOW_PUBLIC_READ_BUCKETS: buckets that everybody may read."""
    failpoint: ArmedFailPoint | None = None
    """Where this process is to die, in tests."""
    warnings: tuple[str, ...] = ()
    """One line each, for the log: settings that were given and have no effect."""

    @property
    def endpoints(self) -> Mapping[str, str]:
        """The host names that are served, and the location of buckets that are created there:
        those of ``rest_endpoints``, and what clients address when proxies do not tell."""
        public = (split_port(host)[0] for host in self.requests.public_endpoints)
        return {**dict.fromkeys(public, DEFAULT_LOCATION), **self.rest_endpoints}

    def keepers(self) -> Keepers:
        """Those of the master keys; for who opens or seals objects. Raises ConfigError for a file
        that is not there."""

        def whole(section: SectionT | None, key: str) -> SectionT | None:
            return section and with_paths(section, self.directory, self.file, key)

        return Keepers(
            encryption=with_paths(self.encryption, self.directory, self.file, "encryption"),
            kms_aws=whole(self.kms_aws, "kmsAWS"),
            kmip=whole(self.kmip, "kmip"),
            current=self.backends.kms or self.encryption.current or "file",
            memory_key=self.memory_key,
            file=self.file,
            per_account=self.default_encryption_key_per_account,
        )

    @property
    def shared_secret(self) -> DaemonSecret:
        """What the clients of the daemons show, and their servers ask for."""
        return DaemonSecret(tuple(secret.reveal() for secret in self.daemon_secret))

    @property
    def listen_addresses(self) -> tuple[Address, ...]:
        """Where the front-end listens: ``listenOn``, else all addresses on ``port``.

        LISTEN_ADDR is already part of ``listen_on``. The host ``""`` means every address of
        the machine, IPv4 and IPv6 alike (``0.0.0.0`` and ``::``), as it does for asyncio's
        ``create_server``. That is CloudServer's default: unlike the daemons' ports, the S3 port
        asks everyone who they are.
        """
        return self.listen_on or (("", self.port),)
