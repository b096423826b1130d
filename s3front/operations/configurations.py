"""Reads of the documents that a bucket may have, and removals of those that it has not.

The documents are in ``s3front.configurations``; an operation that changes one has a file here.
"""

from __future__ import annotations

from s3front.configurations.base import Answer
from s3front.configurations.table import CONFIGURATIONS
from s3front.context import Context
from s3front.port.request import Reply, Request
from s3front.routes import Handler, Level, Operation, Routes, one_of


def add_to(table: Routes) -> None:
    """Route them."""
    for each in CONFIGURATIONS:
        place = one_of(each.sub_resource) if each.identified else each.sub_resource
        reading = Operation(each.get, Level.BUCKET, _handler(each.read), (each.get_action,))
        table.add("GET", reading, place)
        if each.delete is not None:
            handler, actions = _handler(each.removed), (each.delete_action,)
            table.add("DELETE", Operation(each.delete, Level.BUCKET, handler, actions), place)


def _handler(answer: Answer) -> Handler:
    async def handle(context: Context, _request: Request) -> Reply:
        return answer(context.bucket.record)

    return handle
