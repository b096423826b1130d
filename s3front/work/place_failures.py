"""What a failure of a place means for the entry of an outbox that met it."""

from __future__ import annotations

from s3front.locations.base import DataStore
from s3front.locations.registry import NotConfiguredError
from s3front.locations.remote_store import NotAskedError, PlaceError, RemoteStore, Trouble
from s3front.s3_errors import S3Error
from s3front.work.outbox_worker import NeverError, PlaceAwayError

_AWAY = 503


async def meaning(error: S3Error, place: str, store: DataStore | None) -> Exception:
    """What is to be raised of a failure of ``store``, the place of this name (None: there is none):
    PlaceAwayError, NeverError, or the error itself, for what may succeed another time.

    A location that is not configured is away: its name may be mistyped, and to put it back is all
    that is needed. A place that refuses what it is asked may refuse it of this blob alone: somebody
    has locked it, or a policy there keeps it. As long as it lets us in, other entries do not wait
    for that one.
    """
    if isinstance(error, NotConfiguredError):
        return PlaceAwayError(place, str(error))
    if error.code == "NotImplemented":
        return NeverError(str(error))
    if error.status != _AWAY or await _is_of_one(error, store):
        return error
    return PlaceAwayError(place, str(error), was_asked=not isinstance(error, NotAskedError))


async def _is_of_one(error: S3Error, store: DataStore | None) -> bool:
    if not isinstance(error, PlaceError) or error.trouble is not Trouble.REFUSED:
        return False
    assert isinstance(store, RemoteStore)
    try:
        await store.look(thorough=False)
    except S3Error:
        return False
    return True
