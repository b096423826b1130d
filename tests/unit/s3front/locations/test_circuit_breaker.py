"""When a place is asked, and when it is left alone."""

from __future__ import annotations

from s3front.locations.circuit_breaker import (
    CALM_SECONDS,
    FAILURES_IN_A_ROW,
    REST_SECONDS_MAX,
    REST_SECONDS_MIN,
    TRY_SECONDS_MAX,
    WINDOW,
    CircuitBreaker,
    CircuitState,
    Leave,
)
from tests.unit.s3front.locations.scripted_remote import Clock


def breaker_of(clock: Clock, chance: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker(clock, lambda: chance)


def leave_of(breaker: CircuitBreaker) -> Leave:
    leave = breaker.admit()
    assert leave is not None
    return leave


def fail(breaker: CircuitBreaker, times: int = FAILURES_IN_A_ROW) -> list[bool]:
    return [breaker.failed(leave_of(breaker), "it is away") for _ in range(times)]


def test_failures_in_a_row_open_it_once() -> None:
    breaker = breaker_of(Clock())
    leaves = [leave_of(breaker) for _ in range(FAILURES_IN_A_ROW + 3)]
    opened = [breaker.failed(leave, "it is away") for leave in leaves]
    assert opened == [False] * (FAILURES_IN_A_ROW - 1) + [True] + [False] * 3
    assert breaker.state is CircuitState.OPEN
    assert breaker.reason == "it is away"
    assert breaker.admit() is None
    assert breaker.is_shut


def test_an_answer_in_between_begins_a_new_row() -> None:
    breaker = breaker_of(Clock())
    fail(breaker, FAILURES_IN_A_ROW - 1)
    breaker.succeeded(leave_of(breaker))
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert breaker.state is CircuitState.CLOSED


def test_half_of_many_open_it_and_less_do_not() -> None:
    breaker = breaker_of(Clock())
    for _ in range(WINDOW):
        breaker.failed(leave_of(breaker), "now and then")
        breaker.succeeded(leave_of(breaker))
        breaker.succeeded(leave_of(breaker))
    assert breaker.state is CircuitState.CLOSED
    opened = False
    for _ in range(WINDOW):
        breaker.succeeded(leave_of(breaker))
        opened = breaker.failed(leave_of(breaker), "every other time")
        if opened:
            break
    assert opened


def test_after_a_rest_one_is_let_through_and_its_success_closes_it() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    fail(breaker)
    clock.now += REST_SECONDS_MIN - 0.01
    assert breaker.admit() is None
    clock.now += 0.02
    assert not breaker.is_shut
    leave = leave_of(breaker)
    assert leave.is_try
    assert breaker.state.value == "half-open"
    assert breaker.admit() is None
    assert breaker.succeeded(leave)
    assert breaker.state.value == "closed"
    assert breaker.reason == ""
    assert not leave_of(breaker).is_try


def test_each_try_that_fails_makes_the_rest_longer_up_to_a_limit() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    fail(breaker)
    rest = REST_SECONDS_MIN
    for _ in range(8):
        clock.now += rest + 0.01
        assert breaker.failed(leave_of(breaker), "still") is False  # it was open before
        rest = min(rest * 2, REST_SECONDS_MAX)
        clock.now += rest - 0.02
        assert breaker.admit() is None
        clock.now -= rest - 0.02
    assert rest == REST_SECONDS_MAX


def test_a_place_that_comes_and_goes_is_left_alone_for_longer() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    rest = REST_SECONDS_MIN
    for _ in range(4):
        fail(breaker)
        clock.now += rest - 0.01
        assert breaker.admit() is None
        clock.now += 0.02
        breaker.succeeded(leave_of(breaker))
        rest *= 2
    clock.now += CALM_SECONDS + 0.01
    fail(breaker)
    clock.now += REST_SECONDS_MIN + 0.01
    assert breaker.admit() is not None


def test_processes_do_not_all_try_at_once() -> None:
    clock = Clock()
    early, late = breaker_of(clock, 0.0), breaker_of(clock, 1.0)
    fail(early)
    fail(late)
    clock.now += REST_SECONDS_MIN * 1.2
    assert not early.is_shut
    assert late.is_shut


def test_a_try_that_nobody_waits_for_makes_room_for_another() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    fail(breaker)
    clock.now += REST_SECONDS_MIN + 1
    breaker.abandoned(leave_of(breaker))
    assert leave_of(breaker).is_try


def test_a_try_that_takes_long_does_not_keep_it_shut() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    fail(breaker)
    clock.now += REST_SECONDS_MIN + 1
    slow = leave_of(breaker)
    clock.now += TRY_SECONDS_MAX + 0.01
    assert breaker.succeeded(leave_of(breaker))
    assert breaker.failed(slow, "too late to matter") is False
    assert breaker.state is CircuitState.CLOSED


def test_what_was_asked_before_it_opened_changes_nothing() -> None:
    breaker = breaker_of(Clock())
    early = leave_of(breaker)
    fail(breaker)
    assert breaker.succeeded(early) is False
    breaker.abandoned(early)
    assert breaker.state is CircuitState.OPEN
