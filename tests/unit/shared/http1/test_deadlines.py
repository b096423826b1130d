"""The timer wheel: everybody is looked at by its deadline, and by no means all the time."""

from __future__ import annotations

import math
import random

import pytest

from shared.http1.deadlines import NOT_WATCHED, Watched, Wheel

TICK = 0.25


class Somebody:
    def __init__(self) -> None:
        self.look_at = NOT_WATCHED

    def check(self, now: float) -> float:
        return math.inf

    def look_by(self, deadline: float) -> None:
        raise AssertionError("the wheel only holds")


def test_nobody_is_due_before_its_time_and_everybody_a_tick_later() -> None:
    wheel, one = Wheel(TICK), Somebody()
    wheel.put(one, 10.1)
    assert wheel.take_due(10.0) == []
    assert wheel.take_due(10.1 + TICK) == [one]
    assert wheel.take_due(1000) == []


def test_who_is_put_again_is_due_at_the_new_time_alone() -> None:
    wheel, one = Wheel(TICK), Somebody()
    wheel.put(one, 10)
    wheel.put(one, 5)
    assert len(wheel) == 1
    assert wheel.take_due(5) == [one]
    wheel.put(one, 7)
    wheel.put(one, 12)
    assert wheel.take_due(11) == []
    assert wheel.take_due(12) == [one]
    assert len(wheel) == 0


def test_who_is_removed_is_not_held() -> None:
    wheel, one, other = Wheel(TICK), Somebody(), Somebody()
    wheel.put(one, 10)
    wheel.put(other, 10)
    wheel.remove(one)
    wheel.remove(one)
    assert one.look_at == NOT_WATCHED
    assert len(wheel) == 1
    assert wheel.take_due(10) == [other]


def test_who_is_held_by_none_has_no_deadline_that_comes_before_its_next_look() -> None:
    wheel, one = Wheel(TICK), Somebody()
    wheel.put(one, 10)
    assert one.look_at == 10
    wheel.take_due(10)
    assert not one.look_at > -1e300


def test_a_clock_that_leaps_finds_everybody() -> None:
    wheel = Wheel(TICK)
    everybody = [Somebody() for _ in range(50)]
    for number, one in enumerate(everybody):
        wheel.put(one, 100.0 * number)
    assert set(wheel.take_due(1e9)) == set(everybody)


def test_those_of_the_past_are_due_at_once() -> None:
    wheel, one = Wheel(TICK), Somebody()
    wheel.take_due(1000)
    wheel.put(one, 3)
    assert wheel.take_due(1000) == [one]


@pytest.mark.parametrize("seed", range(20))
def test_as_a_list_of_deadlines_would(seed: int) -> None:
    """What is due is never early, and never more than a tick late."""
    chosen = random.Random(seed)
    wheel = Wheel(TICK)
    everybody = [Somebody() for _ in range(30)]
    deadlines: dict[Watched, float] = {}
    now = 0.0
    for _ in range(500):
        one = chosen.choice(everybody)
        action = chosen.random()
        if action < 0.5:
            deadlines[one] = now + chosen.choice([0.0, 0.1, 1.0, 75.0]) * chosen.random()
            wheel.put(one, deadlines[one])
        elif action < 0.6:
            deadlines.pop(one, None)
            wheel.remove(one)
        else:
            now += chosen.random() * chosen.choice([0.1, 5.0])
            due = wheel.take_due(now)
            assert len(set(due)) == len(due)
            for found in due:
                assert deadlines.pop(found) <= now
            assert all(deadline > now - TICK for deadline in deadlines.values())
        assert len(wheel) == len(deadlines)
        assert all((each in deadlines) == (each.look_at != NOT_WATCHED) for each in everybody)
