"""Forgetting what is kept for some time only, by the periods that its keys begin with: client
tokens, and the reasons of refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from s3front.metadata import gateway, refusal_store, token_store
from s3front.work.worker import Pace, Step, Throttled, Tools
from shared.records.names import CLIENT_TOKENS, REFUSALS

PERIOD_SECONDS: Final = 60.0
"""Time between two looks."""

_PAGE_KEYS: Final = 200


class PeriodWorker:
    """Of the sub-level ``sub_level``, ``forgotten_before`` gives the key before which everything is
    to go, at a time of the wall clock."""

    def __init__(
        self, tools: Tools, sub_level: str, forgotten_before: Callable[[float], str]
    ) -> None:
        self._tools = tools
        self._sub_level = sub_level
        self._forgotten_before = forgotten_before
        self._request_id = sub_level.strip(".")
        self._forgotten = 0

    def status(self) -> Mapping[str, Any]:
        """How many were forgotten."""
        return {"done": self._forgotten}

    async def step(self) -> Step:
        """Forget up to one page."""
        options = {"lt": self._forgotten_before(self._tools.wall_clock()), "limit": _PAGE_KEYS}
        old = await self._tools.metadata.keys(self._sub_level, options, self._request_id)
        if not old:
            return Throttled(self._tools.clock() + PERIOD_SECONDS)
        operations = [gateway.delete(self._sub_level, key) for key in old]
        await self._tools.metadata.commit(operations, [], self._request_id)
        self._forgotten += len(old)
        return Pace.BUSY


def token_worker(tools: Tools) -> PeriodWorker:
    """Forgets client tokens."""
    return PeriodWorker(tools, CLIENT_TOKENS, token_store.forgotten_before)


def refusal_worker(tools: Tools) -> PeriodWorker:
    """Forgets why requests were refused."""
    return PeriodWorker(tools, REFUSALS, refusal_store.forgotten_before)
