"""The sections of config.json about encryption, and the variables on top of them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.config import ConfigError
from tests.unit.shared.config.conftest import Installation

KMS = {"endpoint": "https://kms.example.com/", "ak": "id", "sk": "hunter2"}


class TestWhoKeepsTheMasterKeys:
    @pytest.mark.parametrize(
        ("environ", "settings", "current"),
        [
            ({}, {}, "file"),
            ({}, {"current": "vault"}, "vault"),
            ({"S3KMS": "aws"}, {"current": "vault"}, "aws"),
            ({"S3BACKEND": "mem"}, {}, "mem"),
            ({"S3BACKEND": "mem", "S3KMS": "kmip"}, {}, "kmip"),
            ({"S3BACKEND": "file"}, {"current": "vault"}, "vault"),
        ],
    )
    def test_is_said_by_the_variables_first(
        self,
        installation: Installation,
        environ: dict[str, str],
        settings: dict[str, str],
        current: str,
    ) -> None:
        installation.write("config.json", {"encryption": settings})
        assert installation.load(environ).keepers().current == current

    def test_and_a_module_of_scalitys_is_refused(self, installation: Installation) -> None:
        assert installation.refusal({"S3KMS": "scality"}).startswith(
            "environment: S3KMS: 'scality' is not supported by this version; use file or mem or aws"
        )


def test_key_file_is_relative_to_the_directory_and_need_not_be_there(
    installation: Installation,
) -> None:
    keepers = installation.settings().keepers()
    assert keepers.encryption.keyring_file == installation.directory / "conf/keyring.json"
    keepers = installation.settings(encryption={"keyringFile": "/etc/keys"}).keepers()
    assert str(keepers.encryption.keyring_file) == "/etc/keys"
    keepers = installation.load({"S3_KEYRING_FILE": "other.json"}).keepers()
    assert keepers.encryption.keyring_file == installation.directory / "other.json"


def test_secrets_are_in_no_representation(installation: Installation) -> None:
    config = installation.settings(
        kmsAWS=KMS,
        encryption={
            "vault": {
                "address": "https://vault:8200", "roleId": "role", "secretId": "hunter2"
            },
            "pkcs11": {"library": "/lib/p11.so", "token": "hsm", "pin": "hunter2"},
        },
    )  # fmt: skip
    assert config.kms_aws is not None
    assert config.kms_aws.sk is not None
    assert config.kms_aws.sk.reveal() == "hunter2"
    assert config.kms_aws.endpoint == "https://kms.example.com"
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"kmsAWS": KMS | {"endpoint": "kms.example.com"}},
         "kmsAWS.endpoint: is not of the form http(s)://host:port"),
        ({"kmsAWS": {"ak": "id"}}, "kmsAWS: needs both ak and sk, or none of them"),
        ({"kmsAWS": KMS | {"credentialsProfile": "kms"}},
         "kmsAWS: ak and credentialsProfile exclude each other"),
        ({"kmsAWS": KMS | {"region": "eu/west"}}, "kmsAWS.region: must be the name of a region"),
        ({"kmsAWS": KMS | {"tls": {"rejectUnauthorized": False}}},
         "kmsAWS.tls.rejectUnauthorized: must be true: name the authorities of the service in "
         "'ca'"),
        ({"kmsAWS": KMS | {"tls": {"minVersion": "TLSv1"}}},
         "kmsAWS.tls.minVersion: must be TLSv1.2 or TLSv1.3"),
        ({"kmip": {"transport": {"tls": {"key": "a.pem"}}}},
         "kmip.transport.tls: needs both key and cert, or none of them"),
        ({"kmip": {"transport": [{"tls": {"port": 0}}]}},
         "kmip.transport[0].tls.port: must be at least 1"),
        ({"kmip": {"transport": []}}, "kmip.transport: must name a server"),
        ({"kmip": {"transport": 4}}, "kmip.transport: must be a list"),
        ({"encryption": {"current": "scality"}},
         "encryption.current: must be one of 'file', 'mem', 'aws', 'kmip', 'vault' or 'pkcs11'"),
        ({"encryption": {"keyring": "a"}},
         "encryption.keyring: unknown key; did you mean keyringFile?"),
        ({"encryption": {"vault": {"address": "https://u:p@vault"}}},
         "encryption.vault.address: must have no user information: credentials have keys of their "
         "own"),
        ({"encryption": {"vault": {"address": "http://a", "token": "a", "roleId": "b"}}},
         "encryption.vault: token, tokenFile and roleId exclude each other"),
        ({"encryption": {"vault": {"address": "https://vault", "roleId": "a"}}},
         "encryption.vault: needs secretId or secretIdFile with roleId, and not without it"),
        ({"encryption": {"pkcs11": {"library": "a", "token": "t", "slot": 1, "pin": "1"}}},
         "encryption.pkcs11: needs one of token and slot"),
        ({"globalEncryptionEnabled": "yes"},
         "globalEncryptionEnabled: must be true or false"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_key(
    installation: Installation, keys: dict[str, Any], reason: str
) -> None:
    assert installation.refusal(**keys) == f"config.json: {reason}"


def test_files_that_are_not_there_stop_those_who_need_them_alone(
    installation: Installation,
) -> None:
    config = installation.settings(kmip={"transport": {"tls": {"ca": ["a.pem"]}}})
    with pytest.raises(ConfigError) as caught:
        config.keepers()
    assert str(caught.value) == ("config.json: kmip.transport[0].tls.ca[0]: there is no file a.pem")
    installation.write("a.pem", "")
    kmip = config.keepers().kmip
    assert kmip is not None
    assert kmip.transport[0].tls.ca == (installation.directory / "a.pem",)


class TestKmipOfTheEnvironment:
    def test_stands_above_the_file(self, installation: Installation) -> None:
        installation.write("config.json", {"kmip": {"transport": {"tls": {"port": 1}}}})
        config = installation.load(
            {
                "S3KMIP_HOSTS": "a, b",
                "S3KMIP_PIPELINE_DEPTH": "2",
                "S3KMIP_COMPOUND_CREATE": "true",
                "S3KMIP_BUCKET_ATTRIBUTE_NAME": "x-bucket",
                "S3KMIP_KEY": "k.pem",
                "S3KMIP_CERT": "c.pem",
            }
        )
        assert config.kmip is not None
        servers = config.kmip.transport
        assert [(each.tls.host, each.tls.port) for each in servers] == [("a", 1), ("b", 1)]
        assert servers[0].pipeline_depth == 2
        assert servers[0].tls.key == installation.directory / "k.pem"
        assert config.kmip.client.compound_create_activate is True
        assert config.kmip.client.bucket_name_attribute_name == "x-bucket"

    def test_is_refused_with_the_name_of_the_variable(self, installation: Installation) -> None:
        assert installation.refusal({"S3KMIP_PORT": "x"}).startswith("environment: S3KMIP_PORT: ")
        assert installation.refusal({"S3KMIP_KEY": "k.pem"}) == (
            "environment: S3KMIP_KEY: needs both key and cert, or none of them"
        )


@pytest.mark.parametrize("name", ["token", "namespace"])
@pytest.mark.parametrize("text", ["abc\n", "a\0b", "\u00fc", "\x7f"])
def test_what_no_header_can_have_is_refused(
    installation: Installation, name: str, text: str
) -> None:
    vault = {"address": "https://vault.example.com", "token": "t", name: text}
    installation.write("config.json", {"encryption": {"vault": vault}})
    refusal = installation.refusal({})
    assert refusal.startswith(f"config.json: encryption.vault.{name}: must be of printable ASCII")
