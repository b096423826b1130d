"""What garbage collection decides about a blob."""

from __future__ import annotations

import itertools

import pytest

from dmd.jobs.gc_plan import (
    EXAMPLES_MAX,
    Blob,
    Tally,
    Verdict,
    Waits,
    judge,
    ownership_problem,
)

NOW, GRACE, QUARANTINE = 1_000_000, 1000, 500
WAITS = Waits(NOW, GRACE, QUARANTINE)
OLD, YOUNG = NOW - GRACE - 1, NOW - GRACE


@pytest.mark.parametrize(
    ("blob", "verdict"),
    [
        (Blob(OLD, quarantined=False, named=True), Verdict.KEEP),
        (Blob(YOUNG, quarantined=False, named=True), Verdict.KEEP),
        (Blob(OLD, quarantined=False, named=False), Verdict.QUARANTINE),
        (Blob(YOUNG, quarantined=False, named=False), Verdict.SPARE),
        (Blob(NOW + 1, quarantined=False, named=False), Verdict.SPARE),
        # A journal that says so does not put it into quarantine.
        (Blob(YOUNG, quarantined=False, named=False, since_ms=0), Verdict.SPARE),
        (Blob(OLD, quarantined=False, named=False, since_ms=0), Verdict.QUARANTINE),
        (Blob(OLD, quarantined=True, named=True, since_ms=0), Verdict.RESTORE),
        (Blob(OLD, quarantined=True, named=False), Verdict.WAIT),
        (Blob(OLD, quarantined=True, named=False, since_ms=NOW - QUARANTINE), Verdict.WAIT),
        (Blob(OLD, quarantined=True, named=False, since_ms=NOW - QUARANTINE - 1), Verdict.PURGE),
        (Blob(OLD, quarantined=True, named=False, since_ms=NOW + 1), Verdict.WAIT),
    ],
)
def test_verdicts(blob: Blob, verdict: Verdict) -> None:
    assert judge(blob, WAITS) is verdict


def test_what_a_record_names_is_never_taken_out_of_use() -> None:
    times = (0, OLD, YOUNG, NOW, NOW + GRACE)
    for created, quarantined, since in itertools.product(times, (False, True), (None, *times)):
        verdict = judge(Blob(created, quarantined, True, since), WAITS)
        assert verdict is (Verdict.RESTORE if quarantined else Verdict.KEEP)


def test_nothing_is_removed_that_was_not_in_quarantine_when_it_was_listed() -> None:
    times = (0, OLD, YOUNG, NOW)
    for created, named, since in itertools.product(times, (False, True), (None, *times)):
        assert judge(Blob(created, False, named, since), WAITS) is not Verdict.PURGE


@pytest.mark.parametrize(
    ("given", "owners", "problem"),
    [
        ({"a"}, {"a"}, None),
        ({"a", "b"}, {"a", "b"}, None),
        ({"a"}, set(), "--adopt"),
        ({"a", "b"}, {"a"}, "--adopt"),
        ({"a"}, {"a", "b"}, "--also-metadata"),
        ({"a"}, {"b"}, "--adopt"),
    ],
)
def test_all_owners_must_be_given(given: set[str], owners: set[str], problem: str | None) -> None:
    found = ownership_problem(given, owners)
    assert (found is None) == (problem is None)
    assert found is None or problem is None or problem in found


def test_a_tally_keeps_a_few_examples() -> None:
    tally = Tally()
    for number in range(EXAMPLES_MAX + 5):
        tally.add(str(number), 10)
    assert (tally.blobs, tally.bytes, len(tally.examples)) == (15, 150, EXAMPLES_MAX)
