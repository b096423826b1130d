"""What versioned calls make of one object, told over plain dicts of parsed documents.

Written from the manual (7.1.3) and reference/dmd-wire.md, section 6, as the expectation of random
histories: slow, and without any notion of transactions, text or bytes.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

INFINITE = "99999999999999999999RG001  "
_OLDER_THAN_ANY = "~"


class ObjectModel:
    """``rows`` has the master at ``""``, the null key at NUL, and a version at NUL and its ID."""

    def __init__(self) -> None:
        self.rows: dict[str, Document] = {}

    @property
    def data(self) -> set[str]:
        """The data that the object's records name."""
        return {stretch["key"] for row in self.rows.values() for stretch in row.get("location", [])}

    def put_new(self, document: Document, made: str) -> None:
        self.rows[""] = self.rows[f"\0{made}"] = {**document, "versionId": made}

    def put_master(self, document: Document, made: str, drop_null_key: bool) -> None:
        self.rows[""] = {**document, "versionId": made}
        if drop_null_key:
            self.rows.pop("\0", None)

    def put_null_key(self, document: Document) -> None:
        self.rows["\0"] = document

    def put_version(self, version_id: str, document: Document, is_null: bool | None) -> None:
        self.repair()
        master = self.rows.get("")
        own = {} if is_null else {f"\0{version_id}": document}
        if master is not None and (id_of(master) or _OLDER_THAN_ANY) < version_id:
            if is_null and not master.get("isNull"):
                self.rows.pop(f"\0{version_id}", None)
                self.rows["\0"] = document
            self.rows.update(own)
            return
        self.rows[""] = document
        if master is not None:
            self._make_way(master, version_id, is_null)
        self.rows.update(own)

    def _make_way(self, master: Document, version_id: str, is_null: bool | None) -> None:
        """What becomes of a master that ``version_id`` has replaced."""
        same = id_of(master) == version_id
        null_id = INFINITE
        if id_of(master) is not None:
            null_id = id_of(master) or "" if master.get("isNull") else ""
        copy = {**master, "versionId": null_id, "isNull": True}
        if is_null is None:
            if null_id:
                self.rows[f"\0{null_id}"] = copy
                if not same:
                    self.rows[""] = {**self.rows[""], "nullVersionId": null_id}
            return
        if master.get("isNull") and not master.get("isNull2"):
            self.rows.pop(f"\0{id_of(master)}", None)
        if same:
            return
        if not is_null and null_id:
            self.rows["\0"] = {**copy, "isNull2": True}
        elif is_null and not null_id:
            self.rows.pop("\0", None)

    def delete_master(self) -> None:
        self.rows.pop("", None)

    def delete_null_key(self) -> None:
        self.rows.pop("\0", None)

    def delete_version(self, version_id: str, is_null: bool) -> None:
        self.rows.pop("\0" if is_null else f"\0{version_id}", None)
        master = self.rows.get("", {})
        if id_of(master) == version_id:
            del self.rows[""]
            for place in [place for place in self.rows if self._identity(place) == version_id]:
                del self.rows[place]
            self._promote()
        self.repair()

    def repair(self) -> None:
        """Replace a placeholder for deletion."""
        if self.rows.get("", {}).get("isPHD"):
            del self.rows[""]
            self._promote()

    def _promote(self) -> None:
        places = [place for place in self.rows if place]
        if places:
            newest = min(places, key=lambda place: (self._identity(place), place == "\0"))
            self.rows[""] = self.rows[newest]
            self.rows.pop("\0" if newest == "\0" else "none", None)

    def _identity(self, place: str) -> str:
        """Which version is at a place that is not the master's."""
        return place[1:] or id_of(self.rows[place]) or _OLDER_THAN_ANY


def id_of(document: Document) -> str | None:
    value: str | None = document.get("versionId")
    return value
