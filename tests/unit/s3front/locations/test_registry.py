"""A type of locations is one row of the table: a made-up one, from its file to its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3front.locations.base import DataStore
from s3front.locations.location_config import (
    Location,
    LocationType,
    Surroundings,
    Written,
    load_locations,
    location_warnings,
)
from s3front.locations.registry import TYPES, LocationRegistry, NotConfiguredError
from s3front.locations.resilience import ResilientStore
from s3front.s3_errors import S3Error
from shared.config import ConfigError
from shared.config.validation import Section, parse
from shared.process.logs import get_logger
from shared.records.data_location import data_locations
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.locations.scripted_remote import ScriptedRemote
from tests.unit.s3front.places import MemoryPlace
from tests.unit.shared.config.conftest import Installation


class TapeDetails(Section, frozen=True):
    drive: Path


class Tape(MemoryPlace):
    type = "tape"

    def __init__(self, details: object) -> None:
        super().__init__(ranges=False)
        assert isinstance(details, TapeDetails)
        self.drive = details.drive


def read_details(document: object, written: Written) -> TapeDetails:
    return parse(TapeDetails, document, written.file, prefix=written.key)


def make(location: Location, _surroundings: Surroundings) -> Tape:
    return Tape(location.details)


WITH_TAPE = {**TYPES, "tape": LocationType(read_details, make)}


def around(daemon: MemoryPlace) -> Surroundings:
    return Surroundings(daemon, get_logger())


def entry(drive: str) -> dict[str, object]:
    return {"type": "tape", "details": {"drive": drive}}


def locations_of(installation: Installation, **more: object) -> dict[str, Location]:
    installation.write("locationConfig.json", {"us-east-1": {"type": "file"}, **more})
    return dict(load_locations(installation.load(), WITH_TAPE))


def holder(registry: LocationRegistry, name: str, kind: str) -> DataStore:
    document = {"key": "k", "size": 1, "dataStoreName": name, "dataStoreType": kind}
    (location,) = data_locations([document], 1)
    return registry.holder(location)


def test_its_details_are_its_own(installation: Installation) -> None:
    locations = locations_of(installation, attic=entry("/dev/st0"))
    assert locations["attic"].is_supported
    assert locations["attic"].details == TapeDetails(drive=Path("/dev/st0"))
    assert location_warnings(locations, WITH_TAPE) == ()
    with pytest.raises(ConfigError, match=r"attic\.details\.driv: unknown key; did you mean drive"):
        locations_of(installation, attic={"type": "tape", "details": {"driv": "x"}})


def test_a_name_leads_to_its_store(installation: Installation) -> None:
    daemon = MemoryPlace()
    locations = locations_of(
        installation, attic=entry("a"), cellar=entry("b"), cloud={"type": "mongodb"}
    )
    registry = LocationRegistry(locations, around(daemon), WITH_TAPE)
    attic, cellar = registry.store("attic"), registry.store("cellar")
    assert isinstance(attic, Tape)
    assert isinstance(cellar, Tape)
    assert (str(attic.drive), str(cellar.drive)) == ("a", "b")
    assert registry.store("us-east-1") is daemon
    with pytest.raises(S3Error, match=r"'cloud', which is of a type .* not support: mongodb"):
        registry.store("cloud")


def test_what_is_not_configured_goes_nowhere_else(installation: Installation) -> None:
    daemon, log = MemoryPlace(), RecordingLog()
    locations = locations_of(installation)
    registry = LocationRegistry(locations, Surroundings(daemon, log), WITH_TAPE)
    for find in (registry.store, registry.remote, lambda name: holder(registry, name, "tape")):
        for _ in range(2):
            with pytest.raises(NotConfiguredError, match="The location 'gone' is not configured"):
                find("gone")
    for name in ("mem", "scality", "sproxyd", "legacy"):
        with pytest.raises(NotConfiguredError):
            holder(registry, name, "")
    # CloudServer's stock locations have this one.
    assert registry.store("file") is holder(registry, "file", "") is daemon
    said = [fields["location"] for _, fields in log.lines]
    assert said == ["gone", "mem", "scality", "sproxyd", "legacy"]
    for number in range(200):
        with pytest.raises(NotConfiguredError):
            registry.store(str(number))
    assert len(log.lines) == 100


def test_what_is_not_configured_where_all_locations_are_one(installation: Installation) -> None:
    """As S3DATA=mem has it."""
    daemon = MemoryPlace()
    locations = locations_of(installation, **{"us-east-1": entry("a")})
    around = Surroundings(daemon, get_logger(), is_one_place=True)
    registry = LocationRegistry(locations, around, WITH_TAPE)
    one = registry.store("us-east-1")
    assert isinstance(one, Tape)
    assert registry.store("gone") is registry.store("file") is one
    assert holder(registry, "gone", "tape") is one
    assert holder(registry, "gone", "file") is holder(registry, "", "") is daemon


def test_an_error_says_why_it_is_not_the_same_location(installation: Installation) -> None:
    locations = locations_of(installation, attic={"type": "file"})
    registry = LocationRegistry(locations, around(MemoryPlace()), WITH_TAPE)
    with pytest.raises(S3Error, match="'attic' of type tape, which is of another type now: file"):
        holder(registry, "attic", "tape")
    with pytest.raises(S3Error, match="'attic' is of another type now: file"):
        registry.remote("attic")
    with pytest.raises(S3Error, match=r"'gone', which is of a type .* not support: dmf"):
        holder(registry, "gone", "dmf")


def test_what_records_say_leads_to_their_data(installation: Installation) -> None:
    daemon = MemoryPlace()
    locations = locations_of(installation, attic=entry("a"))
    registry = LocationRegistry(locations, around(daemon), WITH_TAPE)
    assert holder(registry, "attic", "tape") is registry.store("attic")
    # The daemon's data stays where it is, whatever its location is now.
    assert holder(registry, "attic", "file") is daemon
    assert holder(registry, "gone", "file") is daemon
    (bare,) = data_locations("key", 1)
    assert registry.holder(bare) is daemon
    for name, kind in (("gone", "tape"), ("us-east-1", "tape"), ("attic", "aws_s3"), ("", "mem")):
        with pytest.raises(S3Error, match="NotImplemented"):
            holder(registry, name, kind)


def with_cloud(remote: ScriptedRemote) -> dict[str, LocationType]:
    row = LocationType(lambda document, _written: document, lambda _location, _around: remote)
    return {**TYPES, "tape": row}


def cloud(**limits: object) -> dict[str, object]:
    return {**entry("a"), "limits": limits}


def test_a_place_that_others_run_is_made_resilient(installation: Installation) -> None:
    remote = ScriptedRemote()
    daemon = MemoryPlace()
    locations = locations_of(installation, cloud=cloud(maxCalls=3))
    registry = LocationRegistry(locations, around(daemon), with_cloud(remote))
    store = registry.store("cloud")
    assert isinstance(store, ResilientStore)
    assert store.inner is remote
    assert registry.store("us-east-1") is daemon
    assert {name: report.limit for name, report in registry.reports().items()} == {"cloud": 3}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"maxCalls": 0}, "maxCalls: must be a whole number from 1 to 10000"),
        ({"maxBodies": "many"}, "maxBodies: must be a whole number from 1 to 10000"),
        ({"deadlineSeconds": 601}, "deadlineSeconds: must be a whole number from 1 to 600"),
        ({"maxCall": 3}, "maxCall: unknown key; did you mean maxCalls"),
    ],
)
def test_limits_are_looked_at(
    installation: Installation, limits: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.limits\.{reason}"):
        locations_of(installation, cloud=cloud(**limits))


def test_what_is_kept_here_has_no_limits(installation: Installation) -> None:
    entry = {"type": "file", "limits": {"maxCalls": 3}}
    with pytest.raises(ConfigError, match=r"here\.limits: has no effect on .* type file"):
        locations_of(installation, here=entry)


async def test_a_reload_keeps_what_has_not_changed(installation: Installation) -> None:
    daemon = MemoryPlace()
    before = LocationRegistry(
        locations_of(installation, attic=entry("a"), cellar=entry("b")), around(daemon), WITH_TAPE
    )
    after = before.renewed(locations_of(installation, attic=entry("a"), cellar=entry("c")))
    assert after.store("attic") is before.store("attic")
    assert after.store("cellar") is not before.store("cellar")
    stores = [before.store("attic"), before.store("cellar"), after.store("cellar")]
    await after.close()
    assert all(isinstance(store, Tape) and store.closed for store in stores)
    assert not daemon.closed  # it is not the registry's
