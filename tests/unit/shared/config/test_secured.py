"""What guards the ports: the shared secret, and the files of TLS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.shared.config.conftest import Installation

FIRST, SECOND = "first-secret-of-daemons", "second-secret-of-daemons"
TLS = {"key": "tls.key", "cert": "tls.crt", "ca": "ca.crt"}


def secrets_of(
    installation: Installation, environ: dict[str, str] | None = None
) -> tuple[str, ...]:
    return installation.load(environ).shared_secret.values


def test_there_is_no_secret_by_default(installation: Installation) -> None:
    assert secrets_of(installation) == ()
    assert not installation.load().shared_secret.required


def test_one_secret_and_several(installation: Installation) -> None:
    installation.write("config.json", {"daemonSecret": FIRST})
    assert secrets_of(installation) == (FIRST,)
    installation.write("config.json", {"daemonSecret": [FIRST, SECOND]})
    assert secrets_of(installation) == (FIRST, SECOND)


def test_a_file_has_a_secret_on_each_line(installation: Installation) -> None:
    installation.write("config.json", {"daemonSecretFile": "conf/secret"})
    installation.write("conf/secret", f"{FIRST}\n\n  {SECOND}\r\n")
    assert secrets_of(installation) == (FIRST, SECOND)


@pytest.mark.parametrize("key", ["daemonSecret", "daemonSecretFile"])
def test_the_environment_comes_first(installation: Installation, key: str) -> None:
    installation.write("secret", FIRST)
    installation.write("config.json", {key: "secret" if key.endswith("File") else FIRST})
    assert secrets_of(installation, {"DAEMON_SECRET": SECOND}) == (SECOND,)
    installation.write("other", SECOND)
    assert secrets_of(installation, {"DAEMON_SECRET_FILE": "other"}) == (SECOND,)
    assert secrets_of(installation, {"DAEMON_SECRET": "", "DAEMON_SECRET_FILE": ""}) == (FIRST,)


@pytest.mark.parametrize(
    "secret", ["sh0rt!", "with a space in it", "x" * 513, "grün-grün-grün-grün", "", 1 << 60]
)
def test_a_bad_secret_is_refused_without_being_shown(
    installation: Installation, secret: object
) -> None:
    message = installation.refusal(daemonSecret=secret)
    assert message.startswith("config.json: daemonSecret: must be ")
    assert not secret or str(secret) not in message
    if secret and isinstance(secret, str):
        installation.write("config.json", {})
        installation.write("secret", secret)
        for variable, value in (("DAEMON_SECRET", secret), ("DAEMON_SECRET_FILE", "secret")):
            message = installation.refusal({variable: value})
            assert message.startswith(f"environment: {variable}: ")
            assert secret not in message


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"daemonSecret": []}, "daemonSecret: must be a secret, or a list of secrets"),
        ({"daemonSecret": None}, "daemonSecret: must be a secret, or a list of secrets"),
        ({"daemonSecretFile": "absent"}, "cannot be read: No such file"),
        ({"daemonSecretFile": "."}, "cannot be read: Is a directory"),
        ({"daemonSecretFile": "empty"}, "holds no secret"),
        ({"daemonSecretFile": "bad"}, "line 2 of"),
        ({"daemonSecretFile": "bad", "daemonSecret": FIRST}, "daemonSecret as well"),
    ],
)
def test_what_is_wrong_is_said(
    installation: Installation, keys: dict[str, Any], reason: str
) -> None:
    installation.write("empty", "\n \n")
    installation.write("bad", f"{FIRST}\nshort\n")
    message = installation.refusal(**keys)
    assert message.startswith("config.json: daemonSecret")
    assert reason in message


def test_both_variables_are_refused(installation: Installation) -> None:
    installation.write("secret", FIRST)
    message = installation.refusal({"DAEMON_SECRET": FIRST, "DAEMON_SECRET_FILE": "secret"})
    assert message.startswith("environment: DAEMON_SECRET_FILE: ")


def test_no_repr_holds_a_secret(installation: Installation) -> None:
    config = installation.settings(daemonSecret=[FIRST, SECOND])
    for text in (repr(config), str(config), repr(config.shared_secret)):
        assert FIRST not in text
        assert SECOND not in text


@pytest.mark.parametrize("section", ["metadataDaemon", "dataDaemon"])
def test_certificates_of_a_daemon_are_files(installation: Installation, section: str) -> None:
    for name in TLS.values():
        installation.write(name, "PEM")
    config = installation.settings(**{section: {"certFilePaths": TLS}})
    daemon = config.metadata_daemon if section == "metadataDaemon" else config.data_daemon
    assert daemon.cert_file_paths is not None
    assert daemon.cert_file_paths.key == installation.directory / "tls.key"
    assert daemon.cert_file_paths.ca == installation.directory / "ca.crt"
    assert config.cert_file_paths is None
    (installation.directory / "tls.key").unlink()
    assert installation.refusal() == (
        f"config.json: {section}.certFilePaths.key: there is no file tls.key"
    )


@pytest.mark.parametrize("section", ["metadataClient", "dataClient"])
def test_authorities_of_a_client_are_a_file(installation: Installation, section: str) -> None:
    installation.write("ca.crt", "PEM")
    config = installation.settings(**{section: {"tls": {"ca": "ca.crt"}}})
    client = config.metadata_client if section == "metadataClient" else config.data_client
    assert client.tls is not None
    assert client.tls.ca == installation.directory / "ca.crt"
    assert installation.settings(**{section: {"tls": {}}}) != config
    installation.write("config.json", {section: {"tls": {"ca": "absent.crt"}}})
    message = f"config.json: {section}.tls.ca: there is no file absent.crt"
    assert installation.refusal() == message
    installation.write("config.json", {section: {"tls": {"cert": "tls.crt"}}})
    assert f"{section}.tls.cert: unknown key" in installation.refusal()


def test_ssl_false_is_about_the_s3_port(installation: Installation) -> None:
    for name in TLS.values():
        installation.write(name, "PEM")
    installation.write("config.json", {"certFilePaths": TLS, "dataDaemon": {"certFilePaths": TLS}})
    config = installation.load({"SSL": "FALSE"})
    assert config.cert_file_paths is None
    assert config.data_daemon.cert_file_paths is not None
