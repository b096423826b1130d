"""The version state machine, decision by decision, over a plain dict.

The cases and texts are those of reference/dmd-wire.md, section 6; versions of one key in the order
of their age are called NEWEST, NEWER, OLDER and OLDEST.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from dmd.metadata.versioned_writes import (
    Decision,
    DeleteVersion,
    PutVersion,
    RepairMaster,
    VersionIds,
    decide,
    delete_request,
    is_placeholder,
    newest,
    put_request,
    version_id_in,
)
from shared.errors import ServiceError
from shared.version_id import infinite, make

NEWEST, NEWER, OLDER, OLDEST = (f"9820466694446599999{digit}RG001  " for digit in "6789")
INFINITE = "99999999999999999999RG001  "
MADE = "98204666944464999999RG001  0"
"""The first ID that is made here; it is newer than the others."""

MADE_TICK = 1795333055535 * 10**6


class Store:
    """Records by key, as text, in the order of their keys."""

    def __init__(self, records: dict[str, str] | None = None) -> None:
        self.records = records or {}
        self._made = count()
        self.ids = VersionIds(self._next, infinite("RG001"))
        self.last: Decision | None = None

    def _next(self) -> str:
        number = next(self._made)
        return make(MADE_TICK + number, "RG001", str(number))

    def get(self, key: bytes) -> bytes | None:
        record = self.records.get(key.decode())
        return None if record is None else record.encode()

    def range(self, lower: bytes, upper: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.records, key=str.encode):
            if lower <= key.encode() < upper:
                yield key.encode(), self.records[key].encode()

    def _apply(self, decision: Decision) -> str | None:
        self.last = decision
        for key, record in decision.changes.items():
            if record is None:
                self.records.pop(key.decode(), None)
            else:
                self.records[key.decode()] = record.decode()
        return decision.version_id

    def put(self, record: str, version_id: str | None = None, **options: Any) -> str | None:
        request = PutVersion(b"k", record.encode(), version_id, **options)
        return self._apply(decide(self, request, self.ids))

    def delete(self, version_id: str, **options: Any) -> str | None:
        return self._apply(decide(self, DeleteVersion(b"k", version_id, **options), self.ids))

    def repair(self) -> None:
        assert self._apply(decide(self, RepairMaster(b"k"), self.ids)) is None


def placeholder(version_id: str) -> str:
    """What the original stores for a master that was deleted."""
    return f'{{ "isPHD": true, "versionId": "{version_id}" }}'


def of(version_id: str, members: str = "") -> str:
    """A record with a version ID and further members."""
    return f'{{"n":"{version_id[:20]}","versionId":"{version_id}"{members}}}'


NULL_MARK = ',"isNull":true'
NULL2_MARKS = ',"isNull2":true,"isNull":true'


# -- new versions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{}", f'{{"versionId":"{MADE}"}}'),
        ("{ }", f'{{ "versionId":"{MADE}"}}'),
        ('{"a":1}', f'{{"a":1,"versionId":"{MADE}"}}'),
        ('{"a":{}}', f'{{"a":{{}},"versionId":"{MADE}"}}'),
        ('{"a": 1.0 }\n', f'{{"a": 1.0 ,"versionId":"{MADE}"}}'),
        ('{"a":"\\u00e9é"}', f'{{"a":"\\u00e9é","versionId":"{MADE}"}}'),
    ],
)
def test_the_id_of_a_new_version_is_appended_to_its_text(value: str, expected: str) -> None:
    store = Store()
    assert store.put(value) == MADE
    assert store.records == {"k": expected, f"k\0{MADE}": expected}


def test_every_version_has_an_id_of_its_own() -> None:
    store = Store()
    first, second = store.put("{}"), store.put("{}")
    assert first is not None
    assert second is not None
    assert second < first
    assert set(store.records) == {"k", f"k\0{first}", f"k\0{second}"}
    assert version_id_in(store.records["k"].encode()) == second


def test_a_put_of_the_master_alone_has_an_id_too() -> None:
    store = Store({"k": of(OLDER), f"k\0{OLDER}": of(OLDER), "k\0": of(OLDEST)})
    assert store.put('{"n":1}', "") == MADE
    assert store.records == {
        "k": f'{{"n":1,"versionId":"{MADE}"}}',
        f"k\0{OLDER}": of(OLDER),
        "k\0": of(OLDEST),
    }


def test_a_put_of_the_master_alone_can_remove_the_null_key() -> None:
    store = Store({"k\0": of(OLDEST)})
    store.put("{}", "", delete_null_key=True)
    assert set(store.records) == {"k"}


def test_a_put_of_the_null_key_leaves_the_master() -> None:
    store = Store({"k": of(OLDER)})
    assert store.put("as it is", "null") == "null"
    assert store.records == {"k": of(OLDER), "k\0": "as it is"}


# -- a put of a version that has an ID ----------------------------------------------------------


@pytest.mark.parametrize("is_null", [None, False])
def test_the_first_version_is_the_master(is_null: bool | None) -> None:
    store = Store()
    assert store.put(of(OLDER), OLDER, is_null=is_null) == OLDER
    assert store.records == {"k": of(OLDER), f"k\0{OLDER}": of(OLDER)}


def test_a_null_version_is_the_master_alone() -> None:
    store = Store()
    store.put(of(OLDER, NULL2_MARKS), OLDER, is_null=True)
    assert store.records == {"k": of(OLDER, NULL2_MARKS)}


@pytest.mark.parametrize("is_null", [None, False])
def test_a_newer_version_becomes_the_master(is_null: bool | None) -> None:
    store = Store({"k": of(OLDER), f"k\0{OLDER}": of(OLDER)})
    store.put(of(NEWER), NEWER, is_null=is_null)
    assert store.records == {
        "k": of(NEWER),
        f"k\0{NEWER}": of(NEWER),
        f"k\0{OLDER}": of(OLDER),
    }


@pytest.mark.parametrize("is_null", [None, False])
def test_a_change_of_the_latest_version_changes_the_master(is_null: bool | None) -> None:
    store = Store({"k": of(NEWER), f"k\0{NEWER}": of(NEWER)})
    changed = of(NEWER, ',"tags":{}')
    store.put(changed, NEWER, is_null=is_null)
    assert store.records == {"k": changed, f"k\0{NEWER}": changed}


@pytest.mark.parametrize("is_null", [None, False])
def test_an_older_version_leaves_the_master(is_null: bool | None) -> None:
    store = Store({"k": of(NEWER), f"k\0{NEWER}": of(NEWER)})
    store.put(of(OLDER), OLDER, is_null=is_null)
    assert store.records == {
        "k": of(NEWER),
        f"k\0{NEWER}": of(NEWER),
        f"k\0{OLDER}": of(OLDER),
    }


def test_a_newer_null_version_takes_the_place_of_an_older_one() -> None:
    store = Store({"k": of(OLDER), f"k\0{OLDER}": of(OLDER), "k\0": of(OLDEST, NULL2_MARKS)})
    store.put(of(NEWER, NULL2_MARKS), NEWER, is_null=True)
    assert store.records == {"k": of(NEWER, NULL2_MARKS), f"k\0{OLDER}": of(OLDER)}


def test_a_null_version_takes_the_place_of_a_null_master() -> None:
    store = Store({"k": of(OLDER, NULL2_MARKS), "k\0": "kept"})
    store.put(of(NEWER, NULL2_MARKS), NEWER, is_null=True)
    assert store.records == {"k": of(NEWER, NULL2_MARKS), "k\0": "kept"}


def test_an_older_null_version_goes_to_the_null_key() -> None:
    store = Store({"k": of(NEWER), f"k\0{OLDER}": of(OLDER, NULL_MARK)})
    store.put(of(OLDER, NULL2_MARKS), OLDER, is_null=True)
    assert store.records == {"k": of(NEWER), "k\0": of(OLDER, NULL2_MARKS)}


def test_an_older_null_version_below_a_null_master_is_nothing() -> None:
    store = Store({"k": of(NEWER, NULL_MARK)})
    assert store.put(of(OLDER, NULL2_MARKS), OLDER, is_null=True) == OLDER
    assert store.records == {"k": of(NEWER, NULL_MARK)}


# -- null masters that are preserved --------------------------------------------------------------


def test_a_legacy_client_has_a_master_without_an_id_preserved_as_a_version() -> None:
    store = Store({"k": '{"n":0}'})
    store.put('{"n":1}', NEWER)
    assert store.records == {
        "k": f'{{"n":1,"nullVersionId":"{INFINITE}"}}',
        f"k\0{NEWER}": '{"n":1}',
        f"k\0{INFINITE}": f'{{"n":0,"versionId":"{INFINITE}","isNull":true}}',
    }


def test_a_client_that_knows_null_keys_has_it_preserved_there() -> None:
    store = Store({"k": '{"n":0}'})
    store.put('{"n":1}', NEWER, is_null=False)
    assert store.records == {
        "k": '{"n":1}',
        f"k\0{NEWER}": '{"n":1}',
        "k\0": f'{{"n":0,"versionId":"{INFINITE}","isNull2":true,"isNull":true}}',
    }


def test_a_null_version_takes_the_place_of_a_master_without_an_id() -> None:
    store = Store({"k": '{"n":0}', "k\0": "kept"})
    store.put(of(NEWER, NULL2_MARKS), NEWER, is_null=True)
    assert store.records == {"k": of(NEWER, NULL2_MARKS), "k\0": "kept"}


def test_a_legacy_client_has_a_null_master_preserved_under_its_id() -> None:
    store = Store({"k": of(OLDER, NULL_MARK)})
    store.put('{"n":1,"nullVersionId":"other"}', NEWER)
    assert store.records == {
        "k": f'{{"n":1,"nullVersionId":"{OLDER}"}}',
        f"k\0{NEWER}": '{"n":1,"nullVersionId":"other"}',
        f"k\0{OLDER}": of(OLDER, NULL_MARK),
    }


def test_a_null_master_of_an_older_client_moves_from_its_version_to_the_null_key() -> None:
    store = Store({"k": of(OLDER, NULL_MARK), f"k\0{OLDER}": of(OLDER, NULL_MARK)})
    store.put(of(NEWER), NEWER, is_null=False)
    assert store.records == {
        "k": of(NEWER),
        f"k\0{NEWER}": of(NEWER),
        "k\0": of(OLDER, NULL_MARK + ',"isNull2":true'),
    }


def test_a_null_master_that_is_marked_already_is_moved_as_it_is() -> None:
    store = Store({"k": of(OLDER, NULL2_MARKS)})
    store.put(of(NEWER), NEWER, is_null=False)
    assert store.records["k\0"] == of(OLDER, NULL2_MARKS)


def test_a_null_master_that_is_marked_already_has_no_copy_that_could_be_removed() -> None:
    store = Store({"k": of(OLDER, NULL2_MARKS), f"k\0{OLDER}": of(OLDER)})
    store.put(of(NEWER), NEWER, is_null=False)
    assert store.records[f"k\0{OLDER}"] == of(OLDER)


def test_a_mark_that_says_otherwise_is_changed() -> None:
    store = Store({"k": '{"isNull": false, "n": 1e2, "é": "\\ud83d\\ude00"}'})
    store.put(of(NEWER), NEWER, is_null=False)
    assert store.records["k\0"] == (
        '{"isNull":true,"n":100.0,"\\u00e9":"\\ud83d\\ude00",'
        f'"versionId":"{INFINITE}","isNull2":true}}'
    )


def test_a_change_of_a_null_master_by_its_own_client_changes_it_alone() -> None:
    store = Store({"k": of(NEWER, NULL_MARK), f"k\0{NEWER}": of(NEWER, NULL_MARK)})
    changed = of(NEWER, NULL2_MARKS + ',"tags":{}')
    store.put(changed, NEWER, is_null=True)
    assert store.records == {"k": changed}


def test_a_legacy_change_of_a_null_master_is_in_the_master_and_in_its_version() -> None:
    store = Store({"k": of(NEWER, NULL_MARK)})
    changed = of(NEWER, NULL_MARK + ',"tags":{}')
    store.put(changed, NEWER)
    assert store.records == {"k": changed, f"k\0{NEWER}": changed}


def test_a_master_that_is_no_object_is_replaced() -> None:
    store = Store({"k": "some text"})
    store.put(of(NEWER), NEWER)
    assert store.records[f"k\0{NEWER}"] == of(NEWER)
    assert version_id_in(store.records["k"].encode()) == NEWER


# -- deletions ----------------------------------------------------------------------------------


def three_versions() -> Store:
    return Store({
        "k": of(NEWEST),
        f"k\0{NEWEST}": of(NEWEST),
        f"k\0{NEWER}": of(NEWER),
        f"k\0{OLDER}": of(OLDER),
        "k2": "another",
        "k\x01": "another",
    })  # fmt: skip


def test_the_version_before_becomes_the_master() -> None:
    store = three_versions()
    assert store.delete(NEWEST) == NEWEST
    assert store.records == {
        "k": of(NEWER),
        f"k\0{NEWER}": of(NEWER),
        f"k\0{OLDER}": of(OLDER),
        "k2": "another",
        "k\x01": "another",
    }


def test_a_version_below_the_master_goes_alone() -> None:
    store = three_versions()
    assert store.delete(NEWER) == NEWER
    assert set(store.records) == {"k", f"k\0{NEWEST}", f"k\0{OLDER}", "k2", "k\x01"}
    assert store.records["k"] == of(NEWEST)


def test_the_last_version_takes_the_master_with_it() -> None:
    store = three_versions()
    for version_id in (OLDER, NEWEST, NEWER):
        store.delete(version_id)
    assert store.records == {"k2": "another", "k\x01": "another"}


def test_a_version_that_does_not_exist_is_deleted_without_an_error() -> None:
    store = three_versions()
    assert store.delete(OLDEST) == OLDEST
    assert store.records == three_versions().records
    assert Store().delete(OLDEST) == OLDEST


def test_the_null_key_is_deleted_alone() -> None:
    store = Store({"k": of(OLDER), "k\0": of(NEWER)})
    assert store.delete("null") == "null"
    assert store.records == {"k": of(OLDER)}


def test_a_null_version_below_the_master_is_deleted_from_the_null_key() -> None:
    store = Store({"k": of(NEWER), f"k\0{NEWER}": of(NEWER), "k\0": of(OLDER, NULL2_MARKS)})
    assert store.delete(OLDER, is_null=True) == OLDER
    assert store.records == {"k": of(NEWER), f"k\0{NEWER}": of(NEWER)}


def test_a_null_master_is_deleted() -> None:
    store = Store({"k": of(NEWER, NULL2_MARKS), f"k\0{OLDER}": of(OLDER)})
    store.delete(NEWER, is_null=True)
    assert store.records == {"k": of(OLDER), f"k\0{OLDER}": of(OLDER)}


@pytest.mark.parametrize(
    ("null_id", "expected", "left"),
    [
        (NEWER, of(NEWER, NULL2_MARKS), {f"k\0{OLDER}"}),
        (OLDEST, of(OLDER), {f"k\0{OLDER}", "k\0"}),
    ],
)
def test_a_null_version_has_its_place_among_the_others(
    null_id: str, expected: str, left: set[str]
) -> None:
    store = Store({
        "k": of(NEWEST),
        "k\0": of(null_id, NULL2_MARKS),
        f"k\0{NEWEST}": of(NEWEST),
        f"k\0{OLDER}": of(OLDER),
    })  # fmt: skip
    store.delete(NEWEST)
    assert store.records["k"] == expected
    assert set(store.records) == {"k", *left}


def test_a_null_version_that_is_left_alone_becomes_the_master() -> None:
    store = Store({"k": of(NEWER), f"k\0{NEWER}": of(NEWER), "k\0": '{"isNull":true}'})
    store.delete(NEWER)
    assert store.records == {"k": '{"isNull":true}'}


@pytest.mark.parametrize("is_null", [False, True])
def test_no_copy_of_a_deleted_version_comes_back(is_null: bool) -> None:
    null = of(NEWER, NULL_MARK)
    store = Store({"k": null, "k\0": null, f"k\0{NEWER}": null})
    store.delete(NEWER, is_null=is_null)
    assert store.records == {}


# -- placeholders for deletion --------------------------------------------------------------------


def left_behind() -> Store:
    """What the original leaves when a latest version was deleted a moment ago."""
    return Store({
        "k": placeholder(NEWEST),
        f"k\0{NEWER}": of(NEWER),
        f"k\0{OLDER}": of(OLDER),
    })  # fmt: skip


def test_the_newest_version_takes_the_place_of_a_placeholder() -> None:
    store = left_behind()
    assert newest(store, b"k") == of(NEWER).encode()
    store.repair()
    assert store.records["k"] == of(NEWER)
    repaired = dict(store.records)
    store.repair()
    assert store.records == repaired


def test_nothing_takes_the_place_of_a_placeholder_without_versions() -> None:
    store = Store({"k": placeholder(NEWEST)})
    assert newest(store, b"k") is None
    store.repair()
    assert store.records == {}


def test_a_null_version_that_replaces_a_placeholder_leaves_the_null_key() -> None:
    store = Store({"k": placeholder(NEWEST), "k\0": of(OLDER, NULL2_MARKS)})
    store.repair()
    assert store.records == {"k": of(OLDER, NULL2_MARKS)}


def test_repairing_what_is_no_placeholder_changes_nothing() -> None:
    store = three_versions()
    store.repair()
    assert store.records == three_versions().records
    Store().repair()


def test_a_put_of_an_older_version_repairs_the_master() -> None:
    store = left_behind()
    store.put(of(OLDEST), OLDEST)
    assert store.records["k"] == of(NEWER)
    assert store.records[f"k\0{OLDEST}"] == of(OLDEST)


def test_a_put_of_the_newest_version_takes_the_place_of_a_placeholder() -> None:
    # Older than the placeholder, newer than all versions.
    store = Store({"k": placeholder(NEWEST), f"k\0{OLDER}": of(OLDER)})
    store.put(of(NEWER), NEWER)
    assert store.records["k"] == of(NEWER)


def test_a_put_on_a_placeholder_preserves_the_null_version_behind_it() -> None:
    store = Store({"k": placeholder(NEWEST), "k\0": of(OLDER, NULL2_MARKS)})
    store.put(of(NEWER), NEWER, is_null=False)
    assert store.records == {
        "k": of(NEWER),
        f"k\0{NEWER}": of(NEWER),
        "k\0": of(OLDER, NULL2_MARKS),
    }


@pytest.mark.parametrize("version_id", [NEWER, OLDER, OLDEST])
def test_a_deletion_repairs_the_master(version_id: str) -> None:
    store = left_behind()
    store.delete(version_id)
    latest = OLDER if version_id == NEWER else NEWER
    assert store.records["k"] == of(latest)
    assert f"k\0{version_id}" not in store.records


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (placeholder(NEWEST), True),
        ('{"isPHD":true}', True),
        ('{"isPHD":false}', False),
        ('{"name":"isPHD"}', False),
        ("isPHD", False),
        ("", False),
        (of(NEWEST), False),
    ],
)
def test_a_placeholder_is_told_by_its_mark(record: str, expected: bool) -> None:
    assert is_placeholder(record.encode()) is expected


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"versioning": True}, PutVersion(b"k", b"{}")),
        ({"versioning": ""}, PutVersion(b"k", b"{}")),
        ({"versioning": "yes", "versionId": None}, PutVersion(b"k", b"{}")),
        ({"versioning": True, "versionId": OLDER}, PutVersion(b"k", b"{}", OLDER)),
        ({"versionId": OLDER, "isNull": None}, PutVersion(b"k", b"{}", OLDER)),
        ({"versionId": OLDER, "isNull": False}, PutVersion(b"k", b"{}", OLDER, is_null=False)),
        ({"versionId": "", "deleteNullKey": True}, PutVersion(b"k", b"{}", "", None, True)),
        ({"versionId": "null"}, PutVersion(b"k", b"{}", "null")),
        ({}, None),
        ({"versioning": False, "versionId": None}, None),
        ({"versioning": None, "versionId": False}, None),
        ({"versioning": 0, "isNull": True, "deleteNullKey": True}, None),
    ],
)
def test_the_options_of_a_put(options: dict[str, Any], expected: PutVersion | None) -> None:
    assert put_request(b"k", b"{}", options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"versionId": ""}, None),
        ({"versionId": None, "versioning": True}, None),
        ({"versionId": OLDER}, DeleteVersion(b"k", OLDER)),
        ({"versionId": OLDER, "isNull": True}, DeleteVersion(b"k", OLDER, is_null=True)),
        ({"versionId": "null"}, DeleteVersion(b"k", "null")),
    ],
)
def test_the_options_of_a_deletion(options: dict[str, Any], expected: DeleteVersion | None) -> None:
    assert delete_request(b"k", options) == expected


def test_the_null_key_takes_any_text() -> None:
    assert put_request(b"k", b"text", {"versionId": "null"}) is not None
    with pytest.raises(ServiceError, match="JSON object"):
        put_request(b"k", b"text", {"versionId": ""})


# -- what a request is about ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version_id", "subject"),
    [
        (None, "k"),
        ("", "k"),
        ("null", "k\0"),
        (NEWEST, "k"),
        (NEWER, f"k\0{NEWER}"),
        (OLDEST, f"k\0{OLDEST}"),
    ],
)
def test_a_put_replaces_the_version_that_it_names(version_id: str | None, subject: str) -> None:
    store = Store({"k": of(NEWEST), f"k\0{NEWER}": of(NEWER)})
    store.put("{}", version_id)
    assert store.last is not None
    assert store.last.subject.decode() == subject
