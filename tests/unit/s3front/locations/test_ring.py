"""What locationConfig.json says of a RING."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.locations.location_config import load_locations
from s3front.locations.registry import TYPES
from s3front.locations.ring import SproxydDetails
from shared.config import ConfigError
from tests.unit.shared.config.conftest import Installation


def load(installation: Installation, connector: object) -> Any:
    ring = {"type": "scality", "details": {"connector": connector}}
    document = {"us-east-1": {"type": "file"}, "ring": ring}
    installation.write("locationConfig.json", document)
    return load_locations(installation.load(), TYPES)["ring"].details


def test_hosts_and_defaults(installation: Installation) -> None:
    hosts = ["10.0.0.1:81", "[fd00::1]:8181", "ring.lan:81"]
    details = load(installation, {"sproxyd": {"bootstrap": hosts}})
    assert isinstance(details, SproxydDetails)
    assert details.bootstrap == (("10.0.0.1", 81), ("fd00::1", 8181), ("ring.lan", 81))
    assert (details.class_of_service, details.base_path) == (2, "/proxy/arc/")


def test_without_hosts_it_is_this_machine(installation: Installation) -> None:
    assert load(installation, {"sproxyd": {}}).bootstrap == (("localhost", 81),)


@pytest.mark.parametrize(
    ("given", "class_of_service", "path"),
    [
        ({"chordCos": 3}, 3, "/proxy/chord/"),
        ({"chordCos": 0}, 2, "/proxy/arc/"),
        ({"chordCos": None}, 2, "/proxy/arc/"),
        ({"chordCos": 6, "path": "/proxy/best_effort/"}, 6, "/proxy/best_effort/"),
        ({"path": "/proxy/store"}, 2, "/proxy/store/"),
    ],
)
def test_class_of_service_and_path(
    installation: Installation, given: dict[str, object], class_of_service: int, path: str
) -> None:
    details = load(installation, {"sproxyd": given})
    assert (details.class_of_service, details.base_path) == (class_of_service, path)


@pytest.mark.parametrize(
    ("connector", "message"),
    [
        ({}, ".sproxyd: is missing"),
        ([], ": must be an object"),
        ({"hdclient": {"bootstrap": ["a:1"]}}, ".hdclient: is not supported by this version: a RI"),
    ],
)
def test_what_is_wrong_with_a_connector_is_said(
    installation: Installation, connector: object, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(installation, connector)
    assert f"ring.details.connector{message}" in str(caught.value)


@pytest.mark.parametrize(
    ("sproxyd", "message"),
    [
        ({"bootstrap": []}, "bootstrap: must be a list of host:port, and name one"),
        ({"bootstrap": "a:1"}, "bootstrap: must be a list of host:port, and name one"),
        ({"bootstrap": ["a"]}, "bootstrap: 'a' is not of the form host:port"),
        ({"bootstrap": ["a:0"]}, "bootstrap: '0' is not a port"),
        ({"bootstrap": [1]}, "bootstrap: must be a string"),
        ({"bootstrap": ["a:1", "b:1", "a:1"]}, "bootstrap: a:1 is there twice"),
        ({"bootstrap": ["user:s+cret@a"]}, "bootstrap: must have no user information"),
        ({"chordCos": 7}, "chordCos: must be a whole number from 0 to 6"),
        ({"chordCos": "2"}, "chordCos: must be a whole number from 0 to 6"),
        ({"path": "proxy/arc/"}, "path: must be a path of"),
        ({"path": "/proxy/arc ?"}, "path: must be a path of"),
        ({"chordcos": 2}, "chordcos: unknown key; did you mean chordCos?"),
    ],
)
def test_what_is_wrong_with_sproxyd_is_said(
    installation: Installation, sproxyd: object, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(installation, {"sproxyd": sproxyd})
    assert f"ring.details.connector.sproxyd.{message}" in str(caught.value)
