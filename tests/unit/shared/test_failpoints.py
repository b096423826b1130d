"""Fail-points: what the variable may say, and how a process dies."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from shared.failpoints import ArmedFailPoint, FailPoint, parse_failpoint
from tests.servers import REPOSITORY

_VISITS = """
from shared.failpoints import FailPoint, arm, failpoint, parse_failpoint
failpoint(FailPoint.AFTER_COMMIT)
arm(parse_failpoint("after-commit:2"))
for point in (FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT, FailPoint.AFTER_COMMIT):
    print(point, flush=True)
    failpoint(point)
print("alive", flush=True)
"""


@pytest.mark.parametrize(
    ("text", "armed"),
    [
        ("after-commit", ArmedFailPoint(FailPoint.AFTER_COMMIT, 1)),
        ("before-data-write:12", ArmedFailPoint(FailPoint.BEFORE_DATA_WRITE, 12)),
    ],
)
def test_a_name_and_the_number_of_a_visit(text: str, armed: ArmedFailPoint) -> None:
    assert parse_failpoint(text) == armed


@pytest.mark.parametrize("text", ["nowhere", "nowhere:1", "AFTER_COMMIT", ":1"])
def test_an_unknown_name_is_refused_with_all_that_are_known(text: str) -> None:
    with pytest.raises(ValueError, match="is not one of before-segment-write, ") as caught:
        parse_failpoint(text)
    assert all(point in str(caught.value) for point in FailPoint)


@pytest.mark.parametrize("number", ["", "0", "-1", "two", "1.5", "²"])
def test_a_bad_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="counts from 1"):
        parse_failpoint(f"after-commit:{number}")


def test_a_process_dies_at_the_visit_that_was_chosen() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _VISITS], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["before-commit", "after-commit", "after-commit"]


def test_every_fail_point_is_placed_in_the_code() -> None:
    source = "".join(
        path.read_text()
        for half in ("dmd", "s3front")
        for path in (REPOSITORY / half).rglob("*.py")
    )
    assert set(re.findall(r"failpoint\(FailPoint\.(\w+)\)", source)) == set(FailPoint.__members__)
