"""locationConfig.json, and the endpoints that point into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3front.locations.location_config import load_locations, location_warnings
from s3front.locations.registry import TYPES
from shared.config import ConfigError, load_config
from tests.unit.shared.config.conftest import Installation

STOCK = Path(__file__).parents[4]
US_EAST_1 = {"us-east-1": {"type": "file"}}


def refusal(installation: Installation, document: object) -> str:
    installation.write("locationConfig.json", document)
    with pytest.raises(ConfigError) as caught:
        load_locations(installation.load(), TYPES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_file_there_is_the_location_of_the_stock_file(
    installation: Installation,
) -> None:
    assert load_locations(installation.load(), TYPES) == load_locations(
        load_config({}, STOCK), TYPES
    )
    assert (STOCK / "locationConfig.json").exists()


def test_locations_are_found_by_name(installation: Installation) -> None:
    paris = {"type": "file", "objectId": "p", "legacyAwsBehavior": True, "details": {}}
    installation.write("locationConfig.json", {**US_EAST_1, "paris": paris})
    locations = load_locations(installation.load(), TYPES)
    assert set(locations) == {"us-east-1", "paris"}
    assert locations["paris"].name == "paris"
    assert locations["paris"].object_id == "p"
    assert locations["paris"].legacy_aws_behavior
    assert locations["us-east-1"].object_id == "us-east-1"
    assert not locations["us-east-1"].legacy_aws_behavior


def test_table_cannot_be_changed(installation: Installation) -> None:
    locations = load_locations(installation.load(), TYPES)
    with pytest.raises(TypeError):
        locations["x"] = locations["us-east-1"]  # type: ignore[index]  # what the test is about


def test_loading_again_reads_the_file_again(installation: Installation) -> None:
    config = installation.load()
    installation.write("locationConfig.json", {**US_EAST_1, "new": {"type": "file"}})
    assert "new" in load_locations(config, TYPES)


def test_file_can_be_named(installation: Installation) -> None:
    installation.write("locationConfig.json", US_EAST_1)
    path = installation.write("elsewhere.json", {**US_EAST_1, "paris": {"type": "file"}})
    assert "paris" in load_locations(installation.load({"S3_LOCATION_FILE": str(path)}), TYPES)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "us-east-1: is missing: this location must exist"),
        ({"us-east-1": []}, "us-east-1: must be an object"),
        ({"us-east-1": {}}, "us-east-1.type: is missing"),
        ({"us-east-1": {"type": 1}}, "us-east-1.type: must be a string"),
        (
            {"us-east-1": {"type": "mongodb", "details": {"credentials": 1}}},
            "us-east-1: type 'mongodb' is not supported by this version",
        ),
        (
            {"us-east-1": {"type": "azur"}},
            "us-east-1: type 'azur' is unknown; did you mean azure?",
        ),
        (
            {"us-east-1": {"type": "file", "legacyAwsBehaviour": True}},
            "us-east-1.legacyAwsBehaviour: unknown key; did you mean legacyAwsBehavior?",
        ),
        (
            {"us-east-1": {"type": "file", "details": {"bucketName": "b"}}},
            "us-east-1.details: must be an empty object for a location of type file or mem",
        ),
        (
            {"us-east-1": {"type": "file", "isCold": True}},
            "us-east-1.isCold: is not supported by this version: nothing is archived",
        ),
        (
            {"us-east-1": {"type": "file", "sizeLimitGB": 3}},
            "us-east-1.sizeLimitGB: is not supported by this version, which would store more: take "
            "it out, and have the place itself limit what is stored there",
        ),
        (
            {
                "us-east-1": {"type": "file", "objectId": "same"},
                "b": {"type": "file", "objectId": "same"},
            },
            "b.objectId: is already that of location 'us-east-1'",
        ),
    ],
)
def test_wrong_location_is_refused_in_one_line(
    installation: Installation, document: dict[str, Any], message: str
) -> None:
    assert refusal(installation, document) == f"locationConfig.json: {message}"


@pytest.mark.parametrize(
    "name", ["", "a/b", "a\n", "..x", "..", " a", "a ", "m\u00fcnchen", "\ud800", "x" * 256]
)
def test_a_name_that_no_bucket_could_say(installation: Installation, name: str) -> None:
    said = refusal(installation, {**US_EAST_1, name: {"type": "file"}})
    assert "is no name for a location: 1 to 255 characters of printable ASCII" in said
    assert said.isascii()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("a\0b", "must not have a NUL character"), ("\ud800", "must be text that is valid Unicode")],
)
def test_a_path_that_no_file_can_have(installation: Installation, path: str, reason: str) -> None:
    entry = {"type": "folder", "details": {"path": path}}
    said = refusal(installation, {**US_EAST_1, "nas": entry})
    assert f"nas.details.path: {reason}" in said


def test_the_stock_file_of_cloudserver_is_taken(installation: Installation) -> None:
    """With a warning for each location that nothing can be kept in."""
    cold = {"isCold": True, "details": {}, "legacyAwsBehavior": False}
    document = {
        **US_EAST_1,
        "location-dmf-v1": {"type": "dmf", "objectId": "location-dmf-v1", **cold},
        "location-azure-archive-v1": {"type": "azure_archive", "objectId": "a", **cold},
        "cloud": {"type": "mongodb", "details": {"credentials": {"secretKey": "secret"}}},
        "typo": {"type": "fil"},
    }
    installation.write("locationConfig.json", document)
    locations = load_locations(installation.load(), TYPES)
    supported = {name: location.is_supported for name, location in locations.items()}
    assert supported == {name: name == "us-east-1" for name in document}
    assert "secret" not in repr(locations)
    assert location_warnings(locations, TYPES) == (
        "location 'location-dmf-v1': type 'dmf' is not supported by this version; "
        "what needs it is refused",
        "location 'location-azure-archive-v1': type 'azure_archive' is not supported by this "
        "version; what needs it is refused",
        "location 'cloud': type 'mongodb' is not supported by this version; what needs it is "
        "refused",
        "location 'typo': type 'fil' is unknown; did you mean file?; what needs it is refused",
    )


def test_defaults_that_cloudserver_writes_out_are_accepted(installation: Installation) -> None:
    entry = {"type": "file", "isTransient": False, "isCold": False, "sizeLimitGB": 0}
    installation.write("locationConfig.json", {"us-east-1": entry})
    assert load_locations(installation.load(), TYPES)["us-east-1"].type == "file"


def test_endpoint_of_a_location_that_does_not_exist_names_its_key(
    installation: Installation,
) -> None:
    installation.write("config.json", {"restEndpoints": {"localhost": "us-east-2"}})
    assert refusal(installation, US_EAST_1) == (
        "config.json: restEndpoints.localhost: location 'us-east-2' is not in "
        "locationConfig.json; did you mean us-east-1?"
    )


def test_what_is_there_to_be_replicated_stays(installation: Installation) -> None:
    entry = {"type": "file", "isTransient": True, "sizeLimitGB": None}
    installation.write("locationConfig.json", {**US_EAST_1, "on-the-way": entry})
    assert location_warnings(load_locations(installation.load(), TYPES), TYPES) == (
        "location 'on-the-way': isTransient has no effect, data stays there",
    )


def test_locations_named_like_backends_need_not_be_written_down(
    installation: Installation,
) -> None:
    """Manual, 5.2.3: CloudServer's stock file has them."""
    endpoints = {"localhost": "file", "127.0.0.1": "mem", "s3.example.com": "us-east-1"}
    installation.write("config.json", {"restEndpoints": endpoints})
    installation.write("locationConfig.json", US_EAST_1)
    locations = load_locations(installation.load(), TYPES)
    assert {name: location.type for name, location in locations.items()} == {
        "us-east-1": "file",
        "file": "file",
        "mem": "mem",
    }


def test_the_location_of_the_manual(installation: Installation) -> None:
    """Manual, 2.7.1."""
    mine = {"type": "file", "legacyAwsBehavior": False, "details": {}}
    installation.write("locationConfig.json", {"myLocationConstraint": mine, **US_EAST_1})
    installation.write("config.json", {"restEndpoints": {"localhost": "myLocationConstraint"}})
    location = load_locations(installation.load(), TYPES)["myLocationConstraint"]
    assert (location.type, location.object_id) == ("file", "myLocationConstraint")


def test_the_services_of_the_manual(installation: Installation) -> None:
    """Manual, 3.2.2, 3.3.2 and 5.1.1, as they stand there."""
    amazon = {"awsEndpoint": "s3.amazonaws.com", "bucketName": "zenkobucket", "bucketMatch": True}
    keys = {
        "accessKey": "WHDBFKILOSDDVF78NPMQ",
        "secretKey": "87hdfGCvDS+YYzefKLnjjZEYstOIuIjs/2X72eET",
    }
    document = {
        **US_EAST_1,
        "aws-test": {
            "type": "aws_s3",
            "legacyAwsBehavior": True,
            "details": {**amazon, "credentials": keys},
        },
        "aws-profile": {
            "type": "aws_s3",
            "legacyAwsBehavior": True,
            "details": {**amazon, "credentialsProfile": "zenko"},
        },
        "awsbackend": {
            "type": "aws_s3",
            "details": {
                "awsEndpoint": "s3.amazonaws.com",
                "bucketName": "yourawss3bucket",
                "bucketMatch": True,
                "credentialsProfile": "aws_hosted_profile",
            },
        },
        "azure-test": {
            "type": "azure",
            "legacyAwsBehavior": False,
            "details": {
                "azureStorageEndpoint": "https://zenkomeetups.blob.core.windows.net/",
                "bucketMatch": True,
                "azureContainerName": "zenkontainer",
                "azureStorageAccountName": "zenkomeetups",
                "azureStorageAccessKey": "auhyDo8izbuU4aZGdhxnWh0ODKFP3IWjsN1UfFaoqFbnYzPj9bxeCVAz"
                "TIcgzdgqomDKx6QS+8ov8PYCON0Nkw==",
            },
        },
    }
    installation.write("locationConfig.json", document)
    profiles = installation.write(
        "credentials",
        "".join(
            f"[{name}]\naws_access_key_id={keys['accessKey']}\n"
            f"aws_secret_access_key={keys['secretKey']}\n"
            for name in ("zenko", "aws_hosted_profile")
        ),
    )
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(profiles)}
    locations = load_locations(installation.load(), TYPES, environ)
    assert set(locations) == set(document)
    assert location_warnings(locations, TYPES) == ()
    assert "87hdf" not in repr(locations)
    assert "auhyDo" not in repr(locations)


@pytest.mark.parametrize("one", ["file", "mem"])
def test_one_place_for_all_data(installation: Installation, one: str) -> None:
    """S3DATA: locations are names then."""
    document = {**US_EAST_1, "cloud": {"type": "gcp-or-so"}, "cellar": {"type": "file"}}
    installation.write("locationConfig.json", document)
    locations = load_locations(installation.load({"S3DATA": one}), TYPES)
    assert {(location.type, location.is_supported) for location in locations.values()} == {
        (one, True)
    }
