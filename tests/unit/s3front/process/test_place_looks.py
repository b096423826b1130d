"""The look at places after the start: what it says, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from s3front.locations.registry import LocationRegistry
from s3front.locations.remote_store import Finding, PlaceError, Trouble
from s3front.process import place_looks
from s3front.process.place_looks import PlaceLooks
from tests.unit.dmd.metadata.support import RecordingLog


class Warnings(RecordingLog):
    """Keeps of which location they were, and the reason."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[object, object]] = []

    def warning(self, event: str, /, **fields: object) -> None:
        self.found.append((fields["location"], fields["reason"]))


class Place:
    def __init__(self, answer: Callable[[], Sequence[Finding]] | None) -> None:
        self._answer = answer

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        assert not thorough
        if self._answer is None:
            await asyncio.Event().wait()
        assert self._answer is not None
        return self._answer()


class Registry:
    def __init__(self, **places: Place) -> None:
        self._places = places

    def remotes(self) -> dict[str, Place]:
        return self._places


def raising(error: Exception) -> Callable[[], Sequence[Finding]]:
    def answer() -> Sequence[Finding]:
        raise error

    return answer


async def warnings_of(**places: Place) -> list[tuple[object, object]]:
    log = Warnings()
    looks = PlaceLooks(log)
    looks.begin(cast(LocationRegistry, Registry(**places)))
    assert looks._looking is not None
    await looks._looking
    return log.found


async def test_what_is_amiss_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_looks, "LOOK_SECONDS_MAX", 0.05)
    good, fact = Finding("bucket", True, "there"), Finding("region", None, "x")
    bad = Finding("versions", False, "switch versioning on")
    found = await warnings_of(
        fine=Place(lambda: [good, fact]),
        plain=Place(lambda: [good, bad]),
        away=Place(raising(PlaceError(Trouble.UNREACHED, "no connection"))),
        odd=Place(raising(ValueError("odd"))),
        hanging=Place(None),
    )
    assert sorted(found, key=str) == [
        ("away", "no connection"),
        ("hanging", "no answer within 0.05 s"),
        ("odd", "ValueError('odd')"),
        ("plain", "switch versioning on"),
    ]


async def test_nobody_waits_for_it() -> None:
    looks = PlaceLooks(RecordingLog())
    registry = cast(LocationRegistry, Registry(hanging=Place(None)))
    looks.begin(registry)
    first = looks._looking
    looks.begin(registry)
    second = looks._looking
    assert first is not None
    assert second is not None
    with pytest.raises(asyncio.CancelledError):
        await first
    looks.close()
    with pytest.raises(asyncio.CancelledError):
        await second


def test_without_such_places_nothing_is_looked_at() -> None:
    looks = PlaceLooks(RecordingLog())
    looks.begin(cast(LocationRegistry, Registry()))
    assert looks._looking is None
