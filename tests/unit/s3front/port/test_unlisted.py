"""What a request to a host means that nobody has configured.

``OWN`` are buckets of the sender, ``OTHERS`` those of somebody else; a table says, for each host,
method and target, where the bucket is taken from: the host, the path, or neither (refused).
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3front.port.sub_resources import SUB_RESOURCES
from s3front.port.target import Target, Undecided, parse_target
from s3front.port.unlisted import decide, names_to_look_up
from s3front.s3_errors import S3Error

ENDPOINTS = ("localhost", "s3.example.com")
OWN = {"photos", "videos", "my.bucket", "own-x"}
OTHERS = {"theirs", "their-x"}
HOST, PATH, REFUSED = "host", "path", "refused"


def undecided_of(host: str, raw_target: str = "/") -> Undecided:
    parsed = parse_target(raw_target, host, ENDPOINTS)
    assert isinstance(parsed, Undecided)
    return parsed


def decided(host: str, method: str, raw_target: str, *, anonymous: bool = False) -> Target:
    undecided = undecided_of(host, raw_target)
    names = names_to_look_up(undecided)
    buckets = {name: name in OWN and not anonymous for name in names if name in OWN | OTHERS}
    return decide(undecided, method, buckets, SUB_RESOURCES, anonymous=anonymous)


def _decided(undecided: Undecided, buckets: Mapping[str, bool]) -> Target:
    return decide(undecided, "GET", buckets, SUB_RESOURCES, anonymous=False)


def meaning(host: str, method: str, raw_target: str, *, anonymous: bool = False) -> str:
    try:
        target = decided(host, method, raw_target, anonymous=anonymous)
    except S3Error as error:
        return REFUSED if error.code == "InvalidURI" else error.code
    return HOST if target.virtual_host else PATH


METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "raw_target",
    [
        "/",
        "/?list-type=2",
        "/empty-marker",
        "/own-x",
        "/own-x/y",
        "/theirs/y",
        "/k?tagging",
        "/A_b//c",
    ],
)
def test_a_bucket_of_the_senders_in_the_host_is_the_bucket(method: str, raw_target: str) -> None:
    target = decided("photos.nas.lan", method, raw_target)
    assert (target.bucket, target.virtual_host) == ("photos", True)
    assert target.key == (raw_target.partition("?")[0][1:] or None)


@pytest.mark.parametrize(
    ("host", "method", "raw_target", "expected"),
    [
        # An existing bucket in the path, and none in the host.
        ("nas.lan", "GET", "/photos?list-type=2", PATH),
        ("nas.lan", "PUT", "/photos/a", PATH),
        ("nas.lan", "DELETE", "/photos/a", PATH),
        # An object called so, of a bucket that has gone, is no bucket.
        ("nas.lan", "DELETE", "/photos", REFUSED),
        ("nas.lan", "DELETE", "/photos/", REFUSED),
        ("gone.nas.lan", "DELETE", "/photos", REFUSED),
        ("s3.nas.lan", "DELETE", "/photos", PATH),
        ("nas.lan", "DELETE", "/theirs", PATH),
        ("nas.lan", "HEAD", "/photos", PATH),
        ("nas.lan", "PUT", "/photos?versioning", PATH),
        ("nas.lan", "POST", "/photos?delete", PATH),
        ("nas.lan", "POST", "/photos/a?uploads", PATH),
        ("nas.lan", "GET", "/theirs/a", PATH),
        # 200 would tell of an object that is not there.
        ("nas.lan", "PUT", "/photos", "BucketAlreadyOwnedByYou"),
        ("nas.lan", "PUT", "/photos/", "BucketAlreadyOwnedByYou"),
        ("nas.lan", "PUT", "/theirs", PATH),
        # Another's bucket of the host's name is no evidence.
        ("theirs.nas.lan", "DELETE", "/photos", REFUSED),
        ("theirs.nas.lan", "PUT", "/photos/a", PATH),
        ("theirs.nas.lan", "PUT", "/new", REFUSED),
        ("theirs.nas.lan", "PUT", "/", REFUSED),
        ("theirs.nas.lan", "GET", "/?list-type=2", REFUSED),
        # Neither exists.
        ("nas.lan", "PUT", "/new", REFUSED),
        ("new.nas.lan", "PUT", "/empty-marker", REFUSED),
        ("new.nas.lan", "PUT", "/", REFUSED),
        ("new.nas.lan", "PUT", "/a/b", REFUSED),
        ("new.nas.lan", "PUT", "/A_b", REFUSED),
        ("new.nas.lan", "DELETE", "/", REFUSED),
        ("new.nas.lan", "DELETE", "/gone", REFUSED),
        ("new.nas.lan", "POST", "/?delete", REFUSED),
        ("new.nas.lan", "POST", "/a?uploads", REFUSED),
        ("new.nas.lan", "GET", "/a", REFUSED),
        ("new.nas.lan", "GET", "/?list-type=2", REFUSED),
        ("new.nas.lan", "GET", "/?encoding-type=url", REFUSED),
        ("new.nas.lan", "GET", "/?location", REFUSED),
        ("new.nas.lan", "GET", "/?prefix=a&x-id=ListObjects", REFUSED),
        # What harms nobody.
        ("new.nas.lan", "GET", "/", PATH),
        ("new.nas.lan", "GET", "/?x-id=ListBuckets&max-buckets=5&prefix=a", PATH),
        ("new.nas.lan", "GET", "/?X-Amz-Signature=a&X-Amz-Expires=5", PATH),
        ("new.nas.lan", "GET", "/?AWSAccessKeyId=a&Signature=b&Expires=1", PATH),
        ("new.nas.lan", "HEAD", "/", HOST),
        ("new.nas.lan", "HEAD", "/gone", PATH),
        ("new.nas.lan", "HEAD", "/a", HOST),
        ("new.nas.lan", "OPTIONS", "/gone", PATH),
        ("new.nas.lan", "OPTIONS", "/a", HOST),
        ("new.nas.lan", "OPTIONS", "/", HOST),
        # Two labels: both may be, so none is.
        ("photos.lan", "GET", "/a", HOST),
        ("photos.lan", "PUT", "/a", HOST),
        ("photos.lan", "DELETE", "/own-x", REFUSED),
        ("photos.lan", "GET", "/own-x", REFUSED),
        ("photos.lan", "PUT", "/photos/a", REFUSED),
        # Two beginnings.
        ("my.bucket.nas.lan", "PUT", "/a", HOST),
        ("videos.my.bucket", "PUT", "/a", HOST),
        # A first label that no bucket can be called.
        ("s3.nas.lan", "PUT", "/new", PATH),
        ("s3.nas.lan", "DELETE", "/gone", PATH),
        ("s3.eu.nas.lan", "PUT", "/new", REFUSED),
        ("s3.eu.nas.lan", "PUT", "/photos/a", PATH),
    ],
)
def test_where_the_bucket_is(host: str, method: str, raw_target: str, expected: str) -> None:
    assert meaning(host, method, raw_target) == expected


def test_the_bucket_of_the_host_may_have_full_stops() -> None:
    assert decided("my.bucket.nas.lan", "PUT", "/a").bucket == "my.bucket"


def test_two_buckets_in_the_host_are_refused() -> None:
    undecided = undecided_of("photos.videos.nas.lan", "/a")
    with pytest.raises(S3Error):
        _decided(undecided, {"photos": True, "photos.videos": True})
    target = _decided(undecided, {"photos": False, "photos.videos": True})
    assert target.bucket == "photos.videos"


@pytest.mark.parametrize(
    ("host", "method", "raw_target", "expected"),
    [
        ("theirs.nas.lan", "GET", "/a", HOST),
        ("photos.nas.lan", "GET", "/a", HOST),
        ("nas.nas.lan", "GET", "/photos/a", PATH),
        # Whoever makes a bucket "nas" must not be read in the place of "photos".
        ("theirs.nas.lan", "GET", "/photos/a", REFUSED),
        ("new.nas.lan", "GET", "/", PATH),
        ("new.nas.lan", "GET", "/a", REFUSED),
        # A form is for a bucket, and its policy names it.
        ("photos.nas.lan", "POST", "/", HOST),
        ("theirs.nas.lan", "POST", "/photos", PATH),
        ("new.nas.lan", "POST", "/photos", PATH),
        ("new.nas.lan", "POST", "/", REFUSED),
    ],
)
def test_of_an_unknown_sender(host: str, method: str, raw_target: str, expected: str) -> None:
    assert meaning(host, method, raw_target, anonymous=True) == expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "raw_target", ["/", "/?list-type=2", "/new", "/own-x", "/own-x/y", "/own-x?acl"]
)
@pytest.mark.parametrize("anonymous", [False, True])
def test_the_path_is_no_new_bucket_and_no_deleted_one_by_chance(
    method: str, raw_target: str, *, anonymous: bool
) -> None:
    """Of a bucket in the host that exists, nothing is ever taken for a bucket in the path."""
    for host in ("photos.nas.lan", "photos.s3", "photos.a.b.c.d"):
        expected = (HOST, REFUSED, PATH) if method == "POST" else (HOST, REFUSED)
        assert meaning(host, method, raw_target, anonymous=anonymous) in expected


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("photos.nas.lan:8000", ("photos", "nas.lan", "photos.nas.lan")),
        ("a.photos.nas.lan", ("a.photos", "nas.lan", "a.photos.nas.lan")),
        ("nas.lan", ("nas", "lan", "nas.lan")),
    ],
)
def test_the_refusal_says_what_to_configure(host: str, named: tuple[str, str, str]) -> None:
    undecided = undecided_of(host, "/new")
    with pytest.raises(S3Error) as caught:
        decide(undecided, "PUT", {}, SUB_RESOURCES, anonymous=False)
    bucket, rest, whole = named
    message = caught.value.message
    assert f"If the bucket is {bucket}, add {rest} to restEndpoints" in message
    assert f"ENDPOINT={rest})" in message
    assert f"ENDPOINT={whole})" in message
    assert caught.value.fields == {"URI": "/new"}


@pytest.mark.parametrize(
    ("host", "candidates"),
    [
        ("photos.nas.lan", ("photos", "photos.nas")),
        ("Photos.NAS.lan.:80", ("photos", "photos.nas")),
        ("s3.nas.lan", ("s3.nas",)),
        ("192.168.0.5.nip.io", ("192", "192.168", "192.168.0", "192.168.0.5", "192.168.0.5.nip")),
    ],
)
def test_what_the_host_may_name(host: str, candidates: tuple[str, ...]) -> None:
    assert undecided_of(host).candidates == candidates


def test_what_is_looked_up() -> None:
    assert names_to_look_up(undecided_of("nas.lan", "/photos/a")) == ["nas", "photos"]
    assert names_to_look_up(undecided_of("nas.lan", "/nas/a")) == ["nas"]
    assert names_to_look_up(undecided_of("nas.lan", "/Not_A_Bucket")) == ["nas"]
    long = ".".join(["a"] * 120)
    assert len(names_to_look_up(undecided_of(long, "/x"))) <= 32


LABELS = st.text("ab-0_A\xe9", max_size=4) | st.sampled_from(
    ["photos", "nas", "lan", "s3", "xn--a"]
)


@given(
    host=st.lists(LABELS, max_size=5).map(".".join),
    method=st.sampled_from([*METHODS, "OPTIONS", "PATCH"]),
    raw_target=st.lists(LABELS, max_size=3).map("/".join),
    query=st.sampled_from(["", "?list-type=2", "?uploads", "?x-id=ListBuckets", "?delete"]),
    existing=st.data(),
    anonymous=st.booleans(),
)
def test_any_host_is_decided_or_refused(
    host: str, method: str, raw_target: str, query: str, existing: st.DataObject, *, anonymous: bool
) -> None:
    """A new bucket is never made, and a bucket of the sender's in the host never passed over."""
    raw_target = f"/{raw_target}{query}"
    undecided = parse_target(raw_target, f"bucket.{host}.lan:8000", ENDPOINTS)
    assert isinstance(undecided, Undecided)
    names = names_to_look_up(undecided)
    buckets = existing.draw(st.dictionaries(st.sampled_from(names), st.booleans()))
    try:
        target = decide(undecided, method, buckets, SUB_RESOURCES, anonymous=anonymous)
    except S3Error as error:
        assert error.status in (400, 409)  # noqa: PT017  # it may also pass
        return
    own = {name for name, own in buckets.items() if own or anonymous}
    if target.virtual_host:
        assert target.bucket in undecided.candidates
        assert target.bucket in own or method in ("HEAD", "OPTIONS")
    elif method != "POST":
        assert not own & set(undecided.candidates)
