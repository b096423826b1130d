"""Random histories of S3 calls on a bucket with versions, through two front-ends, against a plain
model of S3's rules.

The model is a list of versions for each key, the newest first (Amazon S3 user guide, "How S3
Versioning works"). What one front-end has written is read through the other. At the end of each
history the stores hold the bytes of the versions that there are, and no others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.api.support import NO_VERSION, md5_base64, md5_hex
from tests.faults.stores import (
    assert_metadata_is_well,
    blobs_of,
    stored_blobs,
    stored_records,
)
from tests.load_requests import ObjectClient
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Response
from tests.servers import Cluster, cluster, wait_for

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
STEPS = 100 if SOAK else 50
EXAMPLES = (20_000 if SOAK else 1_000) // STEPS
KEYS = ["k", "k/1", "l"]

_numbers = count()

keys = st.sampled_from(KEYS)
fronts = st.integers(0, 1)
# A version of the key by its number, the null version, or one that never was.
which = st.sampled_from([0, 1, 2, 3, "null", NO_VERSION])
bodies = st.sampled_from(["bytes", "bytes", "bytes", "empty"])


@dataclass
class Made:
    """A version; ``body`` None is a delete marker."""

    id: str
    body: bytes | None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """What S3 does. IDs of new versions are those that the server gave."""

    state: str | None = None
    objects: dict[str, list[Made]] = field(default_factory=lambda: {key: [] for key in KEYS})

    def put(self, key: str, made: Made) -> None:
        """A new version, or the null version in place of the one before."""
        if made.id == "null":
            self.remove(key, "null")
        self.objects[key].insert(0, made)

    def remove(self, key: str, version: str) -> Made | None:
        """Remove a version for good; what it was."""
        found = self.find(key, version)
        if found is not None:
            self.objects[key].remove(found)
        return found

    def find(self, key: str, version: str | None) -> Made | None:
        """The version of this ID, the latest for None."""
        for made in self.objects[key]:
            if version in (None, made.id):
                return made
        return None

    def current(self, key: str) -> bytes | None:
        """The bytes of the object, None when there is none."""
        latest = self.find(key, None)
        return None if latest is None else latest.body


class VersionedApi(RuleBasedStateMachine):
    """One bucket and its model."""

    def __init__(self, running: Cluster, clients: Sequence[ObjectClient]) -> None:
        super().__init__()
        self.running = running
        self.clients = clients
        self.bucket = f"history-{next(_numbers)}"
        self.model = Model()
        self.uploads: list[tuple[str, str, bytes]] = []

    @initialize()
    def make(self) -> None:
        assert self._send(0, "PUT", "").status == 200

    def teardown(self) -> None:
        if self.uploads:
            for key, upload_id, _ in self.uploads:
                self._send(0, "DELETE", f"/{key}?uploadId={upload_id}")
        self._list_versions(0, 3)
        records = stored_records(self.running, [self.bucket])[self.bucket]
        versions = [made for versions in self.model.objects.values() for made in versions]
        assert len(set(blobs_of(records))) == sum(bool(made.body) for made in versions)
        nulls = [key for key, record in records.items() if "\0" in key and record.get("isNull")]
        assert len({key.partition("\0")[0] for key in nulls}) == len(nulls), "two null versions"

    def _send(
        self,
        via: int,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Response:
        return self.clients[via].request(method, f"/{self.bucket}{target}", body, headers)

    def _body(self, kind: str) -> bytes:
        return b"" if kind == "empty" else b"body %d" % next(_numbers)

    def _id(self, key: str, chosen: int | str) -> str:
        versions = self.model.objects[key]
        if isinstance(chosen, str):
            return chosen
        return versions[chosen % len(versions)].id if versions else "null"

    def _wrote(self, key: str, response: Response, body: bytes | None) -> None:
        """Take what a successful write has made into the model."""
        assert response.status in (200, 204), response.body
        version = response.headers.get("x-amz-version-id")
        if self.model.state == "Enabled":
            assert version not in (None, "null")
        elif body is None and self.model.state == "Suspended":
            assert version == "null"
        else:
            assert version is None
        self.model.put(key, Made(version or "null", body))

    def _read(self, via: int, key: str, version: str | None) -> None:
        """Compare what a read answers with the model."""
        made = self.model.find(key, version)
        query = "" if version is None else f"?versionId={version}"
        answers = [self._send(via, method, f"/{key}{query}") for method in ("GET", "HEAD")]
        for answer in answers:
            if made is None:
                assert answer.status == 404
                assert "x-amz-delete-marker" not in answer.headers
            elif made.body is None:
                assert answer.status == (404 if version is None else 405)
                assert answer.headers["x-amz-delete-marker"] == "true"
                assert answer.headers["x-amz-version-id"] == made.id
            else:
                assert answer.status == 200
                assert answer.headers["ETag"] == f'"{md5_hex(made.body)}"'
                shown = None if self.model.state is None else made.id
                assert answer.headers.get("x-amz-version-id") == shown
        if made is not None and made.body is not None:
            assert answers[0].body == made.body
        elif made is None:
            code = "NoSuchKey" if version is None else "NoSuchVersion"
            assert answers[0].error["Code"] == code

    # -- the bucket -----------------------------------------------------------------------------

    @rule(via=fronts, state=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def configure(self, via: int, state: str) -> None:
        body = f"<VersioningConfiguration><Status>{state}</Status></VersioningConfiguration>"
        assert self._send(via, "PUT", "?versioning", body.encode()).status == 200
        self.model.state = state
        assert self._send(1 - via, "GET", "?versioning").xml.findtext("Status") == state

    @rule(via=fronts)
    def delete_bucket(self, via: int) -> None:
        if any(self.model.objects.values()):
            answer = self._send(via, "DELETE", "")
            assert (answer.status, answer.error["Code"]) == (409, "BucketNotEmpty")

    # -- writes ---------------------------------------------------------------------------------

    @rule(via=fronts, key=keys, kind=bodies)
    def put(self, via: int, key: str, kind: str) -> None:
        body = self._body(kind)
        self._wrote(key, self._send(via, "PUT", f"/{key}", body), body)
        self._read(1 - via, key, None)

    @rule(via=fronts, key=keys, absent=st.booleans())
    def put_on_a_condition(self, via: int, key: str, absent: bool) -> None:
        current, body = self.model.current(key), self._body("bytes")
        if absent:
            condition, passes = {"If-None-Match": "*"}, current is None
        else:
            condition, passes = {"If-Match": f'"{md5_hex(current or b"")}"'}, current is not None
        answer = self._send(via, "PUT", f"/{key}", body, condition)
        if passes:
            self._wrote(key, answer, body)
        else:
            assert answer.status == (412 if absent else 404)

    @rule(via=fronts, source=keys, chosen=st.one_of(st.none(), which), key=keys)
    def copy(self, via: int, source: str, chosen: int | str | None, key: str) -> None:
        version = None if chosen is None else self._id(source, chosen)
        named = "" if version is None else f"?versionId={version}"
        headers = {
            "x-amz-copy-source": f"/{self.bucket}/{source}{named}",
            "x-amz-metadata-directive": "REPLACE",
        }
        answer = self._send(via, "PUT", f"/{key}", b"", headers)
        made = self.model.find(source, version)
        if made is None:
            assert answer.error["Code"] == ("NoSuchKey" if version is None else "NoSuchVersion")
        elif made.body is None:
            assert answer.error["Code"] == ("NoSuchKey" if version is None else "InvalidRequest")
        else:
            shown = None if self.model.state is None else made.id
            assert answer.headers.get("x-amz-copy-source-version-id") == shown
            tags = dict(made.tags)
            self._wrote(key, answer, made.body)
            self.model.objects[key][0].tags = tags
            self._read(1 - via, key, None)

    @rule(via=fronts, key=keys)
    def upload(self, via: int, key: str) -> None:
        def send(
            method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
        ) -> Response:
            return self.clients[via].request(method, target, body, headers)

        body, target = self._body("bytes"), f"/{self.bucket}/{key}"
        upload_id = begin_upload(send, target)
        assert send_part(send, target, upload_id, 1, body).status == 200
        self.uploads.append((key, upload_id, body))

    @precondition(lambda self: self.uploads)
    @rule(via=fronts, abort=st.sampled_from([False, False, True]))
    def end_an_upload(self, via: int, abort: bool) -> None:
        key, upload_id, body = self.uploads.pop(0)
        place = f"/{key}?uploadId={upload_id}"
        if abort:
            assert self._send(via, "DELETE", place).status == 204
            return
        answer = self._send(via, "POST", place, completion({1: body}))
        version = answer.headers.get("x-amz-version-id")
        self._wrote(key, answer, body)
        got = self._send(1 - via, "GET", f"/{key}?versionId={version or 'null'}")
        assert got.body == body
        # The ETag is that of an upload, which the model does not know.
        self._put_plainly(via, key, body, version)

    def _put_plainly(self, via: int, key: str, body: bytes, version: str | None) -> None:
        """Remove what an upload has made, and put the same bytes."""
        named = version or "null"
        assert self._send(via, "DELETE", f"/{key}?versionId={named}").status == 204
        self.model.remove(key, named)
        self._wrote(key, self._send(via, "PUT", f"/{key}", body), body)

    @rule(via=fronts, key=keys, chosen=st.one_of(st.none(), which))
    def tag(self, via: int, key: str, chosen: int | str | None) -> None:
        version = None if chosen is None else self._id(key, chosen)
        query = "" if version is None else f"&versionId={version}"
        value = str(next(_numbers))
        body = f"<Tagging><TagSet><Tag><Key>k</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        headers = {"Content-MD5": md5_base64(body.encode())}
        answer = self._send(via, "PUT", f"/{key}?tagging{query}", body.encode(), headers)
        made = self.model.find(key, version)
        if made is None:
            assert answer.status == 404
        elif made.body is None:
            assert answer.status == 405
        else:
            assert answer.status == 200
            made.tags = {"k": value}

    # -- deletions ------------------------------------------------------------------------------

    @rule(via=fronts, key=keys)
    def delete(self, via: int, key: str) -> None:
        answer = self._send(via, "DELETE", f"/{key}")
        assert answer.status == 204
        if self.model.state is None:
            assert "x-amz-delete-marker" not in answer.headers
            self.model.objects[key].clear()
        else:
            assert answer.headers["x-amz-delete-marker"] == "true"
            self._wrote(key, answer, None)
        self._read(1 - via, key, None)

    @rule(via=fronts, key=keys, chosen=which)
    def delete_version(self, via: int, key: str, chosen: int | str) -> None:
        version = self._id(key, chosen)
        answer = self._send(via, "DELETE", f"/{key}?versionId={version}")
        assert (answer.status, answer.headers["x-amz-version-id"]) == (204, version)
        removed = self.model.remove(key, version)
        was_marker = removed is not None and removed.body is None
        assert answer.headers.get("x-amz-delete-marker") == ("true" if was_marker else None)
        self._read(1 - via, key, None)

    @rule(via=fronts, entries=st.lists(st.tuples(keys, st.one_of(st.none(), which)), max_size=5))
    def delete_many(self, via: int, entries: list[tuple[str, int | str | None]]) -> None:
        if not entries:
            return
        wanted = [
            (key, None if chosen is None else self._id(key, chosen)) for key, chosen in entries
        ]
        rows = "".join(
            f"<Object><Key>{key}</Key>"
            + ("" if version is None else f"<VersionId>{version}</VersionId>")
            + "</Object>"
            for key, version in wanted
        )
        body = f"<Delete>{rows}</Delete>".encode()
        answer = self._send(via, "POST", "?delete", body, {"Content-MD5": md5_base64(body)})
        deleted = list(answer.xml)
        wanted = list(dict.fromkeys(wanted))  # what is there twice is done, and answered, once
        assert [node.tag for node in deleted] == ["Deleted"] * len(wanted)
        for node, (key, version) in zip(deleted, wanted, strict=True):
            assert (node.findtext("Key"), node.findtext("VersionId")) == (key, version)
            marker = node.findtext("DeleteMarkerVersionId")
            if version is not None:
                removed = self.model.remove(key, version)
                was_marker = removed is not None and removed.body is None
                assert marker == (version if was_marker else None)
            elif self.model.state is None:
                assert marker is None
                self.model.objects[key].clear()
            else:
                assert marker is not None
                self.model.put(key, Made(marker, None))

    # -- reads ----------------------------------------------------------------------------------

    @rule(via=fronts, key=keys, chosen=st.one_of(st.none(), which))
    def read(self, via: int, key: str, chosen: int | str | None) -> None:
        self._read(via, key, None if chosen is None else self._id(key, chosen))

    @rule(via=fronts, key=keys, chosen=which)
    def read_tags(self, via: int, key: str, chosen: int | str) -> None:
        version = self._id(key, chosen)
        made = self.model.find(key, version)
        if made is not None and made.body is not None:
            answer = self._send(via, "GET", f"/{key}?tagging&versionId={version}").xml
            tags = {node.findtext("Key"): node.findtext("Value") for node in answer.iter("Tag")}
            assert tags == made.tags

    @rule(via=fronts, size=st.integers(1, 4), delimiter=st.sampled_from(["", "/"]))
    def list_objects(self, via: int, size: int, delimiter: str) -> None:
        current = [key for key in KEYS if self.model.current(key) is not None]
        expected = current
        if delimiter:
            expected = list(dict.fromkeys(key[:2] if "/" in key else key for key in current))
        for form in ("", "list-type=2&"):
            found: list[str] = []
            after = ""
            while True:
                marker = "start-after" if form else "marker"
                asked = f"?{form}max-keys={size}&delimiter={delimiter}&{marker}={after}"
                page = self._send(via, "GET", asked).xml
                found += [node.text or "" for node in page.findall("Contents/Key")]
                found += [node.text or "" for node in page.findall("CommonPrefixes/Prefix")]
                if page.findtext("IsTruncated") != "true":
                    break
                after = max(found)
            assert sorted(found) == expected

    @rule(via=fronts, size=st.integers(1, 5))
    def list_versions(self, via: int, size: int) -> None:
        self._list_versions(via, size)

    def _list_versions(self, via: int, size: int) -> None:
        found: list[tuple[Any, ...]] = []
        marker = ""
        while True:
            page = self._send(via, "GET", f"?versions&max-keys={size}{marker}").xml
            for node in page:
                if node.tag in ("Version", "DeleteMarker"):
                    row = [node.findtext(name) for name in ("Key", "VersionId", "IsLatest", "ETag")]
                    found.append((node.tag, *row))
            if page.findtext("IsTruncated") != "true":
                break
            marker = f"&key-marker={page.findtext('NextKeyMarker')}"
            marker += f"&version-id-marker={page.findtext('NextVersionIdMarker')}"
        assert found == list(self._rows())

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for key in KEYS:
            for index, made in enumerate(self.model.objects[key]):
                latest = "true" if index == 0 else "false"
                if made.body is None:
                    yield "DeleteMarker", key, made.id, latest, None
                else:
                    yield "Version", key, made.id, latest, f'"{md5_hex(made.body)}"'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    options = {"deleteDelaySeconds": 0, "multipartMinPartSizeBytes": 1}
    with cluster(tmp_path_factory.mktemp("versioned"), fronts=2, settings=options) as started:
        yield started


@pytest.mark.timeout(7200 if SOAK else 300)
def test_histories(running: Cluster) -> None:
    clients = [ObjectClient(front) for front in running.fronts]

    class OfThisCluster(VersionedApi):
        def __init__(self) -> None:
            super().__init__(running, clients)

    run_state_machine_as_test(
        OfThisCluster,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # To shrink a history over real processes takes minutes; its steps are printed anyway.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert_metadata_is_well(running.folder / "metadata")
    buckets = [f"history-{number}" for number in range(next(_numbers))]
    records = stored_records(running, buckets)
    expected = {blob for level in records.values() for blob in blobs_of(level)}
    wait_for(lambda: stored_blobs(running) == expected, "no bytes but those of versions", 20)
