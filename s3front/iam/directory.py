"""Who there is: accounts of the configuration and those kept in the metadata, users, groups, roles,
policies and access keys, as requests ask for them.

Everything is in memory, and answers at once. A source keeps it as the metadata have it
(``s3front.iam.following``): after ``refresh`` a request sees all that was changed before it was
sent, without it what was changed some time ago (``LOOK_SECONDS``).

*Rules*

1. An account of the configuration is as the file says: whatever is stored of an account of its ID
   adds an alias, the block of public access and access keys. Nobody stored can take its canonical
   ID, its address or its access keys.
2. A policy, boundary or group that cannot be had or understood gives nothing, and denies what it
   may have denied: everything (``s3front.policies.grammar.stored_policy``). So it is with what an
   account has blocked.
3. What is made of records, such as principals, is remembered until one of these is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from s3front.auth.identity import Principal, Rights
from s3front.authz.owners import OwnerFacts
from s3front.authz.public_block import BLOCK_MEMBER, FULL_BLOCK, block_of
from s3front.iam.aws_policies import AWS_ACCOUNT, aws_policy
from s3front.iam.bounded_rights import bounded
from s3front.iam.iam_errors import IamError
from s3front.iam.identities import Identities
from s3front.iam.identity_ids import parsed_arn
from s3front.iam.policy_texts import ALL_DENIED, PolicyTexts
from s3front.iam.records import (
    AccessKey,
    Account,
    AnyRecord,
    Group,
    Holder,
    ManagedPolicy,
    Provider,
    Role,
    User,
    access_key_key,
    account_key,
    group_key,
    policy_key,
    provider_key,
    role_key,
    user_key,
)
from s3front.policies.policy import Kind as PolicyKind
from s3front.policies.policy import NamedPolicy, Policy
from s3front.policies.statement_principals import NO_IDS
from shared.config import Account as FileAccount
from shared.config import Accounts

NO_ACCOUNTS: Final = Accounts((), ())


class Source(Protocol):
    """What tells a directory of changes."""

    @property
    def is_fresh(self) -> bool:
        """Whether it was told lately how things are."""

    async def refresh(self) -> None:
        """Tell it of all that was changed before this call. Raises ServiceUnavailable."""


class _NoSource:
    """Nothing is stored, and so nothing changes."""

    is_fresh: Final = True

    async def refresh(self) -> None: ...


class _Accounts(msgspec.Struct):
    """The IDs of accounts by what names them, as of ``changed`` changes; ``facts``, by canonical
    IDs, are made when they are asked for."""

    of_file: Accounts
    changed: int
    by_canonical_id: dict[str, str] = msgspec.field(default_factory=dict)
    by_email: dict[str, str] = msgspec.field(default_factory=dict)
    by_alias: dict[str, str] = msgspec.field(default_factory=dict)
    facts: dict[str, OwnerFacts] = msgspec.field(default_factory=dict)
    are_unreadable: bool = False


class Directory:
    """See the module."""

    def __init__(self, accounts: Accounts = NO_ACCOUNTS) -> None:
        self.identities = Identities()
        self.source: Source = _NoSource()
        self.generation = 0
        """Changes with every change."""
        self._texts = PolicyTexts()
        self._indexed = _Accounts(NO_ACCOUNTS, -1)
        self.use(accounts)

    async def refresh(self) -> None:
        """Know all that was changed before this call. Raises ServiceUnavailable when the metadata
        cannot be asked."""
        await self.source.refresh()

    async def ready(self) -> None:
        """Know how things were some seconds ago at the latest: for all that something is allowed
        on. It waits only when nothing was told for that long. Raises ServiceUnavailable."""
        if not self.source.is_fresh:
            await self.source.refresh()

    # --- Changing ------------------------------------------------------------------------------

    def use(self, accounts: Accounts) -> None:
        """Take these accounts of the configuration from now on."""
        self.file_accounts = accounts
        self._of_file = {each.short_id: each for each in accounts}
        self._file_keys = frozenset(each.access_key for each in accounts.credentials)
        self.changed()

    def changed(self) -> None:
        """The records are others than before."""
        self.generation += 1

    # --- Accounts ------------------------------------------------------------------------------

    def accounts(self) -> Iterator[Account]:
        """All of them, those of the configuration first."""
        for account_id in self._of_file:
            found = self.account(account_id)
            assert found is not None
            yield found
        for stored in self.identities.accounts():
            if not stored.from_file and stored.id not in self._of_file:
                yield stored

    def account(self, account_id: str) -> Account | None:
        stored = self.identities.account(account_id)
        of_file = self._of_file.get(account_id)
        if of_file is not None:
            return _as_in_file(of_file, stored)
        # The settings of an account that the file has no more are nobody's.
        return None if stored is None or stored.from_file else stored

    def account_by_canonical_id(self, canonical_id: str) -> Account | None:
        return self._found(self._index().by_canonical_id.get(canonical_id))

    def account_by_email(self, email: str) -> Account | None:
        """Without regard to case."""
        return self._found(self._index().by_email.get(email.lower()))

    def account_by_alias(self, alias: str) -> Account | None:
        return self._found(self._index().by_alias.get(alias))

    def owner(self, canonical_id: str) -> OwnerFacts | None:
        """What decisions have to know of an account (``s3front.authz.owners``)."""
        facts = self._index().facts
        found = facts.get(canonical_id)
        if found is None:
            account = self.account_by_canonical_id(canonical_id)
            if account is not None:
                block = block_of({BLOCK_MEMBER: account.public_access_block})
                if account_key(account.id) in self.identities.unreadable:
                    block = FULL_BLOCK
                found = facts[canonical_id] = OwnerFacts(account.id, block)
            elif self._indexed.are_unreadable:
                found = OwnerFacts(None, FULL_BLOCK)  # it may be one of these
        return found

    def _found(self, account_id: str | None) -> Account | None:
        return None if account_id is None else self.account(account_id)

    def _index(self) -> _Accounts:
        """What finds accounts by what names them; those of the configuration come first."""
        changed, index = self.identities.accounts_changed, self._indexed
        if index.of_file is self.file_accounts and index.changed == changed:
            return index
        index = _Accounts(self.file_accounts, changed)
        for account in self.accounts():
            index.by_canonical_id.setdefault(account.canonical_id, account.id)
            index.by_email.setdefault(account.email.lower(), account.id)
            if account.alias is not None:
                index.by_alias.setdefault(account.alias, account.id)
        unreadable = self.identities.unreadable
        index.are_unreadable = any(key.startswith("account/") for key in unreadable)
        self._indexed = index
        return index

    # --- What accounts have ----------------------------------------------------------------------

    def user(self, account_id: str, name: str) -> User | None:
        return self.identities.get(User, user_key(account_id, name))

    def group(self, account_id: str, name: str) -> Group | None:
        return self.identities.get(Group, group_key(account_id, name))

    def role(self, account_id: str, name: str) -> Role | None:
        return self.identities.get(Role, role_key(account_id, name))

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """A stored one."""
        return self.identities.get(AccessKey, access_key_key(access_key_id))

    def knows_access_key(self, access_key_id: str) -> bool:
        """Whether there is such a key, stored or in the configuration."""
        key = access_key_key(access_key_id)
        return self.is_of_file(access_key_id) or self.identities.text(key) is not None

    def is_of_file(self, access_key_id: str) -> bool:
        """Whether a key is one of the configuration, which is known without the metadata."""
        return access_key_id in self._file_keys

    def provider(self, account_id: str, url: str) -> Provider | None:
        return self.identities.get(Provider, provider_key(account_id, url))

    def policy(self, arn: str) -> ManagedPolicy | None:
        """A managed policy, AWS's own as well. Raises IamError for what is no such ARN."""
        account_id, name = parsed_arn(arn, "policy")
        if account_id == AWS_ACCOUNT:
            return aws_policy(arn)
        found = self.identities.get(ManagedPolicy, policy_key(account_id, name))
        return found if found is not None and found.arn == arn else None

    def every(
        self, kind: type[AnyRecord], room: str, after: str = "", containing: str = ""
    ) -> Iterator[AnyRecord]:
        """All records of a room, such as ``user/123456789012``, by their names; those behind the
        key ``after``, and of these the ones whose texts contain something: to look for that takes
        a hundredth of the time of reading them."""
        for key in self.identities.keys(room, after):
            if containing and containing not in (self.identities.text(key) or ""):
                continue
            found = self.identities.get(kind, key)
            if found is not None:
                yield found

    def user_by_id(self, unique_id: str) -> User | None:
        """The user who has this unique ID."""
        key = self.identities.key_of_id(unique_id)
        return None if key is None or key[:5] != "user/" else self.identities.get(User, key)

    def role_by_id(self, unique_id: str) -> Role | None:
        """The role that has this unique ID."""
        key = self.identities.key_of_id(unique_id)
        return None if key is None or key[:5] != "role/" else self.identities.get(Role, key)

    def group_by_id(self, unique_id: str) -> Group | None:
        """The group that has this unique ID."""
        key = self.identities.key_of_id(unique_id)
        return None if key is None or key[:6] != "group/" else self.identities.get(Group, key)

    # --- What they may ---------------------------------------------------------------------------

    def principal_of_account(self, account: Account) -> Principal:
        """An account itself."""
        return Principal(
            account.canonical_id,
            account.name,
            account.id,
            account.arn,
            user_id=account.id,
            suspended=account.is_suspended,
        )

    def principal_of_user(self, user: User) -> Principal | None:
        """None when the account is gone."""
        account = self.account(user.account)
        if account is None:
            return None
        return Principal(
            account.canonical_id,
            account.name,
            account.id,
            user.arn,
            self.rights_of_user(user),
            user_id=user.id,
            user_name=user.name,
            kind="User",
            tags=user.tags,
            suspended=account.is_suspended,
        )

    def principal_of_role(self, role: Role, session: str) -> Principal | None:
        """A session of a role, by its name, to which nothing was passed. None when the account is
        gone."""
        account = self.account(role.account)
        if account is None:
            return None
        return Principal(
            account.canonical_id,
            account.name,
            account.id,
            role.session_arn(session),
            self.rights_of_role(role),
            user_id=f"{role.id}:{session}",
            kind="AssumedRole",
            role_arn=role.arn,
            tags=role.tags,
            suspended=account.is_suspended,
        )

    def rights_of_user(self, user: User) -> Rights:
        """The user's own policies, those of all groups, and the boundary."""
        policies = self._policies_of(user, f"user/{user.name}")
        for group_id in user.groups:
            group = self.group_by_id(group_id)
            if group is None:
                policies.append(NamedPolicy(f"group/{group_id}", ALL_DENIED))
            else:
                policies += self._policies_of(group, f"group/{group.name}")
        return bounded(Rights(policies, self._boundary(user.boundary)))

    def rights_of_role(self, role: Role) -> Rights:
        """A role's policies and its boundary; those of a session are the session's to add."""
        policies = self._policies_of(role, f"role/{role.name}")
        return bounded(Rights(policies, self._boundary(role.boundary)))

    def policy_of_text(
        self,
        text: str,
        kind: PolicyKind = PolicyKind.IDENTITY,
        ids: Mapping[str, str] = NO_IDS,
    ) -> Policy:
        """The policy of a text, which is read once; ``ids`` as ``Policy`` has them."""
        return self._texts.policy(text, kind, ids)

    def rights_of_group(self, group: Group) -> Rights:
        """What its members have of it."""
        return bounded(Rights(self._policies_of(group, f"group/{group.name}")))

    def _policies_of(self, holder: Holder, prefix: str) -> list[NamedPolicy]:
        policies = [
            NamedPolicy(f"{prefix}/{name}", self._texts.policy(text))
            for name, text in holder.inline.items()
        ]
        return [*policies, *map(self.named_policy, holder.attached)]

    def _boundary(self, arn: str | None) -> NamedPolicy | None:
        return None if arn is None else self.named_policy(arn)

    def named_policy(self, arn: str) -> NamedPolicy:
        """A managed policy to be judged by. One that cannot be had denies everything."""
        try:
            found = self.policy(arn)
        except IamError:
            found = None
        version = None if found is None else found.version(found.default)
        return NamedPolicy(arn, ALL_DENIED if version is None else self._texts.policy(version.text))

    def texts_behind(self, user: User) -> Sequence[tuple[str, str | None]]:
        """The keys of all records that a user's principal is made of, and their texts: as long as
        each of these is the same object, so is the principal."""
        keys = [user.key, account_key(user.account)]
        held: list[Holder] = [user]
        unknown: list[tuple[str, str | None]] = []
        for group_id in user.groups:
            group = self.group_by_id(group_id)
            if group is None:
                unknown.append((group_id, ""))  # which no record is: it may be had later
            else:
                keys.append(group.key)
                held.append(group)
        arns = {arn for holder in held for arn in holder.attached}
        if user.boundary is not None:
            arns.add(user.boundary)
        for arn in arns:
            with suppress(IamError):
                account_id, name = parsed_arn(arn, "policy")
                if account_id != AWS_ACCOUNT:
                    keys.append(policy_key(account_id, name))
        return [*unknown, *((key, self.identities.text(key)) for key in keys)]


def _as_in_file(of_file: FileAccount, stored: Account | None) -> Account:
    """An account of the configuration, with what is stored of it."""
    if stored is None:
        stored = Account(id=of_file.short_id, name="", email="", canonical_id="")
    return msgspec.structs.replace(
        stored,
        name=of_file.name,
        email=of_file.email,
        canonical_id=of_file.canonical_id,
        status="active",
        from_file=True,
    )
