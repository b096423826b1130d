"""Whether a small body may come with the commit of its record, in one hop in place of two.

The metadata daemon offers it (the extension ``bodies``), and says in which directory it keeps them.
They are found again when the data daemon that this process asks serves that directory, and is on
the same machine: so it is asked, once for each connection to the metadata daemon. Of everything
else, another data daemon, CloudServer's or an older one, another type of location, bytes go to
their location first.
"""

from __future__ import annotations

import itertools
import secrets

from s3front.locations.base import DataStore
from s3front.locations.dmd_file import DmdFileStore
from s3front.rpc.rpc_client import RpcClient
from s3front.s3_errors import S3Error


class OneHop:
    """See the module. ``daemon`` is the store of all locations that are the data daemon's."""

    def __init__(self, client: RpcClient, daemon: DmdFileStore) -> None:
        self._client = client
        self._daemon = daemon
        self._asked: tuple[int, int] | None = None
        """Over which connection the offer came that was judged, and what it allows, in bytes."""
        # Whoever writes an object never learns these: no value of it can have them in it.
        self._prefix = secrets.token_hex(14)
        self._numbers = itertools.count()

    def bytes_max(self, store: DataStore) -> int | None:
        """How large a body for a store may be that comes with its commit; 0 when none may, None
        when that is to be asked."""
        if store is not self._daemon:
            return 0
        if self._asked is not None and self._asked[0] == self._client.connections:
            return self._asked[1]
        return None

    async def ask(self) -> int:
        """The same, once both daemons have said it. Raises nothing: 0 while one is away."""
        connection, offer = self._client.connections, self._client.bodies
        allowed = 0
        if offer is not None:
            try:
                directory, bytes_max = await self._daemon.packed()
            except S3Error:
                return 0
            if connection != self._client.connections:
                return 0  # that was another offer
            if directory == offer.directory:
                allowed = min(bytes_max, offer.bytes_max)
        self._asked = connection, allowed
        return allowed

    @property
    def brings_bodies(self) -> bool:
        """Whether a read of a record is to bring the bytes that it names: where this process cannot
        read them itself, which is cheaper (GET of 1 KiB: 973 in place of 1,047 thousand
        instructions)."""
        return not self._daemon.reads_here

    def forget(self) -> None:
        """Ask again: a commit with a body failed, perhaps because its directory was replaced."""
        self._asked = None

    @property
    def directory(self) -> str:
        """The directory of the offer that there is now."""
        offer = self._client.bodies
        return "" if offer is None else offer.directory

    def new_name(self) -> str:
        """What stands for the key of a body in its record: 40 digits."""
        return self._prefix + next(self._numbers).to_bytes(6).hex()
