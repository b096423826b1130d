"""A bucket gets another owner while a request to it is under way, which was allowed before.

The request has been asked for its body, so it was decided on; the commit finds another bucket than
that, and whether it is allowed is decided again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.records.names import METASTORE
from tests.api.support import CANONICAL_ID, md5_base64, new_name
from tests.faults.stores import call_metadata, stored_records
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import Response, call, connected, sign
from tests.servers import Cluster, Front

DELETE = b"<Delete><Object><Key>key</Key></Object></Delete>"
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

GiveTo = Callable[[str], None]


@pytest.fixture
def place(front: Front) -> str:
    """A bucket with an object, ``key``."""
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    assert call(front, "PUT", f"/{bucket}/key", b"before").status == 200
    return bucket


@pytest.fixture
def give_to(shared_cluster: Cluster, place: str) -> Iterator[GiveTo]:
    """Makes an account the owner of the place; in the end it is again who it was."""

    def give(owner: str) -> None:
        record: dict[str, Any] = stored_records(shared_cluster, [METASTORE])[METASTORE][place]
        changed = json.dumps(record | {"owner": owner})
        call_metadata(shared_cluster, "put", [place, changed, {}], [METASTORE])

    yield give
    give(CANONICAL_ID)


def answer(front: Front, method: str, target: str, body: bytes, meanwhile: GiveTo) -> Response:
    """Send a request whose body comes when its bucket is another's."""
    headers = {"Expect": "100-continue", "Content-MD5": md5_base64(body)}
    request = sign(front, method, target, body, headers)
    with connected(front) as connection:
        connection.send(replace(request, body=b""))
        assert connection.receive_interim() == 100
        meanwhile("somebody else")
        connection.send(body)
        return connection.receive(method)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PUT", "/key", b"after"),
        ("PUT", "/new", b"after"),
        ("PUT", "/key?tagging", TAGGING),
        ("PUT", "?versioning", VERSIONING),
    ],
)
def test_it_is_refused(
    front: Front, place: str, give_to: GiveTo, method: str, target: str, body: bytes
) -> None:
    error = answer(front, method, f"/{place}{target}", body, give_to).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    give_to(CANONICAL_ID)
    assert call(front, "GET", f"/{place}/key").body == b"before"
    assert call(front, "GET", f"/{place}/new").status == 404
    assert call(front, "GET", f"/{place}/key?tagging").xml.find("TagSet/Tag") is None
    assert call(front, "GET", f"/{place}?versioning").xml.findtext("Status") is None


@pytest.mark.usefixtures("undisturbed")
def test_each_key_is_refused(front: Front, place: str, give_to: GiveTo) -> None:
    response = answer(front, "POST", f"/{place}?delete", DELETE, give_to)
    assert [node.text for node in response.xml.iter("Code")] == ["AccessDenied"]
    give_to(CANONICAL_ID)
    assert call(front, "GET", f"/{place}/key").body == b"before"


@pytest.mark.usefixtures("undisturbed")
def test_a_completion_is_refused_and_can_be_repeated(
    front: Front, place: str, give_to: GiveTo
) -> None:
    def send(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        return call(front, method, target, body, headers)

    upload_id = begin_upload(send, f"/{place}/key")
    assert send_part(send, f"/{place}/key", upload_id, 1, b"after").status == 200
    target, document = f"/{place}/key?uploadId={upload_id}", completion({1: b"after"})
    error = answer(front, "POST", target, document, give_to).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    give_to(CANONICAL_ID)
    assert call(front, "GET", f"/{place}/key").body == b"before"
    assert call(front, "POST", target, document).status == 200
    assert call(front, "GET", f"/{place}/key").body == b"after"
