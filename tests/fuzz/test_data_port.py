"""Tens of thousands of requests on the data port, most of them odd in some way.

None is answered 500, nothing is logged as a surprise, the process lives and stays small, and blobs
whose keys no request named are as they were.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import threading
from collections import Counter, deque
from pathlib import Path
from random import Random

import pytest
import requests

from tests.fuzz import odd
from tests.fuzz.watch import Watched
from tests.raw_http import Connection, Wire, wire
from tests.servers import Cluster, Front, wait_for

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
REQUESTS = 50_000 if SOAK else 800
SEED = os.environ.get("TWOFOLD_FUZZ_SEED", "rest")
THREADS = 3
VIOLATIONS_MAX = 20
CONTROL_SIZES = (0, 1, 1000, 70_000, 2_000_000)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_COMMANDS = (
    *("inventory", "inventory&count=5", "inventory&count=0", "inventory&cursor=x", "owners"),
    *("adopt=a", "adopt=6f0a2b0e-8f0e-4b0e-9d3c-0123456789ab", "disown=%zz", "reclaim"),
    *("quarantine", "restore", "purge", "diskUsage", "diskUsage=1", ""),
)


class Campaign:
    """Requests from several threads on the blobs that they store."""

    def __init__(self, front: Front) -> None:
        self.statuses: Counter[bytes] = Counter()
        self.violations: list[str] = []
        self._front = front
        self._keys: deque[str] = deque(["0" * 40], 200)
        self._lock = threading.Lock()

    def run(self, first: int, count: int) -> None:
        threads = [
            threading.Thread(target=self._work, args=(first + offset, first + count))
            for offset in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.violations, "\n\n".join(self.violations[:5])

    def _work(self, first: int, end: int) -> None:
        for number in range(first, end, THREADS):
            sent = b""
            try:
                request, whole = self._request(Random(f"{SEED}/{number}"))
                sent = bytes(request)
                self._exchange(request, whole=whole)
            except Exception as error:
                self.violations.append(f"{number}: {error!r}\n{sent[:2000]!r}")
            if len(self.violations) >= VIOLATIONS_MAX:
                break

    def _exchange(self, request: Wire, *, whole: bool) -> None:
        with Connection(self._front) as connection:
            if whole:
                response = connection.exchange(request)
                if location := response.headers.get("Location"):
                    self._keys.append(location.rpartition("/")[2])
                statuses = [b"%d" % response.status]
            else:
                connection.send(request)
                connection.half_close()
                statuses = _STATUS.findall(connection.rest())
        with self._lock:
            self.statuses.update(statuses)
        if not {b"500", b"502", b"503", b"504"}.isdisjoint(statuses):
            self.violations.append(f"{statuses}\n{bytes(request)[:2000]!r}")

    def _request(self, chance: Random) -> tuple[Wire, bool]:
        """A request, and whether its framing is right, so that one answer comes to it."""
        method = odd.pick(
            chance, ("PUT", "PUT", "GET", "GET", "DELETE", "POST", "HEAD"), _method, 0.03
        )
        headers = {"Host": "localhost"}
        target = self._target(chance, method)
        body = odd.blob(chance) if method in ("PUT", "POST") else b""
        whole = method in ("PUT", "GET", "DELETE", "POST", "HEAD") and target.isascii()
        if method in ("GET", "HEAD") and chance.random() < 0.5:
            headers["Range"] = odd.pick(chance, odd.RANGES, _header, 0.1)
        if chance.random() < 0.1:
            name = chance.choice(
                ("X-Scal-Request-Uids", "Authorization", "Content-Type", "If-Match")
            )
            headers[name] = _header(chance)
        kind = chance.randrange(20)
        if kind == 0:
            headers["Content-Length"], whole = chance.choice(odd.NUMBERS[:16]), False
        elif kind == 1:
            headers["Transfer-Encoding"], whole = chance.choice(("chunked", "gzip", "")), False
        elif method in ("PUT", "POST"):
            headers["Content-Length"] = str(len(body))
        sent = wire(method, target, headers, body)
        if kind == 2:
            return Wire(method, odd.damaged(chance, sent.head), body), False
        return sent, whole

    def _target(self, chance: Random, method: str) -> str:
        key = odd.pick(chance, list(self._keys), odd.escaped, 0.1)
        if chance.random() < 0.12:
            command = chance.choice(_COMMANDS)
            return f"/DataFile{chance.choice(('', f'/{key}'))}?{command}"
        if chance.random() < 0.04:
            return f"/{odd.escaped(chance)}"
        return "/DataFile" if method == "PUT" and chance.random() < 0.9 else f"/DataFile/{key}"


def _method(chance: Random) -> str:
    return chance.choice(("PATCH", "OPTIONS", "put", "X" * 300, "G\u00c4T", "CONNECT"))


def _header(chance: Random) -> str:
    return odd.text(chance).replace("\r", " ").replace("\n", " ")


@pytest.mark.timeout(7200 if SOAK else 300)
def test_no_request_is_answered_with_500(tmp_path: Path) -> None:
    running = Cluster(tmp_path)
    try:
        running.dmd_data.start()
        front = Front(running.dmd_data, running.data_port)
        wait_for(lambda: _serves(front), "the data daemon to serve")
        url = f"{front.url}/DataFile"
        control = {}
        for size in CONTROL_SIZES:
            data = Random(size).randbytes(size)
            key = requests.put(url, data=data, timeout=30).headers["Location"]
            control[key.rpartition("/")[2]] = data
        campaign = Campaign(front)
        campaign.run(0, REQUESTS // 10)
        watched = Watched([running.dmd_data])
        campaign.run(REQUESTS // 10, REQUESTS - REQUESTS // 10)
        assert campaign.statuses[b"201"] > REQUESTS // 10, campaign.statuses
        assert campaign.statuses[b"200"] > REQUESTS // 20, campaign.statuses
        for key, data in control.items():
            assert requests.get(f"{url}/{key}", timeout=30).content == data
        watched.assert_unharmed()
    finally:
        running.stop()


def _serves(front: Front) -> bool:
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection(*front.address, timeout=5)
        connection.request("GET", "/DataFile?diskUsage")
        return connection.getresponse().status == 200
    return False
