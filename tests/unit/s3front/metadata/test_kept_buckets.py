"""Bucket records that are kept: so many, of so many bytes, the least recently used go first."""

from __future__ import annotations

import tracemalloc

import orjson

from s3front.authz.bucket_policies import bucket_policy
from s3front.metadata.gateway import Known
from s3front.metadata.kept_buckets import KeptBucket, KeptBuckets, StoredBucket, memory_of
from s3front.metadata.kept_records import RecentKeys
from shared.records.bucket import BucketRecord


def kept_bucket(name: str, revision: int = 1, size: int = 10) -> KeptBucket:
    bucket = StoredBucket(BucketRecord({"name": name, "owner": "id"}), revision, name)
    return KeptBucket(bucket, Known(revision, 1), size)


def filled(buckets: KeptBuckets, *names: str, size: int = 10) -> KeptBuckets:
    for name in names:
        buckets.keep(name, kept_bucket(name, size=size))
    return buckets


def kept_names(buckets: KeptBuckets, *names: str) -> list[str]:
    return [name for name in names if buckets.get(name) is not None]


def test_nothing_is_kept_at_first() -> None:
    assert KeptBuckets().get("a") is None


def test_the_least_recently_used_goes_when_there_are_too_many() -> None:
    buckets = filled(KeptBuckets(entries_max=2), "a", "b")
    buckets.get("a")
    filled(buckets, "c")
    assert kept_names(buckets, "a", "b", "c") == ["a", "c"]


def test_as_many_go_as_take_the_room_of_a_new_one() -> None:
    buckets = filled(KeptBuckets(bytes_max=100), "a", "b", "c", size=30)
    filled(buckets, "d", size=60)
    assert kept_names(buckets, "a", "b", "c", "d") == ["c", "d"]


def test_a_newer_record_takes_the_room_of_the_old_one() -> None:
    buckets = filled(KeptBuckets(bytes_max=100), "a", "b", size=50)
    buckets.keep("a", kept_bucket("a", revision=2, size=50))
    found = buckets.get("a")
    assert found is not None
    assert found.bucket.revision == 2
    assert kept_names(buckets, "a", "b") == ["a", "b"]


def test_one_that_is_too_large_is_not_kept_nor_what_it_replaces() -> None:
    buckets = filled(KeptBuckets(bytes_max=100), "a", "b")
    buckets.keep("a", kept_bucket("a", revision=2, size=101))
    assert kept_names(buckets, "a", "b") == ["b"]


def test_what_is_forgotten_takes_no_room() -> None:
    buckets = filled(KeptBuckets(bytes_max=100), "a", size=100)
    buckets.forget("a")
    buckets.forget("a")
    filled(buckets, "b", "c", size=50)
    assert kept_names(buckets, "a", "b", "c") == ["b", "c"]


def test_a_key_is_asked_for_again_until_many_others_were() -> None:
    recent: RecentKeys[str] = RecentKeys(2)
    assert [recent.again(key) for key in "abab"] == [False, False, True, True]
    assert [recent.again(key) for key in "cab"] == [False, False, False]


def test_what_is_compiled_of_policies_counts() -> None:
    plain = BucketRecord({"name": "a", "owner": "id"})
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["*a?"] * 1_000}
    with_policy = BucketRecord({**plain.document, "bucketPolicy": {"Statement": [denial]}})
    tracemalloc.start()
    try:
        kept = BucketRecord(orjson.loads(orjson.dumps(with_policy.document)))
        found = bucket_policy(kept)
        assert found is not None
        assert found.compiled.statements
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < memory_of(with_policy) < 4 * taken
    assert 0 < memory_of(plain) < 5_000
