"""The environment on top of config.json."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from shared.config import Config
from tests.unit.shared.config.conftest import Installation

ANY_IPV4 = "0.0.0.0"  # noqa: S104 - a value to read, nothing binds to it


def test_the_process_environment_is_the_default(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.config import load_config

    monkeypatch.setenv("DATA_HOST", "from.the.process")
    monkeypatch.chdir(installation.directory)
    installation.write("config.json", {"port": 81})
    config = load_config()
    assert (config.data_client.host, config.port) == ("from.the.process", 81)


def test_data_and_metadata_live_below_the_working_directory(installation: Installation) -> None:
    config = installation.load()
    assert config.data_path == installation.directory / "localData"
    assert config.metadata_path == installation.directory / "localMetadata"


def test_storage_paths_and_flags(installation: Installation) -> None:
    config = installation.load(
        {
            "S3DATAPATH": "/srv/data",
            "S3METADATAPATH": "md",
            "S3DATA_NOSYNC": "true",
            "S3DATA_NOCACHE": "0",
        }
    )
    assert str(config.data_path) == "/srv/data"
    assert config.metadata_path == installation.directory / "md"
    assert (config.data_no_sync, config.data_no_cache) == (True, False)


def test_hosts_of_the_daemons_keep_the_ports_of_the_file(installation: Installation) -> None:
    installation.write("config.json", {"dataClient": {"host": "file", "port": 7}})
    config = installation.load({"DATA_HOST": "data", "METADATA_HOST": "[::1]"})
    assert (config.data_client.host, config.data_client.port) == ("data", 7)
    assert (config.metadata_client.host, config.metadata_client.port) == ("::1", 9990)


def data_sockets(config: Config) -> tuple[Path | None, Path | None]:
    return config.data_daemon.socket_path, config.data_client.socket_path


def test_the_socket_of_halves_that_are_started_together(installation: Installation) -> None:
    config = installation.load({"S3DATA_SOCKET": "/run/s"})
    assert data_sockets(config) == (Path("/run/s"), Path("/run/s"))


def test_the_socket_is_not_for_another_machines_daemon(installation: Installation) -> None:
    config = installation.load({"S3DATA_SOCKET": "/run/s", "DATA_HOST": "data"})
    assert data_sockets(config) == (Path("/run/s"), None)
    installation.write("config.json", {"dataClient": {"host": "localhost", "port": 7}})
    config = installation.load({"S3DATA_SOCKET": "/run/s"})
    assert data_sockets(config) == (Path("/run/s"), None)


def test_a_socket_of_the_file_is_kept(installation: Installation) -> None:
    installation.write("config.json", {"dataDaemon": {"socketPath": "own"}})
    config = installation.load({"S3DATA_SOCKET": "/run/s"})
    assert data_sockets(config) == (Path("own"), None)


def test_listen_addr_is_for_daemons_and_front_end_alike(installation: Installation) -> None:
    installation.write("config.json", {"port": 8080, "listenOn": ["10.0.0.1:1"]})
    config = installation.load({"LISTEN_ADDR": ANY_IPV4})
    assert config.data_daemon.bind_address == ANY_IPV4
    assert config.metadata_daemon.bind_address == ANY_IPV4
    assert config.listen_addresses == ((ANY_IPV4, 8080),)


def test_endpoints_join_those_of_the_file(installation: Installation) -> None:
    installation.write("config.json", {"restEndpoints": {"a.example.com": "paris"}})
    config = installation.load({"ENDPOINT": "B.example.com, c.example.com.,*.d.example.com"})
    assert config.rest_endpoints == {
        "a.example.com": "paris",
        "b.example.com": "us-east-1",
        "c.example.com": "us-east-1",
        "d.example.com": "us-east-1",
    }


@pytest.mark.parametrize("level", ["info", "debug", "trace", "warn", "error"])
def test_log_level(installation: Installation, level: str) -> None:
    assert installation.load({"LOG_LEVEL": level}).log.log_level == level


def test_health_check_networks_and_replication_group(installation: Installation) -> None:
    config = installation.load(
        {"HEALTHCHECKS_ALLOWFROM": "10.0.0.0/8,192.168.0.1", "REPLICATION_GROUP_ID": "RG007"}
    )
    assert ipaddress.ip_network("10.0.0.0/8") in config.health_checks.allow_from
    assert ipaddress.ip_network("127.0.0.0/8") in config.health_checks.allow_from
    assert config.replication_group_id == "RG007"


def test_buckets_that_everybody_may_read(installation: Installation) -> None:
    assert installation.load().public_read_buckets == frozenset()
    given = {"ALLOW_PUBLIC_READ_BUCKETS": "photos, music,,"}
    assert installation.load(given).public_read_buckets == {"photos", "music"}
    assert installation.load(given).warnings == ()


def test_version_ids_are_hexadecimal_unless_told_otherwise(installation: Installation) -> None:
    assert installation.load().version_id_encoding == "hex"
    short = installation.load({"S3_VERSION_ID_ENCODING_TYPE": "base62"})
    assert short.version_id_encoding == "base62"
    assert "S3_VERSION_ID_ENCODING_TYPE" in installation.refusal(
        {"S3_VERSION_ID_ENCODING_TYPE": "base64"}
    )


def test_record_log_can_be_switched_on(installation: Installation) -> None:
    assert not installation.load().record_log.enabled
    assert installation.load({"RECORDLOG_ENABLED": "true"}).record_log.enabled


def test_redis_server_of_the_environment_keeps_the_password_of_the_file(
    installation: Installation,
) -> None:
    installation.write("config.json", {"redis": {"host": "file", "port": 1, "password": "p"}})
    config = installation.load({"REDIS_HOST": "cache", "REDIS_PORT": "6380"})
    assert config.redis is not None
    assert config.redis.password is not None
    assert (config.redis.host, config.redis.port) == ("cache", 6380)
    assert config.redis.password.reveal() == "p"
    assert config.local_cache is not None
    assert (config.local_cache.host, config.local_cache.port) == ("cache", 6380)


def test_empty_variable_counts_as_not_set(installation: Installation) -> None:
    names = ["S3_CONFIG_FILE", "S3DATAPATH", "LISTEN_ADDR", "ENDPOINT", "LOG_LEVEL", "SSL"]
    names += ["S3BACKEND", "SCALITY_ACCESS_KEY_ID", "SCALITY_SECRET_ACCESS_KEY", "S3KMS"]
    assert installation.load(dict.fromkeys(names, "")) == installation.load()


def test_config_file_can_be_named(installation: Installation) -> None:
    installation.write("config.json", {"port": 81})
    installation.write("other.json", {"port": 82})
    assert installation.load({"S3_CONFIG_FILE": "other.json"}).port == 82
    installation.write("other.json", {"prot": 82})
    assert installation.refusal({"S3_CONFIG_FILE": "other.json"}).startswith("other.json: prot: ")


@pytest.mark.parametrize(
    ("environ", "data", "metadata"),
    [
        ({}, "multiple", "file"),
        ({"S3BACKEND": "file"}, "file", "file"),
        ({"S3BACKEND": "file", "S3DATA": "multiple"}, "multiple", "file"),
        ({"S3DATA": "file", "S3METADATA": "file", "S3VAULT": "mem"}, "file", "file"),
        ({"S3DATA": "scality"}, "multiple", "file"),
        ({"S3DATA": "mem"}, "mem", "file"),
        ({"S3BACKEND": "mem"}, "mem", "mem"),
        ({"S3BACKEND": "mem", "S3DATA": "multiple"}, "multiple", "mem"),
        ({"S3BACKEND": "mem", "S3METADATA": "file"}, "mem", "file"),
    ],
)
def test_backends(
    installation: Installation, environ: dict[str, str], data: str, metadata: str
) -> None:
    backends = installation.load(environ).backends
    assert (backends.data, backends.metadata, backends.vault) == (data, metadata, "mem")


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"S3BACKEND": "mem", "S3DATA": "file"}, "S3DATA"),
        ({"S3BACKEND": "file", "S3METADATA": "mem"}, "S3METADATA"),
    ],
)
def test_bytes_that_nothing_would_name_are_not_kept(
    installation: Installation, environ: dict[str, str], variable: str
) -> None:
    refused = installation.refusal(environ)
    assert refused.startswith(f"environment: {variable}: S3DATA=file makes no sense with metadata")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("S3_CONFIG_FILE", "no.json", "there is no file no.json"),
        ("S3_LOCATION_FILE", "no.json", "there is no file no.json"),
        ("S3AUTH_CONFIG", "no.json", "there is no file no.json"),
        ("S3DATA", "azure", "'azure' is not one of mem, file, multiple, scality"),
        (
            "S3BACKEND",
            "scality",
            "'scality' is not supported by this version; use mem or file (objects go to a RING by "
            "a location of type scality, with S3DATA=multiple)",
        ),
        ("S3BACKEND", "cdmi", "'cdmi' is not supported by this version; use mem or file"),
        ("S3METADATA", "mongodb", "'mongodb' is not supported by this version; use mem or file"),
        ("S3VAULT", "vault", "'vault' is not supported by this version; use mem"),
        ("S3VAULT", "file", "'file' is not one of mem"),
        ("S3DATA_NOSYNC", "maybe", "'maybe' is neither true nor false"),
        ("LOG_LEVEL", "loud", "'loud' is not one of trace, debug, info, warn, error, fatal"),
        ("LISTEN_ADDR", "a b", "'a b' is not a host name or IP address"),
        (
            "DATA_HOST",
            "data:9991",
            "'data:9991' is not a host name or IP address (the port is set apart)",
        ),
        ("ENDPOINT", "ok,http://x", "'http://x' is not a host name or IP address"),
        ("REDIS_PORT", "6379x", "'6379x' is not a port: a whole number from 1 to 65535"),
        ("REDIS_PORT", "65536", "'65536' is not a port: a whole number from 1 to 65535"),
        ("HEALTHCHECKS_ALLOWFROM", "x", "'x' is not an IP address or CIDR block"),
        (
            "REPLICATION_GROUP_ID",
            "RG001-Paris",
            "must be 1 to 7 characters of printable ASCII",
        ),
    ],
)
def test_bad_value_names_its_variable(
    installation: Installation, name: str, value: str, reason: str
) -> None:
    assert installation.refusal({name: value}) == f"environment: {name}: {reason}"


def test_a_fail_point(installation: Installation) -> None:
    assert installation.load({"DMD_FAILPOINT": ""}).failpoint is None
    assert str(installation.load({"DMD_FAILPOINT": "after-commit:2"}).failpoint) == "after-commit:2"
    assert installation.refusal({"DMD_FAILPOINT": "nowhere"}).startswith(
        "environment: DMD_FAILPOINT: 'nowhere' is not one of before-segment-write, "
    )


def test_ssl_without_certificates_says_what_to_set(installation: Installation) -> None:
    assert installation.refusal({"SSL": "TRUE"}) == (
        "environment: SSL: needs certFilePaths (key, cert and optionally ca) in config.json"
    )


def test_ssl_false_turns_tls_off(installation: Installation) -> None:
    installation.write("a.pem", "")
    installation.write("config.json", {"certFilePaths": {"key": "a.pem", "cert": "a.pem"}})
    assert installation.load({"SSL": "TRUE"}).cert_file_paths is not None
    assert installation.load({"SSL": "FALSE"}).cert_file_paths is None


def test_variables_that_only_cloudserver_acts_upon_are_reported(
    installation: Installation,
) -> None:
    assert installation.load({"S3QUOTA": "none"}).warnings == (
        "environment: S3QUOTA: known from CloudServer, has no effect in this version",
    )


class TestCredentials:
    def test_one_without_the_other_is_refused(self, installation: Installation) -> None:
        assert installation.refusal({"SCALITY_ACCESS_KEY_ID": "ak"}) == (
            "environment: SCALITY_SECRET_ACCESS_KEY: is not set, but SCALITY_ACCESS_KEY_ID is: "
            "set both or none"
        )
        message = installation.refusal({"SCALITY_SECRET_ACCESS_KEY": "hunter2"})
        assert message.startswith("environment: SCALITY_ACCESS_KEY_ID: is not set")
        assert "hunter2" not in message

    @pytest.mark.parametrize("access_key", ["a/b", "a:b", "a,b", "a b", "ä"])
    def test_access_key_that_no_header_can_carry_is_refused(
        self, installation: Installation, access_key: str
    ) -> None:
        environ = {"SCALITY_ACCESS_KEY_ID": access_key, "SCALITY_SECRET_ACCESS_KEY": "hunter2"}
        message = installation.refusal(environ)
        assert message.startswith("environment: SCALITY_ACCESS_KEY_ID: must be printable ASCII")

    def test_secret_is_in_no_representation(self, installation: Installation) -> None:
        environ = {"SCALITY_ACCESS_KEY_ID": "ak", "SCALITY_SECRET_ACCESS_KEY": "hunter2"}
        config = installation.load(environ)
        assert config.credentials is not None
        assert config.credentials.secret_key.reveal() == "hunter2"
        for text in (repr(config), str(config), repr(config.credentials)):
            assert "hunter2" not in text


@pytest.mark.parametrize(
    ("environ", "addresses"),
    [
        ({"S3_PORT": "8001"}, (("10.0.0.1", 8001), ("::1", 8001))),
        ({"S3_HOST": "127.0.0.1"}, (("127.0.0.1", 8080),)),
        ({"S3_HOST": "[::1]", "S3_PORT": "8001"}, (("::1", 8001),)),
        ({"S3_HOST": "127.0.0.1", "LISTEN_ADDR": ANY_IPV4}, (("127.0.0.1", 8080),)),
        ({"S3_PORT": "8001", "LISTEN_ADDR": ANY_IPV4}, ((ANY_IPV4, 8001),)),
    ],
)
def test_where_the_front_end_listens(
    installation: Installation, environ: dict[str, str], addresses: tuple[tuple[str, int], ...]
) -> None:
    listening = ["10.0.0.1:1", "10.0.0.1:2", "[::1]:1"]
    installation.write("config.json", {"port": 8080, "listenOn": listening})
    config = installation.load(environ)
    assert config.listen_addresses == addresses
    assert config.metadata_daemon.bind_address == environ.get("LISTEN_ADDR", "localhost")


def test_the_front_ends_port_on_every_address(installation: Installation) -> None:
    assert installation.load({"S3_PORT": "8001"}).listen_addresses == (("", 8001),)


def test_the_ports_of_the_daemons_are_also_where_they_are_found(
    installation: Installation,
) -> None:
    environ = {"METADATA_PORT": "1990", "DATA_PORT": "1991", "LISTEN_ADDR": ANY_IPV4}
    config = installation.load({**environ, "METADATA_HOST": "far"})
    assert (config.metadata_client.host, config.metadata_client.port) == ("far", 1990)
    assert (config.metadata_daemon.bind_address, config.metadata_daemon.port) == (ANY_IPV4, 1990)
    assert (config.data_client.port, config.data_daemon.port) == (1991, 1991)
    assert config.data_daemon.bind_address == ANY_IPV4


def test_the_directory_of_both(installation: Installation) -> None:
    config = installation.load({"S3_DATA_DIR": "/srv/s3"})
    assert config.data_path == Path("/srv/s3/localData")
    assert config.metadata_path == Path("/srv/s3/localMetadata")
    config = installation.load({"S3_DATA_DIR": "here", "S3METADATAPATH": "own"})
    assert config.data_path == config.directory / "here" / "localData"
    assert config.metadata_path == config.directory / "own"


@pytest.mark.parametrize("layout", ["auto", "json", "text"])
def test_log_format(installation: Installation, layout: str) -> None:
    installation.write("config.json", {"log": {"format": "text", "logLevel": "warn"}})
    log = installation.load({"LOG_FORMAT": layout}).log
    assert (log.format, log.log_level) == (layout, "warn")
