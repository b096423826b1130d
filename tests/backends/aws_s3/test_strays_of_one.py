"""What a service cannot say of one object keeps the worker from no other."""

from __future__ import annotations

from typing import Any, cast

from s3front.locations.location_config import Location, Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.locations.remote_store import new_mark
from s3front.metadata.strays import Stray, note_stray
from s3front.work.stray_removal import StrayWorker
from s3front.work.worker import Pace, Tools
from shared.process.logs import get_logger
from shared.records.names import DEAD_LETTERS, STRAYS
from tests.backends.scripted_s3 import Asked, answer, scripted
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

DAY_SECONDS = 24 * 3600.0


def say(asked: Asked) -> bytes:
    """No XML of the uploads of ``odd``; nothing has another name."""
    if asked.is_about("uploads"):
        is_odd = "prefix=odd" in asked.target
        return answer(200, {}, b"<R><Key>&odd;</Key></R>" if is_odd else b"<R></R>")
    return answer(404)


async def test_it_is_set_aside_in_the_end() -> None:
    store, now = MetadataTwin(), 0.0
    for key in ("odd", "good", "odd", "better"):
        note = await note_stray(store, Stray("there", "bucket", key, new_mark()), "")
        now = int(note.key[:14]) / 1000
    async with scripted(say) as service:
        location = Location(name="there", type="aws_s3", details=service.details())
        registry = LocationRegistry(
            {"there": location}, Surroundings(cast(Any, None), get_logger())
        )
        worker = StrayWorker(
            Tools(store, registry, 0, RecordingLog(), lambda: now, lambda: now, 10.0)
        )

        async def work() -> None:
            nonlocal now
            now += DAY_SECONDS + 60
            while await worker.step() is Pace.BUSY:
                now += 0.01

        def texts(level: str) -> list[str]:
            return [text for (each, _), (text, _) in store.records.items() if each == level]

        await work()
        assert worker.status() == {"done": 2, "postponed": 2, "setAside": 0}
        assert all('"key":"odd"' in text for text in texts(STRAYS))
        for _ in range(5):
            await work()
        assert worker.status() == {"done": 2, "postponed": 10, "setAside": 2}
        assert texts(STRAYS) == []
        assert all("the answer is no XML" in text for text in texts(DEAD_LETTERS))
        await registry.close()
