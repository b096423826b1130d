"""Giving the page of a listing what a store holds, in every way that readers do."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from shared.listing.page import Page, Verdict


def feed(
    page: Page, rows: Sequence[tuple[str, Any]], *, jump: bool = False, at_once: int = 0
) -> None:
    """Feed a page its range, one row after the other, perhaps jumping to where it wants to go on;
    or so many rows at once."""
    end = page.end_key
    rows = [row for row in rows if row[0] >= page.first_key and (end is None or row[0] < end)]
    keys = [key for key, _ in rows]
    index = 0
    while index < len(rows):
        piece = rows[index : index + max(at_once, 1)]

        def values(
            indexes: Sequence[int], piece: Sequence[tuple[str, Any]] = piece
        ) -> Sequence[Any]:
            return [piece[index][1] for index in indexes]

        if at_once:
            verdict = page.offer_many([key for key, _ in piece], values)
        else:
            verdict = page.offer(*piece[0])
        if verdict is Verdict.FINISHED:
            return
        index += len(piece)
        assert page.resume_key > piece[-1][0]
        if at_once:
            index = bisect_left(keys, page.resume_key)
        elif jump and page.skip_to is not None:
            index = max(index, bisect_left(keys, page.skip_to))
    page.finish()
