"""config.json: what it may say, and what is said about one that is wrong."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.config import load_config
from shared.config.values import Secret
from tests.unit.shared.config.conftest import Installation

STOCK = Path(__file__).parents[4]


def test_without_a_file_the_defaults_are_those_of_the_stock_file(
    installation: Installation,
) -> None:
    places = dict.fromkeys(("directory", "data_path", "metadata_path"), STOCK)
    assert replace(installation.load(), **places) == replace(load_config({}, STOCK), **places)
    assert (STOCK / "config.json").exists()


def test_every_key_of_the_stock_file_has_an_effect() -> None:
    assert load_config({}, STOCK).warnings == ()


def test_conf_directory_comes_before_the_working_directory(installation: Installation) -> None:
    installation.write("config.json", {"port": 1111})
    assert installation.load().port == 1111
    installation.write("conf/config.json", {"port": 2222})
    assert installation.load().port == 2222


def test_all_supported_sections_are_read(installation: Installation) -> None:
    config = installation.settings(
        port=8080,
        clusters=4,
        replicationGroupId="RG002",
        restEndpoints={"S3.Example.com": "elsewhere"},
        dataClient={"host": "data.example.com", "port": 1},
        metadataClient={"host": "md.example.com", "port": 2, "callTimeoutMs": 100},
        dataDaemon={
            "bindAddress": "::0",
            "port": 3,
            "leaseSeconds": 14,
            "directoryLocks": "reliable",
        },
        metadataDaemon={
            "bindAddress": "0.0.0.0",  # noqa: S104 - a value to read, nothing binds to it
            "port": 4,
            "streamMaxPendingAck": 7,
            "streamAckTimeoutMs": 8,
            "streamMaxPacketItems": 9,
            "streamMaxPacketSizeBytes": 10,
            "maxMessageSizeBytes": 11,
            "restEnabled": True,
            "restPort": 12,
            "leaseSeconds": 13,
            "directoryLocks": "unreliable",
            "fenceCommand": "/bin/fence --host 'a b'",
        },
        recordLog={"enabled": True, "recordLogName": "log", "maxAgeSeconds": 5, "maxSizeBytes": 6},
        log={"logLevel": "trace"},
    )
    assert (config.port, config.clusters, config.replication_group_id) == (8080, 4, "RG002")
    assert config.rest_endpoints == {"s3.example.com": "elsewhere"}
    assert (config.data_client.host, config.data_client.port) == ("data.example.com", 1)
    assert (config.metadata_client.port, config.metadata_client.call_timeout_ms) == (2, 100)
    assert (config.data_daemon.bind_address, config.data_daemon.port) == ("::0", 3)
    assert (config.data_daemon.lease_seconds, config.data_daemon.fence_command) == (14, ())
    assert config.data_daemon.directory_locks == "reliable"
    assert config.metadata_daemon.call_timeout_ms == 30_000
    assert config.metadata_daemon.stream_max_pending_ack == 7
    assert config.metadata_daemon.stream_ack_timeout_ms == 8
    assert config.metadata_daemon.stream_max_packet_items == 9
    assert config.metadata_daemon.stream_max_packet_size_bytes == 10
    assert config.metadata_daemon.max_message_size_bytes == 11
    assert (config.metadata_daemon.rest_enabled, config.metadata_daemon.rest_port) == (True, 12)
    assert config.metadata_daemon.lease_seconds == 13
    assert config.metadata_daemon.directory_locks == "unreliable"
    assert config.metadata_daemon.fence_command == ("/bin/fence", "--host", "a b")
    assert (config.record_log.enabled, config.record_log.record_log_name) == (True, "log")
    assert (config.record_log.max_age_seconds, config.record_log.max_size_bytes) == (5, 6)
    assert config.log.log_level == "trace"


def test_clusters_false_is_one_worker(installation: Installation) -> None:
    assert installation.settings(clusters=False).clusters == 1


def test_listening_on_every_address_is_the_default(installation: Installation) -> None:
    assert installation.settings(port=8080).listen_addresses == (("", 8080),)


def test_no_proxy_is_trusted_unless_it_is_named(installation: Installation) -> None:
    """Not even on the machine itself."""
    requests = installation.settings().requests
    assert (requests.via_proxy, requests.trusted_proxy_cidrs) == (False, ())
    assert requests.extract_client_ip_from_header == "X-Forwarded-For"


def test_proxies_are_read(installation: Installation) -> None:
    requests = installation.settings(
        requests={
            "viaProxy": True,
            "trustedProxyCIDRs": ["10.1.2.3/8", "::1"],
            "extractClientIPFromHeader": "",
            "publicEndpoints": ["S3.Example.com", "s3.example.com:8443", "[::1]:80", "[::1]"],
        }
    ).requests
    assert [str(network) for network in requests.trusted_proxy_cidrs] == ["10.0.0.0/8", "::1/128"]
    assert requests.extract_client_ip_from_header == ""
    assert requests.public_endpoints[:2] == ("s3.example.com", "s3.example.com:8443")


def test_listen_on_takes_the_place_of_port(installation: Installation) -> None:
    config = installation.settings(port=8080, listenOn=["127.0.0.1:1", "[::1]:2", "::1:3"])
    assert config.listen_addresses == (("127.0.0.1", 1), ("::1", 2), ("::1", 3))


def test_the_machine_itself_may_always_check_health(installation: Installation) -> None:
    config = installation.settings(healthChecks={"allowFrom": ["10.1.2.3/8", "2001:db8::1"]})
    assert config.health_checks.allow_from == tuple(
        ipaddress.ip_network(block)
        for block in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "2001:db8::1/128")
    )


def test_certificates_are_found_from_the_configuration_directory(
    installation: Installation,
) -> None:
    key, cert = installation.write("tls/a.key", ""), installation.write("tls/a.crt", "")
    config = installation.settings(certFilePaths={"key": "./tls/a.key", "cert": str(cert)})
    assert config.cert_file_paths is not None
    assert config.cert_file_paths.key == key
    assert config.cert_file_paths.cert == cert
    assert config.cert_file_paths.ca is None


def test_configuration_is_frozen(installation: Installation) -> None:
    config = installation.load()
    with pytest.raises(AttributeError, match="immutable"):
        setattr(config, "port", 1)  # noqa: B010 - a type checker would refuse the plain form
    with pytest.raises(TypeError):
        config.rest_endpoints["x"] = "y"  # type: ignore[index]  # what the test is about


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"metadataCliant": {}}, "metadataCliant: unknown key; did you mean metadataClient?"),
        ({"metadata_client": {}}, "metadata_client: unknown key; did you mean metadataClient?"),
        ({"utappi": {}}, "utappi: unknown key; did you mean utapi?"),
        ({"zzz": 1}, "zzz: unknown key"),
        (
            {"metadataClient": {"hots": "x"}},
            "metadataClient.hots: unknown key; did you mean host?",
        ),
        (
            {"metadataDaemon": {"restPorts": 1}},
            "metadataDaemon.restPorts: unknown key; did you mean restPort?",
        ),
        (
            {"redis": {"name": "m", "sentinels": [{"host": "a", "prot": 1}]}},
            "redis.sentinels[0].prot: unknown key; did you mean port?",
        ),
        (
            {"certFilePaths": {"kye": "a", "cert": "b"}},
            "certFilePaths.kye: unknown key; did you mean key?",
        ),
        ({"a\nb": 1}, "a\\nb: unknown key"),
        ({"data_path": "/x"}, "data_path: unknown key"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_known_one(
    installation: Installation, document: dict[str, Any], message: str
) -> None:
    assert installation.refusal(**document) == f"config.json: {message}"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"port": "8000"}, "port: must be a whole number"),
        ({"port": True}, "port: must be a whole number"),
        ({"port": 0}, "port: must be at least 1"),
        ({"dataClient": {"port": 65536}}, "dataClient.port: must be at most 65535"),
        ({"dataClient": []}, "dataClient: must be an object"),
        (
            {"gcGraceSeconds": 60},
            "gcGraceSeconds: must be more than twice metadataClient.callTimeoutMs",
        ),
        (
            {"dataClient": {"host": "http://x"}},
            "dataClient.host: 'http://x' is not a host name or IP address",
        ),
        (
            {"dataClient": {"host": "x:9991"}},
            "dataClient.host: 'x:9991' is not a host name or IP address (the port is set apart)",
        ),
        ({"certFilePaths": {"key": "a"}}, "certFilePaths.cert: is missing"),
        # It would be the directory that the server was started in.
        ({"certFilePaths": {"key": "", "cert": "b"}}, "certFilePaths.key: must not be empty"),
        ({"dataDaemon": {"socketPath": ""}}, "dataDaemon.socketPath: must not be empty"),
        (
            {"certFilePaths": {"key": "a", "cert": "b"}},
            "certFilePaths.key: there is no file a",
        ),
        ({"recordLog": {"enabled": "yes"}}, "recordLog.enabled: must be true or false"),
        (
            {"metadataDaemon": {"maxMessageSizeBytes": 1024**3 + 1}},
            "metadataDaemon.maxMessageSizeBytes: must be at most 1073741824",
        ),
        (
            {"metadataDaemon": {"restEnabled": True}},
            "metadataDaemon: restEnabled needs restPort",
        ),
        (
            {"dataDaemon": {"fenceCommand": "fence"}},
            "dataDaemon: fenceCommand needs leaseSeconds, to know of a silent owner",
        ),
        (
            {"metadataDaemon": {"fenceCommand": "fence"}},
            "metadataDaemon: fenceCommand needs leaseSeconds, to know of a silent owner",
        ),
        (
            {"metadataDaemon": {"leaseSeconds": 5, "fenceCommand": []}},
            "metadataDaemon.fenceCommand: must name a program",
        ),
        (
            {"metadataDaemon": {"leaseSeconds": 5, "fenceCommand": ["a", 1]}},
            "metadataDaemon.fenceCommand: must be a string or a list of strings",
        ),
        (
            {"metadataDaemon": {"leaseSeconds": 5, "fenceCommand": "a 'b"}},
            "metadataDaemon.fenceCommand: No closing quotation",
        ),
        (
            {"metadataDaemon": {"directoryLocks": "no"}},
            "metadataDaemon.directoryLocks: must be one of 'detect', 'reliable' or 'unreliable'",
        ),
        (
            {"recordLog": {"recordLogName": "a#b"}},
            "recordLog.recordLogName: must not be empty nor contain '!' or '#'",
        ),
        ({"restEndpoints": {"localhost": 1}}, "restEndpoints.localhost: must be a string"),
        ({"restEndpoints": ["localhost"]}, "restEndpoints: must be an object"),
        ({"restEndpoints": {"a b": "x"}}, "restEndpoints: 'a b' is not a host name or IP address"),
        (
            {"restEndpoints": {"a.*.b": "x"}},
            "restEndpoints: 'a.*.b' is not a host name or IP address",
        ),
        (
            {"restEndpoints": {"*.a.b": "x", "A.b": "y"}},
            "restEndpoints: 'a.b' is there twice, with different locations",
        ),
        (
            {"restEndpoints": {"a.b": "us-east-1"}, "websiteEndpoints": ["*.A.b"]},
            "websiteEndpoints: 'a.b' is one of restEndpoints",
        ),
        ({"websiteEndpoints": {"a.b": "x"}}, "websiteEndpoints: must be a list of host names"),
        ({"websiteEndpoints": ["a b"]}, "websiteEndpoints: 'a b' is not a host name or IP address"),
        (
            {"listenOn": ["127.0.0.1:1", "localhost:8000"]},
            "listenOn[1]: 'localhost:8000' is not of the form ip:port "
            "(for instance 127.0.0.1:8000 or [::]:8000)",
        ),
        ({"listenOn": "127.0.0.1:1"}, "listenOn: must be a list"),
        (
            {"log": {"logLevel": "loud"}},
            "log.logLevel: must be one of 'trace', 'debug', 'info', 'warn', 'error' or 'fatal'",
        ),
        (
            {"healthChecks": {"allowFrom": ["10.0.0.0/99"]}},
            "healthChecks.allowFrom: '10.0.0.0/99' is not an IP address or CIDR block",
        ),
        ({"clusters": 0}, "clusters: must be at least 1"),
        ({"clusters": True}, "clusters: must be a whole number"),
        (
            {"replicationGroupId": "RG001-Paris"},
            "replicationGroupId: must be 1 to 7 characters of printable ASCII",
        ),
        ({"requests": {"viaProxy": True}}, "requests: viaProxy needs trustedProxyCIDRs"),
        (
            {"requests": {"trustedProxyCIDRs": ["proxy"]}},
            "requests.trustedProxyCIDRs: 'proxy' is not an IP address or CIDR block",
        ),
        (
            {"requests": {"extractClientIPFromHeader": "a b"}},
            "requests.extractClientIPFromHeader: must be the name of a header",
        ),
        (
            {"requests": {"publicEndpoints": ["https://s3.example.com"]}},
            "requests.publicEndpoints[0]: '//s3.example.com' is not a port: a whole number from 1 "
            "to 65535",
        ),
        (
            {"requests": {"publicEndpoints": ["::1"]}},
            "requests.publicEndpoints[0]: '::1' is not of the form host or host:port",
        ),
        (
            {"requests": {"publicEndpoints": ["a b"]}},
            "requests.publicEndpoints[0]: 'a b' is not a host name or IP address",
        ),
        ({"redis": {"port": 1}}, "redis: needs host, or name and sentinels"),
    ],
)
def test_bad_value_is_named_with_its_path_and_reason(
    installation: Installation, document: dict[str, Any], message: str
) -> None:
    assert installation.refusal(**document) == f"config.json: {message}"


@pytest.mark.parametrize("key", ["regions", "usEastBehavior", "sproxyd"])
def test_deprecated_key_says_what_took_its_place(installation: Installation, key: str) -> None:
    message = installation.refusal(**{key: {}})
    assert message.startswith(f"config.json: {key}: is no longer supported; ")
    assert message.endswith("in locationConfig.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{\n  "port": 8000,\n}',
            "line 3, column 1: not valid JSON: Expecting property name enclosed in double quotes",
        ),
        ("[]", "must hold a JSON object"),
        ('{"port": 1, "port": 2}', "port: is given twice in one object"),
        ("[" * 100_000, "a number is too long, or the nesting too deep"),
        ('{"port": ' + "9" * 5000 + "}", "a number is too long, or the nesting too deep"),
    ],
)
def test_file_that_is_not_a_json_object_is_refused(
    installation: Installation, text: str, message: str
) -> None:
    installation.write("config.json", text)
    assert installation.refusal() == f"config.json: {message}"


def test_file_that_is_not_utf_8_is_refused(installation: Installation) -> None:
    (installation.directory / "config.json").write_bytes(b'{"port": "\xff"}')
    assert installation.refusal() == "config.json: is not UTF-8"


def test_directory_in_the_place_of_the_file_is_refused(installation: Installation) -> None:
    (installation.directory / "config.json").mkdir()
    assert installation.refusal() == "config.json: cannot be read: Is a directory"


def test_byte_order_mark_is_no_error(installation: Installation) -> None:
    (installation.directory / "config.json").write_bytes(b'\xef\xbb\xbf{"port": 81}')
    assert installation.load().port == 81


class TestKeysThatOnlyCloudServerActsUpon:
    def test_each_is_reported_once_whatever_it_holds(self, installation: Installation) -> None:
        config = installation.settings(
            utapi={"workers": 1, "anything": [1]},
            kms=None,
            metadataDaemon={"port": 4},
        )
        assert config.metadata_daemon.port == 4
        assert config.warnings == tuple(
            f"config.json: {key}: known from CloudServer, has no effect in this version"
            for key in ("kms", "utapi")
        )

    def test_redis_is_validated_and_kept_all_the_same(self, installation: Installation) -> None:
        config = installation.settings(redis={"host": "cache", "retry": {"any": 1}})
        assert config.redis is not None
        assert (config.redis.host, config.redis.port) == ("cache", 6379)
        assert [warning.split(": ")[1] for warning in config.warnings] == ["redis", "redis.retry"]


def test_passwords_are_in_no_representation(installation: Installation) -> None:
    config = installation.settings(
        redis={"host": "cache", "password": "hunter2"},
        localCache={
            "name": "group",
            "sentinels": [{"host": "a"}],
            "password": "hunter2",
            "sentinelPassword": "hunter2",
        },
    )
    assert config.redis is not None
    assert config.redis.password is not None
    assert config.redis.password.reveal() == "hunter2"
    for text in (repr(config), str(config), repr(config.redis)):
        assert "hunter2" not in text


def test_password_of_a_wrong_kind_is_not_quoted(installation: Installation) -> None:
    message = installation.refusal(redis={"host": "cache", "password": 987654321})
    assert message == "config.json: redis.password: must be a string"


def test_json_cannot_hold_a_secret() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret("hunter2"))


def test_the_hosts_that_are_served_are_endpoints_and_public_ones(
    installation: Installation,
) -> None:
    installation.write(
        "config.json",
        {
            "restEndpoints": {"*.Nas.lan.": "paris", "s3.example.com": "paris"},
            "requests": {"publicEndpoints": ["s3.example.com:8443", "Out.example.com", "[::1]:80"]},
        },
    )
    assert installation.load().endpoints == {
        "nas.lan": "paris",
        "s3.example.com": "paris",
        "out.example.com": "us-east-1",
        "::1": "us-east-1",
    }
