"""Which requests Engine.IO refuses, and how (engine.io 6.4, ``Server.verify``)."""

from __future__ import annotations

import pytest

from dmd.rpc.handshake import (
    BAD_METHOD,
    BAD_REQUEST,
    BAD_VERSION,
    UNKNOWN_SESSION,
    UNKNOWN_TRANSPORT,
    Asked,
    Problem,
    problem_of,
)


def asked(
    *,
    method: str = "GET",
    transport: str | None = "polling",
    version: str | None = "4",
    session_id: str | None = None,
    session: str | None = None,
    upgrades: bool = False,
) -> Asked:
    return Asked(method, transport, version, session_id, session, upgrades)


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(transport="websocket", upgrades=True),
        asked(session_id="a", session="polling"),
        asked(session_id="a", session="polling", version=None),
        asked(session_id="a", session="polling", method="POST"),
        asked(session_id="a", session="polling", transport="websocket", upgrades=True),
        asked(session_id=""),
    ],
    ids=str,
)
def test_what_is_served(request_: Asked) -> None:
    assert problem_of(request_) is None


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (asked(transport=None), UNKNOWN_TRANSPORT),
        (asked(transport="pigeon", version="3"), UNKNOWN_TRANSPORT),
        (asked(session_id="bogus"), UNKNOWN_SESSION),
        (asked(session_id="bogus", method="POST"), UNKNOWN_SESSION),
        (asked(session_id="a", session="polling", transport="websocket"), BAD_REQUEST),
        (asked(session_id="a", session="websocket"), BAD_REQUEST),
        (asked(method="POST"), BAD_METHOD),
        (asked(transport="websocket"), BAD_REQUEST),
        (asked(version="3"), BAD_VERSION),
        (asked(version=None), BAD_VERSION),
        (asked(version="5"), BAD_VERSION),
        (asked(transport="websocket", upgrades=True, version="3"), BAD_VERSION),
    ],
    ids=str,
)
def test_what_is_refused(request_: Asked, problem: Problem) -> None:
    assert problem_of(request_) == problem


def test_the_document_of_a_refusal() -> None:
    assert UNKNOWN_SESSION.document == {"code": 1, "message": "Session ID unknown"}
