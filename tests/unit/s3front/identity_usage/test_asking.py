"""What the commands about identities take names for, and how they show texts."""

from __future__ import annotations

import json

import pytest

from s3front.iam.directory import Directory
from s3front.iam.records import Account
from s3front.identity_usage.asking import accounts_named, shown_document
from tests.unit.s3front.iam.stored_identities import BART_ID, FILE_ACCOUNTS

PARTNER = Account(
    id="111111111111", name="partner", email="p@x.org", canonical_id="a" * 64, alias="the-partner"
)
STRANGER = Account(
    id="222222222222", name="Stranger", email="s@x.org", canonical_id="c" * 64, alias="stranger"
)


def directory_of(*accounts: Account) -> Directory:
    directory = Directory(FILE_ACCOUNTS)
    directory.identities.apply({each.key: each.stored() for each in accounts})
    return directory


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("partner", [PARTNER.id]),
        ("the-partner", [PARTNER.id]),
        ("P@x.org", [PARTNER.id]),
        (PARTNER.id, [PARTNER.id]),
        (PARTNER.canonical_id, [PARTNER.id]),
        ("Bart", [BART_ID]),
        ("nobody", []),
    ],
)
def test_an_account_is_found_by_what_names_it(named: str, expected: list[str]) -> None:
    found = accounts_named(directory_of(PARTNER, STRANGER), named)
    assert [account.id for account in found] == expected


@pytest.mark.parametrize("named", ["partner", "p@x.org"])
def test_a_name_that_a_stranger_has_chosen_means_two(named: str) -> None:
    """Each account chooses its alias for itself."""
    stranger = Account(
        id=STRANGER.id, name="Stranger", email="s@x.org", canonical_id="c" * 64, alias=named
    )
    found = accounts_named(directory_of(PARTNER, stranger), named)
    assert {account.id for account in found} == {PARTNER.id, STRANGER.id}


def test_an_id_means_whom_it_is_of() -> None:
    stranger = Account(
        id=STRANGER.id, name=PARTNER.id, email="s@x.org", canonical_id="c" * 64, alias="x-y-z"
    )
    found = accounts_named(directory_of(PARTNER, stranger), PARTNER.id)
    assert [account.id for account in found] == [PARTNER.id]


def test_a_document_is_shown_with_nothing_that_a_terminal_acts_upon() -> None:
    text = '{\r\n\t"Sid": "a\x9b31mb\x7f\u202e\U000e0001é\u3000"\n}'
    shown = shown_document(text)
    assert json.loads(shown) == json.loads(text)
    assert shown.startswith('{\n\t"Sid": "a\\u009b31mb\\u007f\\u202e')
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert "é" in shown
