"""Whatever a place that others run does wrong, every client is answered in time and rightly.

Each case has the location ``there`` go wrong in one way, and all kinds of calls made at once. Every
one of them ends in time, with what was asked for or with an error that says whose fault it is. Then
the place is well again: the circuit closes, all that was ever acknowledged is read back, nothing is
in use, and after background work has done its share nothing lies at the remote that no record
names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.backends.outage_stage import (
    ANSWERED_SECONDS_MAX,
    CODES,
    EXPECTED,
    LONG_SECONDS,
    OutageStage,
    Told,
    empty,
    outage_stage,
)
from tests.faults.http_faults import Act, Misbehaviour, Stage

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))

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
    own_stage.client().put_object(Bucket="there", Key="stored", Body=b"")
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
            assert CODES.get(each.code) == each.status, each


def assert_recovered(stage: OutageStage) -> None:
    stage.wait_until_closed()
    s3 = stage.client()
    for key, data in stage.acknowledged.items():
        found = s3.get_object(Bucket="there", Key=key)["Body"].read()
        assert found == data, f"{key} was acknowledged, and is another one"
    stage.wait_until_free()
    again = [each for each in stage.call_all() if each.code]
    # What was done by the first call is not there for a second one.
    assert {each.code for each in again} <= {"NoSuchUpload"}, again
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
