"""A load of S3 requests that remembers what it was promised.

``Load`` writes, overwrites, reads and deletes the objects of one bucket from several threads,
through several front-ends, while a test kills and stops servers. It keeps for every key what the
last acknowledged write left there, and the operations whose outcome it does not know:

* A request that was answered with 5xx, or not at all, is *in doubt*: it took effect or it did not.
* After an answer, the request is over. Without one (the front-end died) what it asked for may still
  be on its way to the daemon, so its key is left alone until the next ``check``.
* A connection that was refused carried no request.

Every object says which write it is of: user metadata holds the sequence number, and the bytes
follow from key and number (``content``). So any reply can be verified at any time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import md5
from types import TracebackType

from tests.raw_http import Connection, Response, sign
from tests.servers import Front, wait_for

SEQUENCE_HEADER = "x-amz-meta-sequence"
SIZES = (0, 1, 1000, 30_000, 300_000, 700_000)
"""Bytes of an object: none, packed into a request, small and large for the data daemon."""

_PAUSE_SECONDS = 0.02
_KEYS_PER_THREAD = 8


def content(key: str, sequence: int) -> bytes:
    """The bytes of one write."""
    chance = random.Random(f"{key} {sequence}")
    return chance.randbytes(chance.choice(SIZES))


def etag_of(data: bytes) -> str:
    """The ETag header of an object with these bytes."""
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


class NotSentError(Exception):
    """The server refused the connection."""


class ObjectClient:
    """One thread's connection to a front-end, made again after it broke."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._connection: Connection | None = None

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """The response; raises NotSentError, or OSError when none came."""
        try:
            if self._connection is None:
                self._connection = Connection(self.front)
        except OSError as error:
            raise NotSentError from error
        try:
            sent = {"Content-Length": str(len(body)), **(headers or {})}
            response = self._connection.exchange(sign(self.front, method, target, body, sent))
        except OSError:
            self.close()
            raise
        if response.headers.get("Connection", "").lower() == "close":
            self.close()
        return response

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class KeyState:
    """What is known about a key. A state is the number of a write, None for no object."""

    acknowledged: int | None = None
    in_doubt: set[int | None] = field(default_factory=set)

    @property
    def possible(self) -> set[int | None]:
        return {self.acknowledged, *self.in_doubt}


class Load:
    """Threads that use a bucket until the block ends."""

    def __init__(self, bucket: str, fronts: Sequence[Front], threads: int = 4) -> None:
        self.bucket = bucket
        self.states: dict[str, KeyState] = {}
        self.acknowledged = 0
        """Writes and deletions that were answered with success."""
        self.violations: list[str] = []
        self._fronts = list(fronts)
        self._acknowledged_by = dict.fromkeys(range(len(self._fronts)), 0)
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._ended = threading.Event()
        self._idle = [threading.Event() for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        response = ObjectClient(self._fronts[0]).request("PUT", f"/{self.bucket}")
        assert response.status == 200, response.body
        self._running.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._running.set()
        for thread in self._threads:
            thread.join()

    def wait_for_writes(self, count: int) -> None:
        """Wait until so many more writes were acknowledged."""
        goal = self.acknowledged + count
        wait_for(lambda: self.acknowledged >= goal or bool(self.violations), "writes")
        self._assert_no_violations()

    def wait_for_recovery(self) -> None:
        """Wait until every front-end acknowledges writes again."""
        goals = {number: count + 5 for number, count in self._acknowledged_by.items()}
        wait_for(
            lambda: (
                all(self._acknowledged_by[number] >= goal for number, goal in goals.items())
                or bool(self.violations)
            ),
            "writes through every front-end",
        )
        self._assert_no_violations()

    def pause(self) -> None:
        """Let requests under way end, and send no more."""
        self._running.clear()
        for idle in self._idle:
            assert idle.wait(60), "a request takes for ever"

    def resume(self) -> None:
        self._running.set()

    def check(self) -> None:
        """Verify every object, and settle what was in doubt. Pauses the load meanwhile."""
        self.pause()
        clients = [ObjectClient(front) for front in self._fronts]
        present = set()
        for number, (key, state) in enumerate(self.states.items()):
            found = self._read_surely(clients[number % len(clients)], key)
            assert found in state.possible, f"{key}: {found} instead of {state}"
            state.acknowledged = found
            state.in_doubt.clear()
            if found is not None:
                present.add(key)
        for client in clients:
            assert self._list(client) == present
            client.close()
        self._assert_no_violations()
        self.resume()

    # --- The threads ---------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        clients = [ObjectClient(front) for front in self._fronts]
        keys = [f"{number}/{index}" for index in range(_KEYS_PER_THREAD)]
        sequence = 0
        while not self._ended.is_set():
            if not self._running.is_set():
                self._idle[number].set()
                self._running.wait()
                self._idle[number].clear()
                continue
            sequence += 1
            front = chance.randrange(len(clients))
            index = chance.randrange(len(keys))
            try:
                self._one_request(chance, clients[front], front, keys[index], sequence)
            except NotSentError:
                self._ended.wait(_PAUSE_SECONDS)
            except OSError:
                # The key may change until everything has come to rest: go on with a new one.
                keys[index] = f"{number}/{len(self.states)}-{sequence}"
            except Exception as error:  # a thread that ends unnoticed would prove nothing
                self.violations.append(repr(error))
                self._ended.wait(_PAUSE_SECONDS)
        self._idle[number].set()
        for client in clients:
            client.close()

    def _one_request(
        self, chance: random.Random, client: ObjectClient, front: int, key: str, sequence: int
    ) -> None:
        choice = chance.random()
        state = self.states.setdefault(key, KeyState())
        if choice < 0.3:
            found = self._read(client, key)
            assert found == "unavailable" or found in state.possible, (
                f"{key}: {found} instead of {state}"
            )
            return
        wanted = sequence if choice < 0.8 else None
        try:
            response = self._write(client, key, wanted)
        except OSError:
            state.in_doubt.add(wanted)
            raise
        if response.status >= 500:
            state.in_doubt.add(wanted)
            self._ended.wait(_PAUSE_SECONDS)
            return
        assert response.status in (200, 204), f"{key}: {response.status} {response.body!r}"
        state.acknowledged = wanted
        state.in_doubt.clear()
        with self._lock:
            self.acknowledged += 1
            self._acknowledged_by[front] += 1

    def _write(self, client: ObjectClient, key: str, sequence: int | None) -> Response:
        if sequence is None:
            return client.request("DELETE", self._target(key))
        headers = {SEQUENCE_HEADER: str(sequence)}
        return client.request("PUT", self._target(key), content(key, sequence), headers)

    def _read(self, client: ObjectClient, key: str) -> int | str | None:
        """The state of a key, or ``unavailable``; asserts that the reply is whole and right."""
        response = client.request("GET", self._target(key))
        if response.status >= 500:
            return "unavailable"
        if response.status == 404:
            return None
        assert response.status == 200, f"{key}: {response.status} {response.body!r}"
        sequence = int(response.headers[SEQUENCE_HEADER])
        expected = content(key, sequence)
        assert response.body == expected, f"{key}: not the bytes of write {sequence}"
        assert response.headers["ETag"] == etag_of(expected)
        return sequence

    # --- Checks --------------------------------------------------------------------------------

    def _read_surely(self, client: ObjectClient, key: str) -> int | None:
        found: list[int | None] = []

        def answered() -> bool:
            try:
                state = self._read(client, key)
            except (NotSentError, OSError):
                return False
            if not isinstance(state, str):
                found.append(state)
            return bool(found)

        wait_for(answered, f"an answer about {key}")
        return found[0]

    def _list(self, client: ObjectClient) -> set[str]:
        keys: set[str] = set()
        after = ""
        while True:
            query = f"list-type=2&max-keys=50&start-after={after.replace('/', '%2F')}"
            tree = client.request("GET", f"/{self.bucket}?{query}").xml
            page = [node.text or "" for node in tree.iter("Key")]
            assert keys.isdisjoint(page)
            keys.update(page)
            if tree.findtext("IsTruncated") != "true":
                return keys
            after = page[-1]

    def _target(self, key: str) -> str:
        return f"/{self.bucket}/{key}"

    def _assert_no_violations(self) -> None:
        assert not self.violations, self.violations[:5]
