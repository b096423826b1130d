"""The outbox of tags that were changed and are also kept elsewhere: beside the object's bytes, in a
place that others run. ``s3front.work.tags_elsewhere`` works it off.

An entry names a version of an object, and not its tags: these are in its record, by then perhaps
newer ones.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from s3front.metadata.gateway import Operation
from s3front.metadata.outbox import append, outbox_level

_WORKER: Final = "tags"

TAG_CHANGES: Final = outbox_level(_WORKER)
"""The sub-level."""


class TagChange(msgspec.Struct, frozen=True, gc=False):
    """The tags of a version of an object changed, whose bytes were in this location; ``version`` is
    its ID as clients see it."""

    bucket: str
    key: str
    version: str
    location: str

    @classmethod
    def parse(cls, document: Any) -> TagChange:
        """Raises msgspec.ValidationError for what is none."""
        return msgspec.convert(document, cls)

    def operation(self) -> Operation:
        """What puts it into the outbox, as a part of the commit that changes the tags."""
        return append(_WORKER, msgspec.to_builtins(self))
