"""Forgetting client tokens whose time is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from s3front.metadata import gateway
from s3front.metadata.token_store import forgotten_before
from s3front.work.worker import Pace, Step, Throttled, Tools
from shared.records.names import CLIENT_TOKENS

PERIOD_SECONDS: Final = 60.0
"""Time between two looks."""

_PAGE_TOKENS: Final = 200
_REQUEST_ID: Final = "client-tokens"


class TokenWorker:
    """See the module."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._forgotten = 0

    def status(self) -> Mapping[str, Any]:
        """How many tokens were forgotten."""
        return {"done": self._forgotten}

    async def step(self) -> Step:
        """Forget up to one page."""
        before = forgotten_before(self._tools.wall_clock())
        options = {"lt": before, "limit": _PAGE_TOKENS}
        old = await self._tools.metadata.keys(CLIENT_TOKENS, options, _REQUEST_ID)
        if not old:
            return Throttled(self._tools.clock() + PERIOD_SECONDS)
        operations = [gateway.delete(CLIENT_TOKENS, key) for key in old]
        await self._tools.metadata.commit(operations, [], _REQUEST_ID)
        self._forgotten += len(old)
        return Pace.BUSY
