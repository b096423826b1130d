"""Bytes that a front-end could not commit in time: it gives them up, since garbage collection may
take them for garbage once its grace is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.api.encrypting import encryption_settings, put_default
from tests.clients_boto3 import s3_client
from tests.faults.proxy import ProxiedFront, front_behind_proxies
from tests.faults.stores import assert_consistent
from tests.forms import form_body, form_request, signed_v4
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Response, call, connected, exchange, host_of, sign
from tests.servers import TWO_HOPS, Cluster, Front, cluster, wait_for

GRACE_SECONDS = 2
CALL_TIMEOUT_MS = 900
LARGE = b"0123456789abcdef" * 20_000
SETTINGS = {"gcGraceSeconds": GRACE_SECONDS, "deleteDelaySeconds": 0}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    client = {"callTimeoutMs": CALL_TIMEOUT_MS}
    folder: Path = tmp_path_factory.mktemp("late")
    # Bytes that come with their commit do not wait for one.
    settings = {**SETTINGS, **TWO_HOPS, **encryption_settings(folder), "metadataClient": client}
    with cluster(folder, settings=settings) as started:
        assert call(started.fronts[0], "PUT", "/bucket").status == 200
        assert call(started.fronts[0], "PUT", "/bucket/source", LARGE).status == 200
        yield started


@pytest.fixture(scope="module")
def proxied(running: Cluster) -> Iterator[ProxiedFront]:
    with front_behind_proxies(running, call_timeout_ms=CALL_TIMEOUT_MS) as started:
        yield started


def put(front: Front, body: bytes) -> Response:
    return call(front, "PUT", "/bucket/late", body)


def copy(front: Front) -> Response:
    return call(front, "PUT", "/bucket/late", b"", {"x-amz-copy-source": "/bucket/source"})


def part(front: Front) -> Response:
    send = partial(call, front)
    upload_id = begin_upload(send, "/bucket/late")
    response = send_part(send, "/bucket/late", upload_id, 1, LARGE)
    assert send("DELETE", f"/bucket/late?uploadId={upload_id}").status == 204
    return response


def form(front: Front) -> Response:
    fields = signed_v4({"key": "late", "success_action_status": "200"}, "bucket")
    body = form_body(fields, LARGE)
    return exchange(front, form_request(host_of(front), "/bucket", body))


REQUESTS: dict[str, Callable[[Front], Response]] = {
    "a small object": partial(put, body=b"small"),
    "a large object": partial(put, body=LARGE),
    "a copy": copy,
    "a part": part,
    "a form": form,
}


def answered_late(proxied: ProxiedFront, request: Callable[[Front], Response]) -> Response:
    """The response to a request that stores something, and hears of it late."""
    # The first request opens the connections.
    assert call(proxied.front, "GET", "/bucket/source").body == LARGE
    with ThreadPoolExecutor() as pool:
        # A copy has to read before it can write.
        proxied.data.hold_answers("201 Created")
        answer = pool.submit(request, proxied.front)
        wait_for(lambda: proxied.data.held_bytes > 0, "the answer of the data daemon")
        held_since = time.monotonic()
        wait_for(lambda: time.monotonic() > held_since + GRACE_SECONDS / 2, "half the grace")
        proxied.heal()
        return answer.result()


@pytest.mark.parametrize("name", REQUESTS)
def test_bytes_that_have_grown_old_are_given_up(
    running: Cluster, proxied: ProxiedFront, name: str
) -> None:
    response = answered_late(proxied, REQUESTS[name])
    assert (response.status, response.error["Code"]) == (503, "ServiceUnavailable")
    assert call(proxied.front, "GET", "/bucket/late").status == 404
    assert_consistent(running)


def test_a_plain_part_that_is_stored_again_and_has_grown_old(
    running: Cluster, proxied: ProxiedFront
) -> None:
    """Since its bucket demands encryption by now."""
    send = partial(call, running.fronts[0])
    assert send("PUT", "/demanding").status == 200
    upload_id = begin_upload(send, "/demanding/late")
    assert send_part(send, "/demanding/late", upload_id, 1, LARGE).status == 200
    put_default(s3_client(running.fronts[0]), "demanding")

    def complete(front: Front) -> Response:
        target = f"/demanding/late?uploadId={upload_id}"
        return call(front, "POST", target, completion({1: LARGE}))

    late = answered_late(proxied, complete)
    assert (late.status, late.error["Code"]) == (503, "ServiceUnavailable")
    assert_consistent(running)
    assert complete(proxied.front).status == 200
    assert call(proxied.front, "GET", "/demanding/late").body == LARGE


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_body_that_is_slow_is_late_for_its_master_key(running: Cluster, encrypted: bool) -> None:
    """The bytes are young; the key may have been removed since it was given out."""
    front = running.fronts[0]
    headers = {"x-amz-server-side-encryption": "AES256"} if encrypted else {}
    request = sign(front, "PUT", "/bucket/slow", LARGE, headers)
    with connected(front) as connection:
        connection.send(request.head + LARGE[:-1])
        sent_at = time.monotonic()
        wait_for(lambda: time.monotonic() > sent_at + GRACE_SECONDS / 2 + 0.2, "half the grace")
        connection.send(LARGE[-1:])
        response = connection.receive()
    assert response.status == (503 if encrypted else 200)
    assert call(front, "GET", "/bucket/slow").status == (404 if encrypted else 200)


@pytest.mark.parametrize("name", REQUESTS)
def test_bytes_that_are_young_enough_are_committed(proxied: ProxiedFront, name: str) -> None:
    assert REQUESTS[name](proxied.front).status == 200
    assert call(proxied.front, "DELETE", "/bucket/late").status == 204
