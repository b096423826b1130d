"""Identities that are changed, one after the other, are as those that are read all at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from s3front.iam.identities import Identities
from s3front.iam.records import Account, Group, Record, Role, User

ACCOUNTS = ("111111111111", "222222222222")
NAMES = ("a", "B", "c")
GROUPS = ("AGPA1", "AGPA2")
POLICIES = ("arn:aws:iam::111111111111:policy/p", "arn:aws:iam::aws:policy/q")

some_policies = st.lists(st.sampled_from(POLICIES), unique=True).map(tuple)
boundary = st.none() | st.sampled_from(POLICIES)
accounts = st.sampled_from(ACCOUNTS)
names = st.sampled_from(NAMES)

users = st.builds(
    User,
    account=accounts,
    name=names,
    id=st.sampled_from(("AIDA1", "AIDA2", "AIDA3")),
    attached=some_policies,
    boundary=boundary,
    groups=st.lists(st.sampled_from(GROUPS), unique=True).map(tuple),
)
groups = st.builds(
    Group, account=accounts, name=names, id=st.sampled_from(GROUPS), attached=some_policies
)
roles = st.builds(
    Role,
    account=accounts,
    name=names,
    id=st.sampled_from(("AROA1", "AROA2")),
    trust=st.just("{}"),
    attached=some_policies,
    boundary=boundary,
)
some_accounts = st.builds(
    Account, id=accounts, name=names, email=st.just("a@x"), canonical_id=st.just("f" * 64)
)
written = (users | groups | roles | some_accounts).map(lambda record: (record.key, record))
removed = (users | groups | roles | some_accounts).map(lambda record: (record.key, None))
damaged = users.map(lambda record: (record.key, "{"))
changes = st.lists(st.one_of(written, removed, damaged), max_size=40)

KINDS: dict[str, Any] = {"user": User, "group": Group, "role": Role, "account": Account}
Shown = tuple[object, ...]


def shown(identities: Identities) -> Shown:
    """All that can be asked."""
    rooms = [f"{kind}/{each}" for kind in ("user", "group", "role") for each in ACCOUNTS]
    return (
        [identities.size(each) for each in ACCOUNTS],
        [list(identities.keys(room)) for room in (*rooms, "account")],
        [identities.attached_to(policy) for policy in POLICIES],
        [identities.bounded_by(policy) for policy in POLICIES],
        [identities.members(group) for group in GROUPS],
        sorted(account.id for account in identities.accounts()),
        sorted(identities.unreadable),
        len(identities),
    )


@given(changes)
def test_changes_come_to_the_same_as_reading_everything(
    history: list[tuple[str, Record | str | None]],
) -> None:
    changed, model = Identities(), dict[str, str]()
    for key, record in history:
        if record is None:
            model.pop(key, None)
            text = None
        else:
            text = model[key] = record if isinstance(record, str) else record.stored()
        changed.apply({key: text})
    read = Identities()
    read.replace_all(sorted(model.items()))
    assert shown(changed) == shown(read)
    for key in model:
        kind = KINDS[key.split("/")[0]]
        assert changed.get(kind, key) == read.get(kind, key)


@given(changes)
def test_who_has_a_unique_id_is_somebody_who_says_so(
    history: list[tuple[str, Record | str | None]],
) -> None:
    identities = Identities()
    for key, record in history:
        text = record.stored() if record is not None and not isinstance(record, str) else record
        identities.apply({key: text})
    for unique_id in ("AIDA1", "AIDA2", "AIDA3", "AROA1", "AGPA1"):
        whose = identities.key_of_id(unique_id)
        if whose is not None:
            found = identities.get(KINDS[whose.split("/")[0]], whose)
            assert found is not None
            assert found.id == unique_id
