"""All records of identities, and what is found by more than their keys."""

from __future__ import annotations

from s3front.iam.identities import Identities, size_of
from s3front.iam.records import AccessKey, Account, Group, Provider, Record, Role, User

_ACCOUNT = "123456789012"
_POLICY = f"arn:aws:iam::{_ACCOUNT}:policy/Reads"
_OTHER_POLICY = f"arn:aws:iam::{_ACCOUNT}:policy/Writes"


def _user(name: str, **members: object) -> User:
    return User(account=_ACCOUNT, name=name, id=f"AIDA{name}", **members)  # type: ignore[arg-type]


def _of(*records: Record) -> Identities:
    identities = Identities()
    identities.replace_all([(record.key, record.stored()) for record in records])
    return identities


def _put(identities: Identities, record: Record) -> None:
    identities.apply({record.key: record.stored()})


def test_names_are_found_without_regard_to_case() -> None:
    identities = _of(_user("Anna"))
    found = identities.get(User, "user/123456789012/anna")
    assert found is not None
    assert found.name == "Anna"


def test_keys_of_a_room_are_in_order_and_can_be_continued() -> None:
    identities = _of(_user("c"), _user("A"))
    _put(identities, _user("B"))
    room = f"user/{_ACCOUNT}"
    assert list(identities.keys(room)) == [f"{room}/a", f"{room}/b", f"{room}/c"]
    assert list(identities.keys(room, f"{room}/a")) == [f"{room}/b", f"{room}/c"]
    assert list(identities.keys(room, f"{room}/aa")) == [f"{room}/b", f"{room}/c"]
    assert list(identities.keys(room, f"{room}/c")) == []


def test_the_names_of_providers_have_slashes() -> None:
    provider = Provider(account=_ACCOUNT, url="login.example/realms/A")
    identities = _of(provider)
    assert list(identities.keys(f"oidc/{_ACCOUNT}")) == [provider.key]


def test_a_policy_knows_whom_it_is_attached_to() -> None:
    group = Group(account=_ACCOUNT, name="G", id="AGPA1", attached=(_POLICY,))
    role = Role(account=_ACCOUNT, name="R", id="AROA1", trust="{}", boundary=_POLICY)
    identities = _of(_user("a", attached=(_POLICY, _OTHER_POLICY)), group, role)
    assert identities.attached_to(_POLICY) == [group.key, f"user/{_ACCOUNT}/a"]
    assert identities.bounded_by(_POLICY) == [role.key]
    _put(identities, _user("a", attached=(_OTHER_POLICY,)))
    assert identities.attached_to(_POLICY) == [group.key]
    assert identities.attached_to(_OTHER_POLICY) == [f"user/{_ACCOUNT}/a"]
    identities.apply({group.key: None, role.key: None})
    assert identities.attached_to(_POLICY) == identities.bounded_by(_POLICY) == []


def test_a_group_knows_its_members() -> None:
    identities = _of(_user("b", groups=("AGPA1",)), _user("a", groups=("AGPA1", "AGPA2")))
    members = identities.members("AGPA1")
    assert members == [f"user/{_ACCOUNT}/a", f"user/{_ACCOUNT}/b"]
    identities.apply({f"user/{_ACCOUNT}/a": None})
    assert identities.members("AGPA1") == [f"user/{_ACCOUNT}/b"]
    assert identities.members("AGPA2") == []


def test_a_unique_id_is_that_of_the_one_who_has_it_now() -> None:
    identities = _of(_user("a"))
    assert identities.key_of_id("AIDAa") == f"user/{_ACCOUNT}/a"
    again = User(account=_ACCOUNT, name="a", id="AIDAother")
    _put(identities, again)
    assert identities.key_of_id("AIDAa") is None
    assert identities.key_of_id("AIDAother") == again.key


def test_what_cannot_be_read_is_not_there() -> None:
    identities = _of(_user("a"))
    key = f"user/{_ACCOUNT}/a"
    identities.apply({key: '{"id": 7}', f"account/{_ACCOUNT}": "[]"})
    assert identities.get(User, key) is None
    assert not list(identities.accounts())
    assert identities.unreadable == {key, f"account/{_ACCOUNT}"}
    _put(identities, _user("a"))
    _put(identities, Account(id=_ACCOUNT, name="A", email="a@b.c", canonical_id="f" * 64))
    assert not identities.unreadable
    assert identities.get(User, key) is not None
    assert [account.name for account in identities.accounts()] == ["A"]


def test_a_text_stays_the_same_object_until_it_changes() -> None:
    user = _user("a")
    identities = _of(user)
    before = identities.text(user.key)
    identities.apply({user.key: "".join(list(user.stored()))})
    assert identities.text(user.key) is before


def test_the_size_of_an_account_is_that_of_all_its_records() -> None:
    key = AccessKey(account=_ACCOUNT, id="AKIA1", secret={"sealed": "x"})
    other = User(account="222222222222", name="a", id="AIDA2")
    records = (_user("a"), _user("\u03a9"), key, other)
    sizes = [size_of(record.key, record.stored()) for record in records]
    identities = _of(*records)
    assert identities.size(_ACCOUNT) == sum(sizes[:3])
    assert identities.size("222222222222") == sizes[3]
    longer = _user("a", tags={"t": "v" * 100})
    grown = identities.growth({longer.key: longer.stored(), key.key: None})
    assert grown == {_ACCOUNT: size_of(longer.key, longer.stored()) - sizes[0] - sizes[2]}
    identities.apply({longer.key: longer.stored(), key.key: None})
    assert identities.size(_ACCOUNT) == sum(sizes[:3]) + grown[_ACCOUNT]
