"""What ``make bench-instructions`` makes of what Valgrind and /proc say."""

from __future__ import annotations

import pytest

from tests.bench import valgrind
from tests.bench.instructions import table

_ANSWER = b"""instrumentation: on
executed-bbs: 49851595
events: Ir
threads: 2
current-tid: 1
events-1: 219551317
frames-1: 33
function-1-0: 0x000000000001ab70
calls-1-0: 1
events-1-0: 217821706
events-2: 1000
frames-2: 1
function-2-0: run
events-2-0: 900
"""


def test_the_instructions_of_all_threads_are_added_and_those_of_frames_are_not() -> None:
    assert valgrind.read_total(_ANSWER) == 219_552_317


def test_an_answer_without_counts_is_none() -> None:
    assert valgrind.read_total(b"") is None
    assert valgrind.read_total(b"events-1-0: 5\nerror: events-1: 7\n") is None


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["python3", "-m", "dmd.metadata", "--memory"], "dmd.metadata"),
        (["valgrind.bin", "--x", "python", "-m", "s3front.process.serve"], "s3front.process.serve"),
        (["python3", "-c", "import os"], None),
        (["sleep", "-m"], None),
    ],
)
def test_a_process_is_named_by_the_module_that_it_runs(
    words: list[str], module: str | None
) -> None:
    command_line = b"".join(word.encode() + b"\0" for word in words)
    assert valgrind.read_module(command_line) == module


def test_counts_are_divided_by_the_work_that_was_done_between_them() -> None:
    before, after = {"data": 100, "metadata": 1000}, {"data": 300, "metadata": 1500}
    row = valgrind.difference(before, after, 10)
    assert row == {"data": 20.0, "metadata": 50.0, "total": 70.0}


def test_the_table_has_ratios_to_the_rows_and_columns_that_an_earlier_run_had() -> None:
    rows = {"PUT": {"front": 50.0, "total": 80.0}, "GET": {"front": 40.0, "total": 40.0}}
    lines = table(rows, {"PUT": {"total": 160.0, "gone": 3.0}})
    assert [line.split() for line in lines] == [
        ["instructions", "front", "total"],
        ["PUT", "50", "80"],
        ["ratio", "to", "before", "0.500"],
        ["GET", "40", "40"],
    ]
