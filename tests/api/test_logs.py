"""The log of a run: JSON lines that find each request again, and that give nothing away."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.clients_boto3 import s3_client
from tests.raw_http import FOREIGNER, OWNER, Connection, Response, anonymous, exchange, sign, wire
from tests.servers import Cluster, Front, Process, cluster, wait_for

ODD_KEYS = (
    "needle-plain",
    "needle with spaces/and+plus",
    "needle-percent%2Fsign%",
    'needle-"quotes"\'and\\backslash',
    "needle-ünïcödé-🎉",
    "needle-line\nbreak\ttab",
    "needle/../dots//double",
    '{"needle": "json"}',
    "needle-" + "k" * 1000,
)
NEEDLE = "needle"
"""Part of every key, and of user metadata and values that must not be logged either."""

LIFE_OF_A_PROCESS = {
    "child started",
    "child stopped",
    "child restarts",
    "serving",
    "connected to the metadata daemon",
    "lost the connection to the metadata daemon",
    "cannot reach the metadata daemon",
    "identities cannot be read",
}
"""Events of a front-end that belong to no request."""


@dataclass
class Run:
    """A cluster that logs everything short of packets, and what was sent to it."""

    cluster: Cluster
    responses: list[Response] = field(default_factory=list)
    signatures: set[str] = field(default_factory=set)

    @property
    def front(self) -> Front:
        return self.cluster.fronts[0]

    def send(self, request: Any) -> Response:
        """Send a request and note its response."""
        self.signatures |= set(re.findall(r"Signature=([0-9a-f]{64})", request.head.decode()))
        response = exchange(self.front, request)
        self.note(response)
        return response

    def note(self, response: Response) -> None:
        self.responses.append(response)

    def lines(self, process: Process) -> list[dict[str, Any]]:
        return [json.loads(line) for line in process.output.splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("logs")
    with cluster(folder, environ={"LOG_LEVEL": "debug"}, supervised=True) as started:
        run = Run(started)
        send_requests(run)
        send_requests_without_daemons(run)
        wait_for(
            lambda: len(access_lines(run)) >= len(run.responses), "the access line of each request"
        )
        yield run


def send_requests(run: Run) -> None:
    """Requests of every kind that put a key, a secret or a signature in reach of the log."""
    front = run.front
    run.send(sign(front, "PUT", "/logged"))
    for key in ODD_KEYS:
        target = "/logged/" + quote(key)
        body = b"needle-body"
        headers = {"x-amz-meta-name": "needle-metadata", "Content-Disposition": "needle-header"}
        assert run.send(sign(front, "PUT", target, body, headers)).status == 200
        assert run.send(sign(front, "GET", target)).body == body
        run.send(sign(front, "HEAD", target))
        run.send(sign(front, "GET", target, headers={"Range": "bytes=100-"}))
        run.send(sign(front, "PUT", target, body, {"If-None-Match": "*"}))
        run.send(sign(front, "PUT", target, body, key=FOREIGNER))
        run.send(sign(front, "GET", target, now=datetime.now(UTC) - timedelta(hours=1)))
        run.send(sign(front, "GET", target + "?acl"))
        run.send(sign(front, "GET", target + "?versionId=needle-version"))
        run.send(sign(front, "GET", f"/logged?prefix={quote(key)}&delimiter=%2F"))
        run.send(sign(front, "GET", f"/logged?list-type=2&start-after={quote(key)}"))
        run.send(sign(front, "GET", f"/no-such-bucket/{quote(key)}"))
        run.send(sign(front, "GET", "/logged/" + quote(key) + "-missing"))
        forged = sign(front, "GET", target)
        run.send(wire("GET", target + "needle-other", _headers_of(forged.head)))
        run.note(anonymous(front, "GET", target))
        run.send(sign(front, "DELETE", target))
    send_presigned(run)
    run.send(sign(front, "GET", "/needle_invalid_bucket/key"))
    run.send(sign(front, "GET", "/logged/needle-%zz%ff"))
    run.send(sign(front, "POST", "/logged?delete", b"<needle/>"))


def send_presigned(run: Run) -> None:
    s3 = s3_client(run.front, signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "logged", "Key": ODD_KEYS[1]})
    target = url.partition(f":{run.front.port}")[2]
    run.signatures.add(target.partition("X-Amz-Signature=")[2].partition("&")[0])
    run.note(anonymous(run.front, "GET", target))
    run.note(anonymous(run.front, "GET", target + "0"))


def send_requests_without_daemons(run: Run) -> None:
    """Failures say more than successes."""
    front = run.front
    targets = ["/logged/" + quote(key) for key in ODD_KEYS[:3]]
    body = b"needle-body" * 200_000  # small objects are served while the data daemon is away
    for target in targets:
        run.send(sign(front, "PUT", target, body))
    run.cluster.dmd_data.kill()
    for target in targets:
        assert run.send(sign(front, "GET", target)).status == 503
        assert run.send(sign(front, "PUT", target, body)).status == 503
        run.send(sign(front, "DELETE", target))
    run.cluster.dmd_metadata.kill()
    assert run.send(sign(front, "GET", targets[0])).status == 503


def _headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:-2]
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def access_lines(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.lines(run.front.process) if line["event"] == "access"]


def test_every_line_is_json_with_the_common_fields(run: Run) -> None:
    for process in (run.front.process, run.cluster.dmd_metadata, run.cluster.dmd_data):
        lines = run.lines(process)
        assert lines
        for line in lines:
            assert list(line)[:5] == ["time", "level", "name", "pid", "event"]


def test_each_request_has_one_access_line(run: Run) -> None:
    lines = access_lines(run)
    answered = Counter(response.headers["x-amz-request-id"] for response in run.responses)
    assert Counter(line["request_id"] for line in lines) == answered
    assert set(answered.values()) == {1}
    statuses = {line["request_id"]: line["status"] for line in lines}
    for response in run.responses:
        assert statuses[response.headers["x-amz-request-id"]] == response.status


def test_access_lines_say_what_was_done(run: Run) -> None:
    by_id = {line["request_id"]: line for line in access_lines(run)}
    first = by_id[run.responses[0].headers["x-amz-request-id"]]
    expected = {"method": "PUT", "operation": "CreateBucket", "bucket": "logged", "status": 200}
    assert {name: first[name] for name in expected} == expected
    for response in run.responses:
        line = by_id[response.headers["x-amz-request-id"]]
        assert (line["error"] is None) == (response.status < 400), line
        if line["method"] != "HEAD":
            assert line["bytes_sent"] == len(response.body)


def test_what_belongs_to_a_request_names_it(run: Run) -> None:
    known = {response.headers["x-amz-request-id"] for response in run.responses}
    for line in run.lines(run.front.process):
        if line["name"] == "s3front-work" or "engineio" in line["name"]:
            continue  # no request's
        if line["event"] not in LIFE_OF_A_PROCESS:
            assert line.get("request_id") in known, str(line)


def test_the_daemons_name_the_requests_too(run: Run) -> None:
    """With both logs, one ID tells the whole story of a request. Background work has names."""
    calls = [line for line in run.lines(run.cluster.dmd_metadata) if line["event"] == "call"]
    named = {line["request_id"] for line in calls}
    known = {response.headers["x-amz-request-id"] for response in run.responses}
    assert {name for name in named if name and re.fullmatch("[0-9A-F]{16}", name)} <= known
    stored = {
        line["request_id"] for line in access_lines(run) if line["operation"] == "PutObject"
    } - {line["request_id"] for line in access_lines(run) if line["error"]}
    assert stored
    assert stored <= named


def test_nothing_is_given_away(run: Run) -> None:
    assert len(run.signatures) > len(ODD_KEYS)
    secrets = {OWNER.secret, FOREIGNER.secret, NEEDLE, *run.signatures}
    for process in (run.front.process, run.cluster.dmd_metadata, run.cluster.dmd_data):
        for line in process.output.splitlines():
            # As it was written, and without the escapes of JSON.
            for text in (line, str(json.loads(line))):
                for secret in secrets:
                    assert secret not in text


def test_a_malformed_request_leaves_no_traceback(run: Run) -> None:
    with Connection(run.front) as connection:
        connection.send(b"needle needle needle\r\n\r\n")
        connection.rest()
    assert NEEDLE not in run.front.process.output
    assert "Traceback" not in run.front.process.output
