"""A change of identities, decided and not yet made. Pure.

The functions of ``s3front.iam.*_changes`` decide them: each is given the directory and what is
asked for, raises IamError, or says which records become others. ``s3front.iam.store`` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.records import Record
from s3front.metadata.gateway import Operation, Requirement

Result = TypeVar("Result")


class Change(msgspec.Struct, Generic[Result], frozen=True):
    """``writes``: records by their keys, None for those that go; in this order, where a daemon does
    one after the other. ``besides`` is done with it in other sub-levels, and ``requires`` has to
    hold there, else ``refusal`` is raised. ``result`` is for whoever asked."""

    writes: Mapping[str, Record | None]
    result: Result
    besides: Sequence[Operation] = ()
    requires: Sequence[Requirement] = ()
    refusal: IamError | None = None


Decide = Callable[[Directory], Change[Result]]
"""Raises IamError. It may be called several times, and changes nothing itself."""


def put(record: Record, *more: Record) -> Change[None]:
    """These become what is stored."""
    return Change({each.key: each for each in (record, *more)}, None)
