"""Whatever a place that others run does wrong, every client is answered in time and rightly.

Each case has the location ``there`` go wrong in one way, and all kinds of calls made at once. Every
one of them ends in time, with what was asked for or with an error that says whose fault it is. Then
the place is well again: the circuit closes, all that was ever acknowledged is read back, nothing is
in use, and after background work has done its share nothing lies at the remote that no record
names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from shared.records.names import DELETIONS
from tests.backends.outage_stage import (
    ANSWERED_SECONDS_MAX,
    CODES,
    DEADLINE_SECONDS,
    EXPECTED,
    LARGE,
    LONG_SECONDS,
    SMALL,
    OutageStage,
    Told,
    empty,
    outage_stage,
    tell,
)
from tests.faults.http_faults import Act, Misbehaviour, Stage
from tests.faults.stores import stored_records
from tests.fuzz.watch import Watched
from tests.servers import ACCESS_KEY, SECRET_KEY, wait_for

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))

KEPT_CONNECTIONS_MAX = 32
"""How many connections may be kept for the next requests."""

OTHER_WORK_SECONDS_MAX = 25.0

MAY_TAKE_LONG = {"complete", "copy", "copy large", "upload part copy"}


def at(stage: Stage, act: Act, *bytes_: int) -> dict[str, Misbehaviour]:
    name = f"{act.name.lower()} at {stage.name.lower()}"
    return {f"{name} {at}": Misbehaviour(stage, act, at) for at in bytes_}


def status(number: int, code: str) -> dict[str, Misbehaviour]:
    return {f"{number} {code}": Misbehaviour(status=number, code=code)}


WRONG: dict[str, Misbehaviour] = {
    **at(Stage.HEAD, Act.HANG, 0),
    **at(Stage.REQUEST, Act.HANG, 1000),
    **at(Stage.BODY, Act.HANG, 500_000),
    **at(Stage.ANSWER, Act.CUT, 0, 40),
    **at(Stage.BODY, Act.RESET, 1000),
    **status(500, "InternalError"),
    **status(503, "SlowDown"),
    **status(403, "RequestTimeTooSkewed"),
    "longer": Misbehaviour(longer=10),
    "shorter": Misbehaviour(longer=-10),
}
"""What goes wrong in every run."""

MORE_WRONG: dict[str, Misbehaviour] = {
    **at(Stage.ACCEPT, Act.HANG, 0),
    **at(Stage.ACCEPT, Act.RESET, 0),
    **at(Stage.HEAD, Act.CUT, 0),
    **at(Stage.HEAD, Act.RESET, 0),
    **at(Stage.REQUEST, Act.HANG, 0, 1, 65_535, 1_000_000, 3_000_000),
    **at(Stage.REQUEST, Act.RESET, 0, 1, 65_536, 1_000_000),
    **at(Stage.ANSWER, Act.HANG, 0, 1, 9, 13, 100, 1_000_000),
    **at(Stage.ANSWER, Act.RESET, 0, 1, 20, 200),
    **at(Stage.BODY, Act.HANG, 0, 1, 65_536, 3_000_000),
    **at(Stage.BODY, Act.CUT, 0, 1, 65_536, 3_000_000),
    **status(500, ""),
    **status(502, ""),
    **status(503, "ServiceUnavailable"),
    **status(504, ""),
    **status(429, "TooManyRequests"),
    **status(403, "AccessDenied"),
    **status(403, "ExpiredToken"),
    **status(400, "RequestTimeout"),
    **status(404, "NoSuchBucket"),
    **status(418, "IsATeapot"),
}

CASES = WRONG | MORE_WRONG if SOAK else WRONG


@pytest.fixture(scope="module", params=[True, False] if SOAK else [True])
def own_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OutageStage]:
    folder = tmp_path_factory.mktemp("outages")
    with outage_stage(folder, versioned=request.param) as running:
        yield running


@pytest.fixture
def stage(own_stage: OutageStage) -> OutageStage:
    """The cluster in order, with what calls are about."""
    own_stage.faults.heal()
    own_stage.acknowledged.clear()
    own_stage.client(5).put_object(Bucket="there", Key="stored", Body=b"")
    own_stage.prepare()
    return own_stage


def assert_answered(told: list[Told]) -> None:
    """In time, and with what it should be."""
    for each in told:
        most = ANSWERED_SECONDS_MAX + (LONG_SECONDS if each.name in MAY_TAKE_LONG else 0)
        assert each.seconds < most, each
        if not each.code:
            assert each.found == EXPECTED.get(each.name, each.found), each.name
        elif each.code.startswith("broken"):
            assert each.name in ("get", "get large", "get range"), each
        else:
            # An answer that took long had begun already, and botocore makes a 500 of that.
            late = (500,) if each.name in MAY_TAKE_LONG else ()
            assert each.code in CODES, each
            assert each.status in (CODES[each.code], *late), each


def assert_recovered(stage: OutageStage) -> None:
    stage.wait_until_closed()
    s3 = stage.client(5)
    for key, data in stage.acknowledged.items():
        found = s3.get_object(Bucket="there", Key=key)["Body"].read()
        assert found == data, f"{key} was acknowledged, and is another one"
    stage.wait_until_free()
    again: list[Told] = []

    def all_work() -> bool:
        again[:] = [each for each in stage.call_all() if each.code]
        # What was done by the first call is not there for a second one.
        return {each.code for each in again} <= {"NoSuchUpload"}

    wait_for(all_work, lambda: f"all to work again: {again}", 60)
    empty(stage)
    stage.wait_until_settled()
    assert stage.left_at_the_remote() == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_every_client_is_answered_and_nothing_is_lost(stage: OutageStage, name: str) -> None:
    stage.faults.misbehave(CASES[name])
    told = stage.call_all()
    assert_answered(told)
    stage.faults.heal()
    assert_recovered(stage)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["refuse", "be_deaf"])
def test_a_place_that_cannot_be_reached(stage: OutageStage, way: str) -> None:
    getattr(stage.faults, way)()
    told = stage.call_all()
    assert_answered(told)
    failed = {each.name: each.code for each in told if each.code}
    assert failed["get"] == failed["put large"] == "ServiceUnavailable"
    # What needs no bytes does not need the place.
    assert failed.keys().isdisjoint({"head", "delete"})
    stage.faults.heal()
    assert_recovered(stage)


def test_a_place_that_is_away_is_not_asked_until_it_is_tried(stage: OutageStage) -> None:
    logged = len(stage.front.process.output)
    stage.faults.misbehave(Misbehaviour(Stage.HEAD, Act.RESET))
    s3 = stage.client()
    ask = {
        "get": lambda s3: s3.get_object(Bucket="there", Key="stored"),
        "put": lambda s3: s3.put_object(Bucket="there", Key="new", Body=b"bytes"),
    }
    wait_for(
        lambda: bool(tell("get", ask["get"], s3).code) and stage.report()["state"] == "open",
        "the circuit to open",
    )
    opened = stage.report()
    assert opened["opened"] >= 1
    assert opened["reason"]
    asked = len(stage.faults.requests)
    for _ in range(50):
        for name, call in ask.items():
            told = tell(name, call, s3)
            assert (told.code, told.status) == ("ServiceUnavailable", 503)
            assert told.seconds < DEADLINE_SECONDS
    # One try at a time, each after a longer rest.
    assert len(stage.faults.requests) - asked <= 8
    stage.faults.heal()
    stage.wait_until_closed()
    assert stage.report()["closed"] == opened["closed"] + 1
    lines = stage.front.process.output[logged:].splitlines()
    changes = [line for line in lines if "a location is " in line]
    assert len(changes) == 2, changes
    assert '"location":"there"' in changes[0]
    assert '"reason":"' in changes[0]
    failed = [line for line in lines if '"event":"request failed"' in line]
    assert failed
    assert all("location 'there', " in line for line in failed)
    assert_recovered(stage)


@pytest.mark.timeout(300)
def test_credentials_that_are_replaced_are_used_once_they_are_known(stage: OutageStage) -> None:
    accounts = stage.authdata.read_text()
    assert accounts.count(SECRET_KEY) == 1
    changed = accounts.replace(f'"{ACCESS_KEY}"', '"anotherKey"')
    stage.authdata.write_text(changed)
    s3 = stage.client()

    def refused() -> bool:
        return bool(tell("get", lambda s3: s3.get_object(Bucket="there", Key="stored"), s3).code)

    wait_for(refused, "the remote service to know the old key no more")
    told = stage.call_all()
    assert_answered(told)
    assert {each.code for each in told if each.name in ("get", "put small", "put large")} == {
        "ServiceUnavailable"
    }
    # Somebody has to do something; it is no outage that would pass.
    assert stage.report()["state"] == "closed"
    assert stage.report()["failures"]["REFUSED"] > 0
    stage.renew_credentials("anotherKey", SECRET_KEY)
    wait_for(lambda: not refused(), "the new key to be used")
    stage.authdata.write_text(accounts)
    stage.renew_credentials(ACCESS_KEY, SECRET_KEY)
    wait_for(lambda: not refused(), "the first key to be used again")
    assert_recovered(stage)


@pytest.mark.parametrize("key", ["new-small", "new-large"])
def test_bytes_that_change_on_their_way_there_are_not_acknowledged(
    stage: OutageStage, key: str
) -> None:
    data = SMALL if key == "new-small" else LARGE
    stage.faults.misbehave(Misbehaviour(Stage.REQUEST, Act.FLIP, 1000, concerns=is_put))
    told = tell("put", lambda s3: s3.put_object(Bucket="there", Key=key, Body=data), stage.client())
    assert (told.code, told.status) == ("InternalError", 500)
    stage.faults.heal()
    with pytest.raises(ClientError, match="404"):
        stage.client().head_object(Bucket="there", Key=key)
    assert_recovered(stage)


def is_put(method: str, _target: str) -> bool:
    return method == "PUT"


def test_what_an_outage_took_is_given_back(stage: OutageStage) -> None:
    """Memory, and connections to the place."""
    watched = Watched([stage.front.process])

    def connections() -> int:
        return stage.faults.connections

    stage.call_all()
    for wrong in (WRONG["hang at body 500000"], WRONG["hang at request 1000"]):
        stage.prepare()
        stage.faults.misbehave(wrong)
        clients = [stage.client() for _ in range(24)]
        names = ["get large", "put large"] * (len(clients) // 2)
        calls = [stage.calls()[name] for name in names]
        with ThreadPoolExecutor(len(clients)) as pool:
            told = list(pool.map(tell, names, calls, clients))
        assert_answered(told)
        stage.faults.heal()
        stage.wait_until_closed()
    stage.wait_until_free()
    wait_for(lambda: connections() <= KEPT_CONNECTIONS_MAX, lambda: f"connections: {connections()}")
    watched.assert_unharmed()
    assert_recovered(stage)


@pytest.mark.timeout(300)
def test_background_work_for_other_places_goes_on(stage: OutageStage) -> None:
    """While there is much to delete at a place that hangs."""
    s3 = stage.client(5)
    keys = [f"much/{number:03}" for number in range(60)]
    for key in keys:
        s3.put_object(Bucket="there", Key=key, Body=SMALL)
    stage.faults.misbehave(WRONG["hang at head 0"])
    for key in keys:
        s3.delete_object(Bucket="there", Key=key)

    def waiting(name: str) -> int:
        entries = stored_records(stage.running, [DELETIONS])[DELETIONS].values()
        return sum(each["dataStoreName"] == name for entry in entries for each in entry["location"])

    for number in range(5):
        for _ in range(10):
            s3.put_object(Bucket="here", Key="again", Body=LARGE[: 300_000 + number])
        began = time.monotonic()
        wait_for(lambda: not waiting("us-east-1"), "deletions of another location")
        assert time.monotonic() - began < OTHER_WORK_SECONDS_MAX
    assert waiting("there") >= len(keys)
    stage.faults.heal()
    assert_recovered(stage)


@pytest.mark.parametrize("key", ["stored", "large"])
@pytest.mark.parametrize("byte", [0, 1300])
def test_bytes_that_change_on_their_way_back_are_not_served(
    stage: OutageStage, key: str, byte: int
) -> None:
    """A small object is refused; a reply of a large one breaks off before its end."""
    stage.faults.misbehave(Misbehaviour(Stage.BODY, Act.FLIP, byte))
    calls = stage.calls()
    name = "get" if key == "stored" else "get large"
    told = tell(name, calls[name], stage.client())
    if key == "stored":
        assert (told.code, told.status) == ("InternalError", 500)
    else:
        assert told.code.startswith("broken"), told.code
    copy = tell("copy", calls["upload part copy"], stage.client())
    assert copy.code in ("InternalError", "ServiceUnavailable"), copy
    stage.faults.heal()
    assert_recovered(stage)
