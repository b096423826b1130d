"""What locationConfig.json and the environment say of a container of Azure's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from s3front.locations.azure_details import AzureDetails, read_azure_details
from s3front.locations.location_config import Written, load_locations
from s3front.locations.registry import TYPES
from shared.config import ConfigError
from tests.unit.shared.config.conftest import Installation

KEY = "auhyDo8izbuU4aZGdhxnWh0ODKFP3IWjsN1UfFaoqFbnYzPj9bxeCVAzTIcgzdgqomDKx6QS+8ov8PYCON0Nkw=="
SAS = "?sv=2026-04-06&sr=c&sp=rcwd&se=2027-01-01T00%3A00%3A00Z&sig=c2VjcmV0%3D"
WHERE = {
    "azureStorageEndpoint": "https://zenkomeetups.blob.core.windows.net/",
    "azureContainerName": "zenkontainer",
}
SHARED_KEY = {"azureStorageAccountName": "zenkomeetups", "azureStorageAccessKey": KEY}
MANUAL = {**WHERE, **SHARED_KEY, "bucketMatch": True}
CLIENT = {"tenantId": "3f1a-tenant", "clientId": "77-client", "clientKey": "client~secret"}


def read(
    document: object, environ: Mapping[str, str] | None = None, name: str = "azure-test"
) -> AzureDetails:
    where = Written("locationConfig.json", f"{name}.details", name, environ or {}, Path())
    return read_azure_details(document, where)


def refusal(document: object, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(document, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_example_of_the_manual(installation: Installation) -> None:
    entry = {"type": "azure", "legacyAwsBehavior": False, "details": MANUAL}
    installation.write("locationConfig.json", {"us-east-1": {"type": "file"}, "azure-test": entry})
    details: Any = load_locations(installation.load(), TYPES, {})["azure-test"].details
    assert details == AzureDetails(
        azure_storage_endpoint="https://zenkomeetups.blob.core.windows.net",
        azure_container_name="zenkontainer",
        bucket_match=True,
        azure_storage_account_name="zenkomeetups",
        azure_storage_access_key=details.azure_storage_access_key,
        auth_method="shared-key",
    )
    assert details.azure_storage_access_key.reveal() == KEY
    assert details.account == "zenkomeetups"


@pytest.mark.parametrize("beginning", ["azure-test", "azure_test", "AZURE_TEST"])
def test_the_environment_stands_above_the_file(beginning: str) -> None:
    environ = {
        f"{beginning}_AZURE_STORAGE_ACCOUNT_NAME": "other",
        f"{beginning}_AZURE_STORAGE_ACCESS_KEY": f"{KEY}\n",
        f"{beginning}_AZURE_STORAGE_ENDPOINT": "https://other.blob.core.windows.net/",
    }
    for document in (MANUAL, {"azureContainerName": "zenkontainer"}):
        details = read(document, environ)
        assert details.account == "other"
        assert details.azure_storage_endpoint == "https://other.blob.core.windows.net"
        assert details.azure_storage_access_key is not None
        assert details.azure_storage_access_key.reveal() == KEY


def test_the_name_as_the_manual_has_it_comes_first() -> None:
    environ = {
        "AZURE_TEST_AZURE_STORAGE_ACCOUNT_NAME": "third",
        "azure_test_AZURE_STORAGE_ACCOUNT_NAME": "second",
        "azure-test_AZURE_STORAGE_ACCOUNT_NAME": "first",
    }
    assert read(MANUAL, environ).account == "first"
    assert (
        read(MANUAL, {**environ, "azure-test_AZURE_STORAGE_ACCOUNT_NAME": ""}).account == "second"
    )


def test_all_that_the_environment_can_say() -> None:
    environ = {
        "azure_test_AZURE_AUTH_METHOD": "client-secret",
        "azure_test_AZURE_TENANT_ID": "tenant",
        "azure_test_AZURE_CLIENT_ID": "client",
        "azure_test_AZURE_CLIENT_KEY": "secret",
        "azure_test_AZURE_SAS_TOKEN": SAS,
    }
    details = read(MANUAL, environ)
    assert (details.auth_method, details.tenant_id) == ("client-secret", "tenant")
    environ["azure_test_AZURE_AUTH_METHOD"] = "shared-access-signature"
    sas = read(MANUAL, environ).sas_token
    assert sas is not None
    assert sas.reveal() == SAS[1:]


@pytest.mark.parametrize(
    ("given", "method"),
    [
        (SHARED_KEY, "shared-key"),
        ({"sasToken": SAS}, "shared-access-signature"),
        (CLIENT, "client-secret"),
        # CloudServer's default, when several are there.
        ({**SHARED_KEY, "sasToken": SAS, **CLIENT}, "shared-key"),
        ({**SHARED_KEY, **CLIENT, "authMethod": "client-secret"}, "client-secret"),
        ({**SHARED_KEY, "sasToken": ""}, "shared-key"),
    ],
)
def test_the_method_is_that_whose_credentials_are_there(given: dict[str, str], method: str) -> None:
    assert read({**WHERE, **given}).auth_method == method


def test_no_secret_is_shown() -> None:
    details = read({**WHERE, **SHARED_KEY, "sasToken": SAS, **CLIENT})
    for secret in (KEY, "c2VjcmV0", "client~secret"):
        assert secret not in repr(details)


def test_the_account_is_found_in_the_endpoint() -> None:
    assert read({**WHERE, "sasToken": SAS}).account == "zenkomeetups"
    local = {**WHERE, "azureStorageEndpoint": "http://127.0.0.1:10000/devstoreaccount1"}
    assert read({**local, "sasToken": SAS}).account == "devstoreaccount1"


FILE = "locationConfig.json: azure-test.details"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], f"{FILE}: must be an object"),
        ({**MANUAL, "azureContainer": 1}, f"{FILE}.azureContainer: unknown key; did you mean "),
        (SHARED_KEY, f"{FILE}.azureStorageEndpoint: is missing"),
        (
            {**MANUAL, "azureStorageEndpoint": "zenkomeetups"},
            f"{FILE}.azureStorageEndpoint: must be a URL, as https://",
        ),
        (
            {**MANUAL, "azureStorageEndpoint": "https://a.b/?sig=secret"},
            f"{FILE}.azureStorageEndpoint: must hold no credentials",
        ),
        (
            {**MANUAL, "azureStorageEndpoint": "https://a.b:x/"},
            f"{FILE}.azureStorageEndpoint: has a port that is none",
        ),
        (
            {**MANUAL, "azureStorageEndpoint": "https://a.b/c/d"},
            f"{FILE}.azureStorageEndpoint: may have nothing behind the host but",
        ),
        (
            {**MANUAL, "azureStorageEndpoint": "http://127.0.0.1:10000/another"},
            f"{FILE}: azureStorageEndpoint says account 'another', azureStorageAccountName "
            "'zenkomeetups'",
        ),
        ({**MANUAL, "azureContainerName": "My_Bin"}, f"{FILE}.azureContainerName: must be 3 to 63"),
        ({**MANUAL, "azureContainerName": "a--b"}, f"{FILE}.azureContainerName: must be 3 to 63"),
        (
            {**MANUAL, "azureStorageAccountName": "Zenko"},
            f"{FILE}.azureStorageAccountName: must be 3 to 24",
        ),
        (
            {**MANUAL, "azureStorageAccessKey": "no base64"},
            f"{FILE}.azureStorageAccessKey: must be Base64",
        ),
        ({**WHERE, "sasToken": "sv=2020"}, f"{FILE}.sasToken: must be a shared access signature"),
        ({**WHERE, "sasToken": "a b"}, f"{FILE}.sasToken: must be a shared access signature"),
        ({**MANUAL, "authMethod": "key"}, f"{FILE}.authMethod: must be one of shared-key, shared-"),
        (WHERE, f"{FILE}: has no credentials: azureStorageAccountName and azureStorageAccessKey"),
        (
            {**WHERE, "azureStorageAccessKey": KEY},
            f"{FILE}.azureStorageAccountName: is missing for authMethod shared-key; "
            "azure-test_AZURE_STORAGE_ACCOUNT_NAME in the environment may say it",
        ),
        (
            {**WHERE, **SHARED_KEY, "authMethod": "shared-access-signature"},
            f"{FILE}.sasToken: is missing for authMethod shared-access-signature",
        ),
        ({**WHERE, "clientKey": "x"}, f"{FILE}.tenantId: is missing for authMethod client-secret"),
        (
            {**WHERE, **CLIENT, "azureStorageEndpoint": "http://127.0.0.1:10000/zenkomeetups"},
            f"{FILE}.azureStorageEndpoint: must begin with https:// for authMethod client-secret",
        ),
        ({**WHERE, **CLIENT, "tenantId": "a/b"}, f"{FILE}.tenantId: must be letters, digits"),
    ],
)
def test_what_is_wrong_is_named(document: object, message: str) -> None:
    assert refusal(document).startswith(message)


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("azure-test_AZURE_STORAGE_ACCESS_KEY", "no base64", "must be Base64, as Azure shows it"),
        ("AZURE_TEST_AZURE_STORAGE_ENDPOINT", "x", "must be a URL, as https://ACCOUNT.blob.core"),
        ("azure_test_AZURE_AUTH_METHOD", "x", "must be one of shared-key, shared-access-signature"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, text: str, reason: str) -> None:
    assert refusal(MANUAL, {variable: text}).startswith(f"environment: {variable}: {reason}")


def test_no_error_holds_a_secret() -> None:
    for document in (
        {**MANUAL, "azureStorageAccessKey": "a secret"},
        {**WHERE, "sasToken": "a secret"},
        {**MANUAL, "azureStorageEndpoint": "https://a:secret@b"},
    ):
        assert "secret" not in refusal(document)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3front.locations.azure_details.find_spec", lambda _module: None)
    assert refusal(MANUAL) == (
        "locationConfig.json: azure-test: needs the client library of Azure: "
        "pip install 'twofold[azure]'"
    )
