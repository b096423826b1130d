"""What crash tests interrupt in buckets with versions: each operation has a bucket of its own.

An operation is told by the records of its one key, before and after, as the manual prints them: the
master's value, then ``v:`` and the value of each version that has a key of its own, the newest
first. A value is followed by what else a record says: ``null``, ``held``, ``retained``.
"""

from __future__ import annotations

from typing import Any

from shared import version_id
from tests.api.locks import SOON
from tests.api.support import md5_base64, new_name
from tests.crash.operations import REMOVING, STORING, Operation
from tests.crash.stage import Stage
from tests.faults.processes import METADATA_POINTS
from tests.faults.stores import stored_records
from tests.raw_http import Response

Rows = tuple[str, ...]
MARKER = "marker"
_VALUE = "x-amz-meta-value"
_UNTIL = SOON.strftime("%Y-%m-%dT%H:%M:%SZ")


class VersionedOperation(Operation):
    """``steps`` make what it works on: a state of versioning, a bucket with object lock
    (``Locked``), a delete marker, or else the value of an object to put."""

    points = REMOVING
    steps: Rows
    after: Rows

    def __init__(self, stage: Stage) -> None:
        self.running = stage.running
        super().__init__(stage.front, new_name())

    def prepare(self) -> None:
        self.ids: dict[str, str] = {}
        """The version ID of every value, as clients see it."""
        locked = {"x-amz-bucket-object-lock-enabled": "true"} if "Locked" in self.steps else {}
        assert self.send("PUT", f"/{self.bucket}", b"", locked).status == 200
        for step in self.steps:
            self._take(step)
        self.before = self.seen()

    def _take(self, step: str) -> None:
        if step in ("Enabled", "Suspended"):
            assert self.configure(step).status == 200
        elif step == MARKER:
            response = self.send("DELETE", self.target)
            assert response.status == 204
            self.ids[MARKER] = response.headers["x-amz-version-id"]
        elif step != "Locked":
            response = self.put_value(step)
            assert response.status == 200
            self.ids[step] = response.headers.get("x-amz-version-id", "null")

    # --- Requests ------------------------------------------------------------------------------

    def put_value(self, value: str, headers: dict[str, str] | None = None) -> Response:
        body = value.encode()
        described = {_VALUE: value, "Content-MD5": md5_base64(body), **(headers or {})}
        return self.send("PUT", self.target, body, described)

    def put_document(self, target: str, document: str) -> Response:
        body = document.encode()
        return self.send("PUT", target, body, {"Content-MD5": md5_base64(body)})

    def configure(self, state: str) -> Response:
        document = f"<VersioningConfiguration><Status>{state}</Status></VersioningConfiguration>"
        return self.put_document(f"/{self.bucket}?versioning", document)

    def hold(self, version: str, status: str) -> Response:
        target = f"{self.target}?legal-hold&versionId={version}"
        return self.put_document(target, f"<LegalHold><Status>{status}</Status></LegalHold>")

    def delete_version(self, version: str, *, bypass: bool = False) -> Response:
        headers = {"x-amz-bypass-governance-retention": "true"} if bypass else {}
        return self.send("DELETE", f"{self.target}?versionId={version}", b"", headers)

    # --- What is there -------------------------------------------------------------------------

    def seen(self) -> Rows:
        """The records, once it is sure that they lie where the manual puts them, and that what
        clients read is what they say."""
        rows = []
        for name, record in sorted(self.records().items()):
            key, separator, version = name.partition("\0")
            assert key == self.key
            assert version == (record["versionId"] if separator else "")
            rows.append(("v:" if separator else "") + _row_of(record))
            self._assert_reads(record)
        return tuple(rows)

    def records(self) -> dict[str, Any]:
        return stored_records(self.running, [self.bucket])[self.bucket]

    def happened(self) -> bool:
        found = self.seen()
        assert found in (self.before, self.after)
        return found == self.after

    def _assert_reads(self, record: dict[str, Any]) -> None:
        """A GET of the version gives its bytes, and a lock holds."""
        version = _shown_id(record)
        response = self.send("GET", f"{self.target}?versionId={version}")
        if record["isDeleteMarker"]:
            assert response.status == 405
            return
        assert (response.status, response.body) == (200, record[_VALUE].encode())
        if record.get("legalHold") or record.get("retentionMode"):
            assert self.delete_version(version).status == 403

    def remove(self) -> None:
        """Remove all versions, and the bucket."""
        versions = {_shown_id(record): record for record in self.records().values()}
        for version, record in versions.items():
            if record.get("legalHold"):
                assert self.hold(version, "OFF").status == 200
            retained = bool(record.get("retentionMode"))
            assert self.delete_version(version, bypass=retained).status == 204
        assert self.send("DELETE", f"/{self.bucket}").status == 204


def _row_of(record: dict[str, Any]) -> str:
    said = {
        "null": record.get("isNull"),
        "held": record.get("legalHold"),
        "retained": record.get("retentionMode"),
    }
    value = MARKER if record["isDeleteMarker"] else record[_VALUE]
    return " ".join([value, *(word for word, holds in said.items() if holds)])


def _shown_id(record: dict[str, Any]) -> str:
    if record.get("isNull") or "versionId" not in record:
        return "null"
    return version_id.encode(record["versionId"])


# --- Writes --------------------------------------------------------------------------------------


class PutVersion(VersionedOperation):
    points = STORING
    stores_data = True
    steps: Rows = ("Enabled", "A")
    after: Rows = ("B", "v:B", "v:A")

    def run(self) -> Response:
        return self.put_value("B")


class PutOverNull(PutVersion):
    """What was stored before there were versions is moved to a key of its own."""

    steps = ("A", "Enabled")
    after = ("B", "v:B", "v:A null")


class PutOverSuspendedNull(PutVersion):
    """The null version is moved to the key of its ID."""

    steps = ("Suspended", "A", "Enabled")
    after = ("B", "v:B", "v:A null")


class PutNull(PutVersion):
    """The null version, which is not the latest, is replaced by one that is."""

    steps = ("N", "Enabled", "A", "Suspended")
    after = ("B null", "v:A")


class PutRetained(PutVersion):
    steps = ("Locked", "A")
    after = ("B retained", "v:B retained", "v:A")

    def run(self) -> Response:
        mode, until = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
        return self.put_value("B", {mode: "GOVERNANCE", until: _UNTIL})


class PutMarker(VersionedOperation):
    status = 204
    steps: Rows = ("Enabled", "A")
    after: Rows = (MARKER, f"v:{MARKER}", "v:A")

    def run(self) -> Response:
        return self.send("DELETE", self.target)


class PutMarkerOverNull(PutMarker):
    steps = ("A", "Enabled")
    after = (MARKER, f"v:{MARKER}", "v:A null")


class PutNullMarker(PutMarker):
    steps = ("N", "Enabled", "A", "Suspended")
    after = (f"{MARKER} null", "v:A")


# --- Deletions of versions -----------------------------------------------------------------------


class DeleteLatest(VersionedOperation):
    """The master is repaired: the version before becomes the latest."""

    status = 204
    steps: Rows = ("Enabled", "A", "B")
    after: Rows = ("A", "v:A")
    gone = "B"

    def run(self) -> Response:
        return self.delete_version(self.ids[self.gone])


class DeleteLatestOverNull(DeleteLatest):
    """The null version becomes the latest again."""

    steps = ("A", "Enabled", "B")
    after = ("A null", "v:A null")


class DeleteMarkerVersion(DeleteLatest):
    steps = ("Enabled", "A", MARKER)
    gone = MARKER


class DeleteOld(DeleteLatest):
    after = ("B", "v:B")
    gone = "A"


class DeleteOldNull(DeleteOld):
    steps = ("A", "Enabled", "B")


class DeleteOnly(DeleteLatest):
    steps = ("Enabled", "B")
    after = ()


# --- Locks and states ----------------------------------------------------------------------------


class Change(VersionedOperation):
    """It has no fail-point in a front-end, which does no more after the commit than to answer."""

    points = tuple(armed for armed in REMOVING if armed.point in METADATA_POINTS)


class Hold(Change):
    """Of the latest version: master and copy alike."""

    steps = ("Locked", "A", "B")
    after = ("B held", "v:B held", "v:A")

    def run(self) -> Response:
        return self.hold(self.ids["B"], "ON")


class Retain(Change):
    """Of a version that is not the latest."""

    steps = ("Locked", "A", "B")
    after = ("B", "v:B", "v:A retained")

    def run(self) -> Response:
        rule = f"<Mode>GOVERNANCE</Mode><RetainUntilDate>{_UNTIL}</RetainUntilDate>"
        target = f"{self.target}?retention&versionId={self.ids['A']}"
        return self.put_document(target, f"<Retention>{rule}</Retention>")


class Suspend(Change):
    """The next object is the null version, or it is not."""

    steps = ("Enabled", "A")

    def run(self) -> Response:
        return self.configure("Suspended")

    def happened(self) -> bool:
        assert self.seen() == self.before
        state = self.send("GET", f"/{self.bucket}?versioning").xml.findtext("Status")
        assert state in ("Enabled", "Suspended")
        return state == "Suspended"


class LockByDefault(Change):
    steps = ("Locked", "A")

    def run(self) -> Response:
        rule = "<DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention>"
        return self.put_document(
            f"/{self.bucket}?object-lock",
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
            f"<Rule>{rule}</Rule></ObjectLockConfiguration>",
        )

    def happened(self) -> bool:
        assert self.seen() == self.before
        configuration = self.send("GET", f"/{self.bucket}?object-lock").xml
        assert configuration.findtext("ObjectLockEnabled") == "Enabled"
        return configuration.findtext("Rule/DefaultRetention/Days") == "1"


VERSIONED_OPERATIONS: tuple[type[VersionedOperation], ...] = (
    PutVersion,
    DeleteLatest,
    PutOverNull,
    Hold,
    PutNull,
    DeleteMarkerVersion,
    PutMarkerOverNull,
    Suspend,
    PutRetained,
    DeleteLatestOverNull,
    PutOverSuspendedNull,
    Retain,
    PutMarker,
    DeleteOldNull,
    LockByDefault,
    PutNullMarker,
    DeleteOld,
    DeleteOnly,
)
