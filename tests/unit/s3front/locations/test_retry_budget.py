"""How often a place is asked again."""

from __future__ import annotations

from s3front.locations.retry_budget import (
    PAUSE_SECONDS_MAX,
    TRIES_KEPT_MAX,
    TRIES_MAX,
    TRIES_PER_REQUEST,
    RetryBudget,
)


def test_a_request_is_sent_so_often_and_no_more() -> None:
    budget = RetryBudget(lambda: 0.5)
    pauses = [budget.pause_seconds(tries, 60) for tries in range(1, TRIES_MAX + 1)]
    assert pauses[-1] is None
    assert all(pause is not None for pause in pauses[:-1])


def test_pauses_are_anything_up_to_twice_as_much_each_time() -> None:
    most = [RetryBudget(lambda: 1.0).pause_seconds(tries, 60) for tries in range(1, TRIES_MAX)]
    assert most == [0.2, 0.4, 0.8]
    assert max(pause for pause in most if pause is not None) <= PAUSE_SECONDS_MAX
    assert RetryBudget(lambda: 0.0).pause_seconds(2, 60) == 0.0


def test_there_is_none_without_time_for_it() -> None:
    budget = RetryBudget(lambda: 1.0)
    assert budget.pause_seconds(1, 0.2) is None
    assert budget.pause_seconds(1, 0.21) == 0.2


def test_over_time_there_is_one_for_ten_requests() -> None:
    budget = RetryBudget(lambda: 0.0)
    requests = 1000
    retries = 0
    for _ in range(requests):
        budget.note_request()
        retries += budget.pause_seconds(1, 60) is not None
    assert abs(retries - (requests * TRIES_PER_REQUEST + TRIES_KEPT_MAX)) <= 1


def test_what_nobody_needs_is_not_kept_for_ever() -> None:
    budget = RetryBudget(lambda: 0.0)
    for _ in range(1000):
        budget.note_request()
    tries = [budget.pause_seconds(1, 60) for _ in range(50)]
    assert sum(pause is not None for pause in tries) == int(TRIES_KEPT_MAX)
