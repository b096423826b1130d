"""``s3front work status``, ``retry`` and ``drop``, as an operator types them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from s3front.work.job_lease import epoch_key
from s3front.work.workers import WORKERS
from shared.records.names import DEAD_LETTERS, DELETIONS, LEASES
from tests import fork_server
from tests.faults.stores import call_metadata, stored_blobs, stored_records
from tests.raw_http import call
from tests.servers import Cluster, cluster, free_port, wait_for

NAMES = [worker.name for worker in WORKERS]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("commands")
    with cluster(folder, settings={"deleteDelaySeconds": 0}) as started:
        yield started


@pytest.fixture(autouse=True)
def _no_letters(running: Cluster) -> Iterator[None]:
    yield
    for key in stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS]:
        call_metadata(running, "del", [key, {}], [DEAD_LETTERS])


def s3front(running: Cluster, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {**running.work.environ, **environ}
    return fork_server.run("s3front", ["work", *arguments], variables, 60)


def put_letter(
    running: Cluster, queue: str, key: str, entry: str | None, reason: str = "no reason"
) -> None:
    letter = {"queue": queue, "key": key, "entry": entry, "reason": reason, "time": 1_000}
    arguments = [f"{queue}..|..{key}", json.dumps(letter), {}]
    call_metadata(running, "put", arguments, [DEAD_LETTERS])


def letters(running: Cluster) -> set[str]:
    return {each["key"] for each in stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS].values()}


def test_all_is_well(running: Cluster) -> None:
    leases = {*NAMES, *map(epoch_key, NAMES)}
    wait_for(lambda: {*stored_records(running, [LEASES])[LEASES]} == leases, "all to be held")
    shown = s3front(running, "status")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    *workers, letters_line = lines
    assert [line.split()[:2] for line in workers] == [[name, "working"] for name in NAMES]
    assert all(f":{running.work.pid}:" in line for line in workers)
    assert letters_line == "dead letters: 0"
    document = json.loads(s3front(running, "status", "--json").stdout)
    assert [worker["name"] for worker in document["workers"]] == NAMES
    assert document["letters"] == []


def test_nobody_works(running: Cluster) -> None:
    running.work.kill()
    try:
        shown = s3front(running, "status", "--json")
        assert shown.returncode == 1
        states = {each["name"]: each["state"] for each in json.loads(shown.stdout)["workers"]}
        assert states == dict.fromkeys(NAMES, "nobody")
    finally:
        running.work.start()


def test_letters_are_counted_and_shown(running: Cluster) -> None:
    for number in range(5):
        put_letter(running, DELETIONS, f"0.{number}", "{}", "because")
    put_letter(running, "..elsewhere", "key", None)
    call_metadata(running, "put", ["damaged", '"x"', {}], [DEAD_LETTERS])
    try:
        shown = s3front(running, "status", "--letters", "2")
        assert shown.returncode == 1
        assert "dead letters: 7" in shown.stdout
        assert "  ..deletions: 5" in shown.stdout
        assert shown.stdout.count("because") == 2
        assert "1970-01-01T00:00:01Z ..deletions 0.0: because" in shown.stdout
        document = json.loads(s3front(running, "status", "--json").stdout)
        assert sum(document["letters_by_queue"].values()) == len(document["letters"]) == 7
    finally:
        call_metadata(running, "del", ["damaged", {}], [DEAD_LETTERS])


def test_a_letter_that_is_put_back_is_done(running: Cluster) -> None:
    bucket = f"/bucket-{os.urandom(6).hex()}"
    assert call(running.fronts[0], "PUT", bucket).status == 200
    assert call(running.fronts[0], "PUT", f"{bucket}/key", b"data").status == 200
    (location,) = stored_records(running, [bucket[1:]])[bucket[1:]]["key"]["location"]
    call_metadata(running, "del", ["key", {}], [bucket[1:]])
    entry = {"location": [location], "tries": 5, "reason": "it was tried"}
    put_letter(running, DELETIONS, "00000000000000.1", json.dumps(entry))
    put_letter(running, "..other", "00000000000000.1", "{}")
    done = s3front(running, "retry", "--queue", DELETIONS, "00000000000000.1")
    assert (done.returncode, done.stdout) == (0, "put back: 1\n"), done.stderr
    wait_for(lambda: location["key"] not in stored_blobs(running), "the data to go")
    wait_for(lambda: not stored_records(running, [DELETIONS])[DELETIONS], "the queue to be empty")
    assert len(stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS]) == 1


def test_an_entry_is_put_back_as_if_it_had_never_been_tried(running: Cluster) -> None:
    put_letter(running, "..kept", "key", '{"a":1,"tries":5,"reason":"x"}')
    put_letter(running, "..kept", "poison", "[poison")
    assert s3front(running, "retry", "--all").stdout == "put back: 2\n"
    for key, text in (("key", '{"a":1}'), ("poison", "[poison")):
        assert call_metadata(running, "get", [key, {}], ["..kept"]) == text
        call_metadata(running, "del", [key, {}], ["..kept"])
    assert not letters(running)


def test_what_cannot_be_put_back_stays(running: Cluster) -> None:
    put_letter(running, "..kept", "key", "{}")
    put_letter(running, "..kept", "nothing", None)
    call_metadata(running, "put", ["key", "another", {}], ["..kept"])
    done = s3front(running, "retry", "key", "nothing", "unknown", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["done"] == 0
    assert {each["key"]: each["problem"] for each in document["failed"]} == {
        "key": "the queue has another such entry",
        "nothing": "nothing is left of the entry",
        "unknown": "there is no such dead letter",
    }
    assert letters(running) == {"key", "nothing"}
    call_metadata(running, "del", ["key", {}], ["..kept"])


def test_a_letter_that_the_daemon_refuses_holds_no_other_one_back(running: Cluster) -> None:
    put_letter(running, "..a!b", "no sub-level", "{}")
    put_letter(running, "..kept", "key", "{}")
    done = s3front(running, "retry", "--all")
    assert done.returncode == 1
    assert done.stdout.startswith("put back: 1\nnot put back: no sub-level: the metadata daemon")
    assert letters(running) == {"no sub-level"}
    call_metadata(running, "del", ["key", {}], ["..kept"])


def test_a_letter_cannot_break_what_is_shown(running: Cluster) -> None:
    for number, time_ms in enumerate((10**18, -(10**18), 10**300)):
        key = "two\nlines \x1b[31m"
        letter = {"queue": "..kept", "key": key, "entry": None, "reason": "r", "time": time_ms}
        arguments = [str(number), json.dumps(letter), {}]
        call_metadata(running, "put", arguments, [DEAD_LETTERS])
    shown = s3front(running, "status")
    assert (shown.returncode, shown.stderr) == (1, "")
    assert shown.stdout.count("..kept two\\nlines \\x1b[31m: r\n") == 3


def test_letters_are_dropped(running: Cluster) -> None:
    for number in range(3):
        put_letter(running, "..kept", str(number), None)
    put_letter(running, "..other", "0", "{}")
    done = s3front(running, "drop", "1")
    assert (done.returncode, done.stdout) == (0, "dropped: 1\n")
    assert s3front(running, "drop", "--queue", "..kept", "--all").stdout == "dropped: 2\n"
    assert letters(running) == {"0"}


@pytest.mark.parametrize("arguments", [["retry"], ["drop"], ["drop", "--all", "key"]])
def test_one_has_to_say_which(running: Cluster, arguments: list[str]) -> None:
    refused: Any = s3front(running, *arguments)
    assert refused.returncode == 2
    assert "or --all" in refused.stderr


def test_without_a_daemon(running: Cluster) -> None:
    port = str(free_port())
    shown = s3front(running, "status", METADATA_PORT=port)
    assert shown.returncode == 2
    (line,) = shown.stderr.splitlines()
    assert port in line
    assert "does not answer" in line
