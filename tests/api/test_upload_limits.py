"""AWS's limits of uploads by parts, just inside and just outside: see test_limits."""

from __future__ import annotations

import pytest

from tests.api.support import new_name
from tests.api.test_limits import LARGEST, assert_refused, no_integer, not_between
from tests.api.understood import assert_understood
from tests.raw_http import call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

PART_NUMBER = "Part number must be an integer between 1 and 10000, inclusive"


@pytest.fixture(scope="module")
def upload(front: Front) -> str:
    """The target of an upload with a part, in a bucket with the object ``source``."""
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    assert call(front, "PUT", f"/{bucket}/source", b"0123456789").status == 200
    begun = call(front, "POST", f"/{bucket}/key?uploads")
    target = f"/{bucket}/key?uploadId={begun.xml.findtext('UploadId')}"
    assert call(front, "PUT", f"{target}&partNumber=3", b"part").status == 200
    return target


# --- ListParts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "said"), [(0, 0), (1, 1), (1000, 1000), (1001, 1000)])
def test_a_page_has_at_most_a_thousand_parts(
    front: Front, upload: str, sent: int, said: int
) -> None:
    response = call(front, "GET", f"{upload}&max-parts={sent}")
    assert response.xml.findtext("MaxParts") == str(said)
    assert_understood("ListParts", response)


@pytest.mark.parametrize("marker", ["", "0", "2", "3", "10000", str(LARGEST)])
def test_parts_behind_a_marker(front: Front, upload: str, marker: str) -> None:
    response = call(front, "GET", f"{upload}&part-number-marker={marker}")
    assert response.xml.findtext("PartNumberMarker") == (marker or "0")
    numbers = [node.text for node in response.xml.iterfind("Part/PartNumber")]
    assert numbers == (["3"] if int(marker or 0) < 3 else [])


@pytest.mark.parametrize("name", ["max-parts", "part-number-marker"])
def test_counts_and_markers_of_parts_are_integers(front: Front, upload: str, name: str) -> None:
    for value in ("x", "1.5", str(LARGEST + 1)):
        assert_refused(call(front, "GET", f"{upload}&{name}={value}"), no_integer(name, value))
    assert_refused(call(front, "GET", f"{upload}&{name}=-1"), not_between(name, "-1", 0))
