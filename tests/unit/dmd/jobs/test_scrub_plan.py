"""What a scrub decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmd.jobs.scrub_plan import (
    DAMAGE_MAX,
    Damage,
    Pace,
    Reading,
    ScrubState,
    damage_of,
    parse_state,
)

MD5, OTHER_MD5 = "0" * 32, "1" * 32
DAMAGE = Damage(["bucket"], "key", None, "0" * 40, "reason")


@pytest.mark.parametrize(
    ("md5", "reading", "problem"),
    [
        (MD5, Reading(7, MD5), None),
        (None, Reading(7, MD5), None),
        (MD5, Reading(7, OTHER_MD5), "the MD5 of its bytes"),
        (MD5, Reading(6, OTHER_MD5), "6 bytes instead of 7"),
        (None, Reading(8, MD5), "8 bytes instead of 7"),
        (MD5, Reading(7, MD5, "it hurts"), "it hurts"),
    ],
)
def test_damage(md5: str | None, reading: Reading, problem: str | None) -> None:
    found = damage_of(7, md5, reading)
    assert (found is None) == (problem is None)
    assert found is None or problem is None or problem in found


def stored(state: ScrubState) -> Any:
    return json.loads(json.dumps(state.document()))


def test_a_state_is_what_it_was_when_it_is_read_again() -> None:
    state = ScrubState("uuid", "ff00", blobs=3, bytes=9, unverified=1)
    state.found(DAMAGE)
    assert parse_state(stored(state), "uuid") == state


def test_a_complete_scrub_begins_anew() -> None:
    state = ScrubState("uuid", "ff00", complete=True, blobs=3)
    assert parse_state(stored(state), "uuid") == ScrubState("uuid")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"scrub": 1},
        {**ScrubState("uuid").document(), "scrub": 2},
        {**ScrubState("uuid").document(), "cursor": "x"},
        {**ScrubState("uuid").document(), "more": 1},
        {**ScrubState("uuid").document(), "damage": [1]},
        ScrubState("another uuid").document(),
        [],
        7,
    ],
)
def test_what_is_no_state_of_this_metadata_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="it is"):
        parse_state(document, "uuid")


def test_all_damage_is_counted_and_some_is_told() -> None:
    state = ScrubState("uuid")
    for _ in range(DAMAGE_MAX + 5):
        state.found(DAMAGE)
    assert (state.damaged, len(state.damage)) == (DAMAGE_MAX + 5, DAMAGE_MAX)


def test_the_pace_is_kept() -> None:
    pace, now = Pace(100, 0.0), 0.0
    for _ in range(50):
        now += pace.pause(10, now)
    assert now == pytest.approx(5.0, abs=1.2)


def test_lost_time_is_not_made_up_for() -> None:
    pace = Pace(100, 0.0)
    now = 1000.0
    for _ in range(50):
        now += pace.pause(10, now)
    assert now == pytest.approx(1004.0, abs=0.3)


def test_a_large_block_is_paid_for() -> None:
    assert Pace(100, 0.0).pause(1000, 0.0) == pytest.approx(10)
