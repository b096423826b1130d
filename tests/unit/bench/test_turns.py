"""Comparing servers in turns: medians, ratios, errors, and what the table says of them."""

from __future__ import annotations

import argparse
from collections import Counter

import pytest

from tests.bench import against, seaweedfs, workloads
from tests.bench.against import OURS, Rounds, Server
from tests.bench.load import S3Endpoint


def row(cpu: float, rate: float = 100.0, p50: float = 1.0) -> dict[str, float]:
    return {
        "requests_per_second": rate,
        "megabytes_per_second": 1.0,
        "p50_ms": p50,
        "p99_ms": 2 * p50,
        "server_cpu_us_per_request": cpu,
    }


def test_a_ratio_is_the_median_of_those_of_each_round() -> None:
    # The ratio of the medians would be 20 / 40.
    ours = Rounds([row(10), row(20), row(90)])
    theirs = Rounds([row(40), row(20), row(30)])
    assert against.ratios(ours, theirs)["server_cpu_us_per_request"] == 1.0


def test_a_round_in_which_one_of_both_did_nothing_has_no_ratio() -> None:
    ours = Rounds([row(10), None, row(30)])
    theirs = Rounds([None, row(10), row(10)])
    assert against.ratios(ours, theirs)["server_cpu_us_per_request"] == 3.0
    assert against.ratios(Rounds([row(10)]), Rounds([None])) == {}


def test_what_took_no_time_that_can_be_seen_has_no_ratio() -> None:
    assert against.ratios(Rounds([row(10)]), Rounds([row(0)])).keys() == {
        "requests_per_second",
        "p50_ms",
    }


def test_errors_are_shown_and_taken_for_no_speed() -> None:
    done = {
        OURS: Rounds([row(10)]),
        "fails": Rounds([None], Counter({"503": 7})),
        "stumbles": Rounds([row(5)], Counter({"404": 1})),
    }
    ours, fails, stumbles = against.table("GET", done)
    assert ours.startswith("GET ")
    assert "ERRORS" not in ours
    assert "nothing succeeded" in fails
    assert "ERRORS: 7 x 503" in fails
    assert "ours / theirs" not in fails
    assert "CPU 2.00" in stumbles
    assert "ERRORS: 1 x 404" in stumbles


def test_a_server_whose_processes_are_not_known_has_no_cpu_time() -> None:
    unknown = row(0)
    del unknown["server_cpu_us_per_request"]
    done = {OURS: Rounds([row(10)]), "theirs": Rounds([unknown])}
    line = against.table("GET", done)[1]
    assert "CPU" not in line
    assert "rate 1.00" in line


def test_a_row_that_needs_a_restart_is_left_out_for_those_that_cannot_be_restarted() -> None:
    server = Server("elsewhere", S3Endpoint("127.0.0.1", 1))
    (cold,) = workloads.chosen(["cold"])
    assert against.compare([server], cold, 2, 0) == {"elsewhere": Rounds()}
    assert "not measured" in against.table("LIST", {OURS: Rounds([row(1)]), "x": Rounds()})[1]


def test_the_file_has_medians_ratios_and_errors() -> None:
    done = {OURS: Rounds([row(10), row(30), row(20)]), "x": Rounds([row(5)], Counter({"503": 2}))}
    written = against.as_json({"GET": done})
    assert written == {
        "GET": {
            OURS: {"median": row(20), "ratios_of_ours": {}, "errors": {}},
            "x": {
                "median": row(5),
                "ratios_of_ours": {
                    "server_cpu_us_per_request": 2.0,
                    "requests_per_second": 1.0,
                    "p50_ms": 1.0,
                },
                "errors": {"503": 2},
            },
        }
    }


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    against.add_options(parser.add_argument_group("others"))
    return parser.parse_args(words)


def test_each_endpoint_has_the_processes_that_were_named_for_it() -> None:
    arguments = _arguments(
        "--against", "http://a:1", "http://b:2", "--pids", "1,2", "3", "--region", "r"
    )
    servers = against.others(arguments)
    assert [(server.name, server.pids()) for server in servers] == [
        ("http://a:1", [1, 2]),
        ("http://b:2", [3]),
    ]
    assert {server.endpoint.key.region for server in servers} == {"r"}


@pytest.mark.parametrize(
    "words",
    [
        ("--against", "http://a:1", "http://b:2", "--pids", "1"),
        ("--against", "a:1"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match=r"pids|endpoint|http"):
        against.others(_arguments(*words))


def test_no_two_rows_have_one_name() -> None:
    names = [work.name for work in workloads.works()]
    assert len(names) == len(set(names))
    assert workloads.chosen(["no such"]) == []
    assert [work.name for work in workloads.chosen(["LIST"])] == [
        "LIST 1,000",
        "LIST 1,000, cold pages",
    ]


def test_mixed_requests_have_their_proportions_and_an_order_that_repeats() -> None:
    mixed = workloads.mixture(1)
    assert Counter(mixed) == {"get": 700, "put": 200, "list": 50, "delete": 50}
    assert mixed == workloads.mixture(1) != workloads.mixture(2)


def test_seaweedfs_counts_only_when_it_syncs_what_is_put_into_buckets() -> None:
    shown = 'I0101 starting\n{"version": 1, "locations": [%s]}\n'
    assert seaweedfs.is_synced(shown % '{"locationPrefix": "/buckets/", "fsync": true}')
    assert not seaweedfs.is_synced(shown % '{"locationPrefix": "/buckets/", "fsync": false}')
    assert not seaweedfs.is_synced(shown % '{"locationPrefix": "/else/", "fsync": true}')
    assert not seaweedfs.is_synced("error: no filer")
    assert not seaweedfs.is_synced("")
