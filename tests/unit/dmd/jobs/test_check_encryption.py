"""What ``dmd check --encryption`` counts, and which keys it misses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmd.jobs.check_encryption import check_encryption, keys_of_file, needed_keys
from dmd.jobs.errors import JobError
from dmd.metadata.engines.memory import MemoryEngine
from s3front.encryption.key_wrapping import SCHEME
from shared.records.encrypted import TWOFOLD_SCHEME, shown_key
from tests.unit.dmd.jobs.test_check import put

MASTER = "0123456789abcdef" * 4


def stretch(key: str | None, **members: Any) -> dict[str, Any]:
    plain = {"key": "0" * 40, "size": 1, "start": 0, "dataStoreType": "file"}
    sealed = {"cryptoScheme": TWOFOLD_SCHEME, "masterKeyId": key, "cipheredDataKey": "a"}
    return {**plain, **({} if key is None else sealed), **members}


def record(*stretches: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"location": list(stretches), **members}


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    made = MemoryEngine()
    encrypted = {"x-amz-server-side-encryption": "AES256"}
    originals = {"cryptoScheme": 1, "cipheredDataKey": "a"}
    put(made, ["bucket"], {
        "plain": record(stretch(None)),
        "empty": {"location": None, **encrypted},
        "two": record(stretch("file:a"), stretch("file:b"), **encrypted),
        "customers": record(stretch("customer")),
        "away": record(stretch(None, dataStoreType="aws_s3"), **encrypted),
        "wrong": record(stretch(None), **encrypted),
        "original": record(
            stretch(None, **originals),
            **encrypted,
            **{"x-amz-server-side-encryption-aws-kms-key-id": MASTER},
        ),
    })  # fmt: skip
    put(made, ["mpuShadowBucketbucket"], {
        "overview..|..key..|..id": {"key": "key", **encrypted},
        "id..|..00001": {"partLocations": [stretch("file:a")]},
        "closing..|..other": {"taken": [1]},
    })  # fmt: skip
    put(made, ["..masterKeys"], {"file:a": {}, "file:old": {}})
    put(made, ["..deletions"], {"0": record(stretch("file:gone"))})
    yield made
    made.close()


def test_stretches_are_counted_by_what_protects_them(engine: MemoryEngine) -> None:
    found = check_encryption(engine, lambda _count: None)
    assert [(row["scheme"], row["key"], row["stretches"]) for row in found.rows()] == [
        ("plain", "", 3),
        ("cloudserver", shown_key(MASTER), 1),
        ("twofold-1", "customer", 1),
        ("twofold-1", "file:a", 2),
        ("twofold-1", "file:b", 1),
    ]
    assert MASTER not in json.dumps(found.rows())
    assert found.used == {"file:a", "file:old"}


class TestKeysThatABackupNeeds:
    def store(self, *named: str) -> MemoryEngine:
        engine = MemoryEngine()
        put(engine, ["bucket"], {name: record(stretch(name)) for name in named})
        put(engine, ["..masterKeys"], {
            "file:a": {"used": "2026-01-02T00:00:00Z"},
            "file:b": {"used": "2026-01-03T00:00:00Z"},
            "file:c": {"used": "2026-01-01T00:00:00Z"},
        })  # fmt: skip
        return engine

    def test_those_that_its_records_name(self) -> None:
        assert needed_keys(self.store("file:b", "file:c")) == {"file:b", "file:c"}
        assert needed_keys(self.store("file:a", "file:b", "file:c")) == {
            "file:a",
            "file:b",
            "file:c",
        }

    def test_the_one_that_came_last_before_an_object_has_it(self) -> None:
        assert needed_keys(self.store()) == {"file:b"}

    def test_none_where_none_was_ever_used(self) -> None:
        engine = MemoryEngine()
        put(engine, ["bucket"], {"key": record(stretch("customer"))})
        assert needed_keys(engine) == set()

    def test_those_of_parts(self, engine: MemoryEngine) -> None:
        assert needed_keys(engine) == {"file:a"}

    def test_those_of_secrets(self) -> None:
        engine = self.store()
        put(engine, ["..iam"], {
            "version": {"number": 2},
            "key/AKIA": {"id": "AKIA", "secret": {"masterKeyId": "file:a", "sealed": "a"}},
            "sessions": {"keys": [{"id": "1", "secret": {"masterKeyId": "file:c"}}]},
        })  # fmt: skip
        assert needed_keys(engine) == {"file:a", "file:b", "file:c"}

    def test_all_that_were_used_where_a_record_cannot_be_read(self) -> None:
        engine = self.store("file:a")
        put(engine, ["bucket"], {"damaged": {}})
        assert needed_keys(engine) == {"file:a", "file:b", "file:c"}


def test_keys_that_the_file_lacks_and_plain_bytes_are_problems(engine: MemoryEngine) -> None:
    found = check_encryption(engine, lambda _count: None)
    problems = [(each.kind, each.key, each.text) for each in found.problems({"file:a"})]
    plain = "its record says that it is encrypted, and its bytes are stored as they are"
    assert problems == [
        ("plain-bytes", "wrong", plain),
        (
            "missing-key",
            "",
            "the key file lacks file:b: 1 stretches cannot be read, of 'bucket/two' first",
        ),
        ("missing-key", "", "the key file lacks file:old, which was used; no record names it now"),
    ]
    assert [each.kind for each in found.problems(None)] == ["plain-bytes"]


def test_of_a_key_file_the_names_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    path.write_text(json.dumps({"keys": [{"id": "a", "secret": "s"}, {"id": "b"}]}))
    assert keys_of_file(path) == {"file:a"}
    path.write_text("{}")
    with pytest.raises(JobError, match="this is no key file"):
        keys_of_file(path)


def test_the_name_of_the_scheme_is_that_of_who_writes_it() -> None:
    assert TWOFOLD_SCHEME == SCHEME


def test_secrets_of_identities_are_counted() -> None:
    engine = MemoryEngine()
    sealed = {"masterKeyId": "file:a", "sealed": "a"}
    put(engine, ["..iam"], {
        "account/1": {"id": "1", "accessKeys": []},
        "key/AKIA1": {"id": "AKIA1", "secret": sealed},
        "key/AKIA2": {"id": "AKIA2", "secret": {**sealed, "masterKeyId": "file:b"}},
        "sessions": {"keys": [{"id": "1", "secret": sealed}]},
    })  # fmt: skip
    found = check_encryption(engine, lambda _count: None)
    assert [tuple(row.values()) for row in found.rows()] == [
        ("secret", "file:a", 2),
        ("secret", "file:b", 1),
    ]
    (problem,) = found.problems({"file:a"})
    assert "file:b" in problem.text
    assert "..iam/key/AKIA2" in problem.text
    engine.close()
