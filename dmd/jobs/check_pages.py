"""``dmd check``, the first part: the pages that the records lie in.

One state of the store is gone through as a whole, and no page of it is used again meanwhile: a
store that changes a lot grows by what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dmd.jobs.check_plan import Problem
from dmd.metadata.engines.base import Engine
from dmd.metadata.engines.lmdb_pages import Damage, PageView
from dmd.metadata.engines.lmdb_survey import survey

_PAGES_TOLD_MAX = 1000


def check_pages(
    engine: Engine, damage: Sequence[Damage], progress: Callable[[int], None]
) -> Iterator[Problem]:
    """What is wrong with the pages of a store, whose damage comes to ``damage`` as it is read.

    An engine whose records do not lie in pages has none. Raises EngineError.
    """
    told: list[str] = []
    with engine.snapshot() as reader:
        if isinstance(reader, PageView):
            survey(reader, told.append, progress)
    for entry in damage[:_PAGES_TOLD_MAX]:
        yield Problem("damaged-page", (), "", str(entry))
    for text in told:
        yield Problem("damaged-store", (), "", text)
