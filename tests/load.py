"""A load of S3 requests that remembers what it was promised.

``Load`` writes, overwrites, uploads in parts, copies, reads and deletes the objects of one bucket
from several threads, through several front-ends, while a test kills, stops and cuts off servers. It
keeps for every key what the last acknowledged write left there (``tests.written``), and the
operations whose outcome it does not know:

* A request that was answered with 503, or not at all, is *in doubt*: it took effect or it did not.
* After an answer, the request is over. Without one (the front-end died) what it asked for may still
  be on its way to the daemon, so its key is left alone from then on.
* A connection that was refused carried no request.
* A Complete in doubt is repeated, and must be answered as if it had been the first.

Every error but 503 is a violation, and so is a reply with anything but the bytes of one write.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TypeVar

from tests import written
from tests.load_requests import NotSentError, ObjectClient, Requests, UnavailableError
from tests.servers import Front, wait_for
from tests.written import Written

_PAUSE_SECONDS = 0.02
_KEYS_PER_THREAD = 8
_RECOVERED_WRITES = 3
_WEIGHTS = {"read": 30, "put": 30, "delete": 8, "delete many": 4, "copy": 12, "upload": 16}
_TWO_PARTS = 0.1
"""How many of the uploads have a part of 5 MiB."""

_T = TypeVar("_T")

State = Written | None
"""What is at a key; None for no object."""


@dataclass
class KeyState:
    """What is known about a key."""

    acknowledged: State = None
    in_doubt: set[State] = field(default_factory=set)

    @property
    def possible(self) -> set[State]:
        return {self.acknowledged, *self.in_doubt}


class Load:
    """Threads that use a bucket until the block ends."""

    def __init__(self, bucket: str, fronts: Sequence[Front], threads: int = 4) -> None:
        self.bucket = bucket
        self.threads = threads
        self.states: dict[str, KeyState] = {}
        self.acknowledged = 0
        """Writes and deletions that were answered with success."""
        self.unavailable = 0
        """Requests that were answered with 503."""
        self.violations: list[str] = []
        self._fronts = list(fronts)
        self._acknowledged_by = dict.fromkeys(range(len(self._fronts)), 0)
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._ended = threading.Event()
        self._idle = [threading.Event() for _ in range(threads)]
        self._workers = [_Worker(self, number) for number in range(threads)]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True)
            for worker in self._workers
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
        self.assert_no_violations()

    def wait_for_unavailable(self) -> None:
        """Wait until one more request is answered with 503."""
        before = self.unavailable
        wait_for(lambda: self.unavailable > before or bool(self.violations), "a 503")
        self.assert_no_violations()

    def wait_for_recovery(self) -> None:
        """Wait until every front-end acknowledges writes again."""
        goals = {
            number: count + _RECOVERED_WRITES for number, count in self._acknowledged_by.items()
        }
        wait_for(
            lambda: (
                all(self._acknowledged_by[number] >= goal for number, goal in goals.items())
                or bool(self.violations)
            ),
            "writes through every front-end",
        )
        self.assert_no_violations()

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
        requests = [Requests(client, self.bucket) for client in clients]
        for number, (key, state) in enumerate(self.states.items()):
            found = _surely(partial(requests[number % len(requests)].read, key))
            assert found in state.possible, f"{key}: {found} instead of {state}"
            state.acknowledged = found
            state.in_doubt.clear()
        present = {key for key, state in self.states.items() if state.acknowledged}
        for by in requests:
            assert _surely(by.list) == present
        self._forget(requests[0])
        for client in clients:
            client.close()
        self.assert_no_violations()
        self.resume()

    def end(self) -> None:
        """Verify every object a last time and leave no upload under way."""
        self.check()
        self.pause()
        client = ObjectClient(self._fronts[0])
        _surely(Requests(client, self.bucket).abort_uploads)
        client.close()

    def assert_no_violations(self) -> None:
        assert not self.violations, self.violations[:5]

    def _forget(self, requests: Requests) -> None:
        """Delete the objects of keys that nobody uses any more."""
        used = {key for worker in self._workers for key in worker.keys}
        for key in self.states.keys() - used:
            _surely(partial(requests.delete, key))
            del self.states[key]

    # --- The threads ---------------------------------------------------------------------------

    def _work(self, worker: _Worker) -> None:
        idle = self._idle[worker.number]
        while not self._ended.is_set():
            if not self._running.is_set():
                idle.set()
                self._running.wait()
                idle.clear()
                continue
            try:
                worker.one_request()
            except (NotSentError, UnavailableError) as error:
                with self._lock:
                    self.unavailable += isinstance(error, UnavailableError)
                self._ended.wait(_PAUSE_SECONDS)
            except OSError:
                worker.give_up_keys()
            except Exception as error:  # a thread that ends unnoticed would prove nothing
                self.violations.append(repr(error))
                self._ended.wait(_PAUSE_SECONDS)
        idle.set()
        worker.close()

    def acknowledge(self, front: int) -> None:
        """Count a write that was answered with success; called by workers."""
        with self._lock:
            self.acknowledged += 1
            self._acknowledged_by[front] += 1


class _Worker:
    """What one thread does. Its keys are its own."""

    def __init__(self, load: Load, number: int) -> None:
        self.number = number
        self.keys = [f"{number}/{index}" for index in range(_KEYS_PER_THREAD)]
        self._load = load
        self._states = load.states
        self._chance = random.Random(number)
        self._clients = [ObjectClient(front) for front in load._fronts]
        self._sequence = 0
        self._touched: list[str] = []

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def give_up_keys(self) -> None:
        """Those of the last request may change until everything has come to rest: go on with
        others."""
        for index, key in enumerate(self.keys):
            if key in self._touched:
                self.keys[index] = f"{self.number}/{index}-{self._sequence}"

    def one_request(self) -> None:
        """A random request. Raises as ``tests.load_requests`` when it was not answered."""
        self._sequence += 1
        front = self._chance.randrange(len(self._clients))
        requests = Requests(self._clients[front], self._load.bucket)
        kind = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        self._touched = self._chance.sample(self.keys, 3 if kind == "delete many" else 1)
        for key in self._touched:
            self._states.setdefault(key, KeyState())
        if kind == "read":
            self._read(requests, self._touched[0])
        elif kind == "delete many":
            self._delete_many(requests, self._touched)
            self._load.acknowledge(front)
        else:
            self._write(requests, kind, self._touched[0])
            self._load.acknowledge(front)

    def _read(self, requests: Requests, key: str) -> None:
        state = self._states[key]
        found = requests.read(key)
        assert found in state.possible, f"{key}: {found} instead of {state}"

    def _delete_many(self, requests: Requests, keys: list[str]) -> None:
        try:
            deleted = requests.delete_many(keys)
        except (UnavailableError, OSError):
            for key in keys:
                self._states[key].in_doubt.add(None)
            raise
        for key in keys:
            if key in deleted:
                self._states[key] = KeyState(None)
            else:
                self._states[key].in_doubt.add(None)

    def _write(self, requests: Requests, kind: str, key: str) -> None:
        state, decide = self._begin(requests, kind, key)
        try:
            decide()
        except (UnavailableError, OSError):
            self._states[key].in_doubt.add(state)
            raise
        self._states[key] = KeyState(state)

    def _begin(self, requests: Requests, kind: str, key: str) -> tuple[State, Callable[[], None]]:
        """The state that a write leads to, and the request that decides it. What is sent here
        changes nothing at the key."""
        if kind == "delete":
            return None, lambda: requests.delete(key)
        source, copied = self._source()
        if kind == "put" or copied is None:
            new = written.put(key, self._sequence)
            return new, lambda: requests.put(key, new)
        if kind == "copy":
            replace = source == key or self._chance.random() < 0.5
            copy = written.copy(copied, str(self._sequence) if replace else "")
            return copy, lambda: requests.copy(source, key, copy, replace=replace)
        if self._chance.random() < 0.3:
            new = written.upload_of_copy(copied)
            return new, requests.upload_copy(source, key, new)
        parts = 2 if self._chance.random() < _TWO_PARTS else 1
        new = written.upload(key, self._sequence, parts)
        return new, requests.upload(key, new)

    def _source(self) -> tuple[str, State]:
        """A key to copy from and its object, which is known for certain; None when there is
        none."""
        known = [
            (key, state.acknowledged)
            for key in self.keys
            if (state := self._states.get(key)) and state.acknowledged and not state.in_doubt
        ]
        return self._chance.choice(known) if known else ("", None)


def _surely(request: Callable[[], _T]) -> _T:
    """What a request returns, which is repeated until it is answered."""
    found: list[_T] = []

    def answered() -> bool:
        try:
            found.append(request())
        except (NotSentError, UnavailableError, OSError):
            return False
        return True

    wait_for(answered, "an answer")
    return found[0]
