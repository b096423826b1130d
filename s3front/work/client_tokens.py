"""Forgetting client tokens whose time is over."""

from __future__ import annotations

import time
from contextlib import aclosing

from s3front.metadata import gateway
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.token_store import forgotten_before
from shared.records.names import CLIENT_TOKENS

_PAGE_TOKENS = 200
_REQUEST_ID = "client-tokens"


class TokenWorker:
    """See the module; ``run_once`` is called again and again by whoever holds the lease."""

    def __init__(self, metadata: MetadataGateway) -> None:
        self._metadata = metadata

    async def run_once(self) -> int:
        """Forget up to one page; how many that was."""
        options = {"lt": forgotten_before(time.time()), "limit": _PAGE_TOKENS}
        old: list[str] = []
        async with aclosing(self._metadata.pages(CLIENT_TOKENS, options, _REQUEST_ID)) as pages:
            async for page in pages:
                old += [key for key, _ in page]
        if old:
            operations = [gateway.delete(CLIENT_TOKENS, key) for key in old]
            await self._metadata.commit(operations, [], _REQUEST_ID)
        return len(old)
