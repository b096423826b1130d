"""What requests ask of the keys: to seal the blobs of a new object, and to open those of one that
is stored.

Writers get a ``Sealing`` for their object or part, and a new transform of it for each blob, as no
two blobs may share a key. Readers get the transform that a data location and its record name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from s3front.encryption.key_wrapping import (
    FOR_CHECK,
    SCHEME,
    SCHEME_MEMBER,
    WRAPPED_MEMBER,
    WRAPPING_KEY_MEMBER,
    BoundTo,
    UnwrapError,
    WrappingKey,
    blob_number,
    unwrap,
    unwrapped_blob_key,
    wrap,
    wrapped_members,
)
from s3front.encryption.segments import SegmentedTransform, new_blob_key, refused
from s3front.encryption.sse import (
    ALGORITHM_MEMBER,
    CUSTOMER_CHECK_MEMBER,
    CUSTOMER_MEMBER,
    DSSE,
    KEY_ID_MEMBER,
    KMS,
    Protection,
    key_context,
    protection_members,
)
from s3front.encryption.transform import Transform
from s3front.keys.account_keys import AccountKeys
from s3front.keys.base import AwayError, KeeperError, KeyContext, KeyTrouble, MasterKeys
from s3front.keys.original_objects import cannot_open, opening_of_original
from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds
from shared.records.data_location import DataLocation

_BLOBS_MAX: Final = 1 << 20
"""Of one part: numbers begin with that of the part, which its upload gave it."""

_CUSTOMER: Final = "customer"
"""Stands for the keeper of a customer's key, which is the customer."""


class Sealing:
    """How the blobs of one new object, or part, are encrypted. ``members`` is what its record
    says. ``given_at`` is a moment (``boot_seconds``) before its key was given out: what is sealed
    by it may not be committed much later (``bodies.stored_body.check_age``), when the key may have
    been removed. A client's own key is never too old."""

    def __init__(
        self,
        by: WrappingKey,
        bound: BoundTo,
        members: Mapping[str, Any],
        given_at: float = math.inf,
    ) -> None:
        self._by = by
        self._bound = bound
        self._blobs = 0
        self.members = members
        self.given_at = given_at

    def new_blob(self, part: int = 1) -> SegmentedTransform:
        """The transform of one blob, and of no other: the next one of this part of the object."""
        blob_key, number = new_blob_key(), part * _BLOBS_MAX + self._blobs
        self._blobs += 1
        members = wrapped_members(blob_key, self._by, self._bound, number)
        return SegmentedTransform(blob_key, members)


class Keys:
    """All keepers of an installation. ``current`` is the one that new objects get their keys from,
    None where none is set up; of ``accounts``, where these have master keys of their own. What is
    ``giving`` gives out keys to seal by, where others than the keepers themselves do."""

    def __init__(
        self,
        keepers: Mapping[str, MasterKeys],
        current: MasterKeys | None,
        accounts: AccountKeys | None = None,
        giving: Mapping[str, MasterKeys] | None = None,
    ) -> None:
        self.keepers = keepers
        self._giving = keepers if giving is None else giving
        self.current = current
        self.proven: dict[tuple[str, str], str] = {}
        """Blobs of CloudServer's, by location and key, and the master key that was found to be
        theirs (``bodies.proven_key``)."""
        self.accounts = accounts

    async def sealing(
        self, protection: Protection, bound: BoundTo, account: str | None = None
    ) -> Sealing:
        """For one new object or part, in a bucket of an ``account`` (its canonical ID). Raises
        S3Error: NotImplemented where no keeper is set up."""
        members = protection_members(protection)
        if protection.customer_key is not None:
            by = WrappingKey(_CUSTOMER, protection.customer_key)
            members[CUSTOMER_CHECK_MEMBER] = wrap(b"", by, bound, FOR_CHECK)
            return Sealing(by, bound, members)
        if self.current is None:
            raise no_keys()
        context = key_context(members, bound.bucket, bound.key)
        given_at = boot_seconds()
        if protection.key_id is None and account is not None and self.accounts is not None:
            by = await self._of_account(account, self.accounts, self.current, context)
        else:
            by = await self.current.wrapping_key(protection.key_id, context)
        if protection.algorithm in (KMS, DSSE):
            # What the client named, or else the key that was current: that is shown.
            members.setdefault(KEY_ID_MEMBER, by.key_id.partition(":")[2])
        return Sealing(by, bound, members, given_at)

    @staticmethod
    async def _of_account(
        account: str, accounts: AccountKeys, keeper: MasterKeys, context: KeyContext
    ) -> WrappingKey:
        """A wrapping key of an account's master key. Raises S3Error."""
        key_id = await accounts.key_of(account)
        try:
            return await keeper.wrapping_key(key_id, context)
        except KeeperError as error:
            if error.trouble is not KeyTrouble.NOT_FOUND:
                raise
            missing = error
        # The client has not named it, and can do nothing.
        raise AwayError(
            f"{keeper.name}: the master key {key_id} of the account {account}: "
            f"{missing.reason or 'it is not there'}",
            has_answered=True,
        )

    async def opening(
        self,
        document: Mapping[str, Any],
        location: DataLocation,
        bound: BoundTo,
        customer_key: bytes | None,
    ) -> Transform:
        """The transform of a blob. ``document`` is the record that names its location.

        Raises S3Error: AccessDenied for another key than the customer's, NotImplemented for what no
        keeper here can open.
        """
        members = location.members or {}
        if members.get(SCHEME_MEMBER) != SCHEME:
            return await opening_of_original(self.keepers, document, location)
        by = await self._wrapping_key(document, members, bound, customer_key)
        return SegmentedTransform(_blob_key(members, by, bound), members)

    async def moved(
        self,
        document: Mapping[str, Any],
        locations: Sequence[DataLocation],
        move: tuple[BoundTo, BoundTo],
        customer_key: bytes | None,
    ) -> dict[str, Any]:
        """The members of a record that change when its object gets another name: the blobs stay as
        they are, and their keys, which are bound to the name, are wrapped for the new one. ``move``
        is from where to where.

        Raises what ``opening`` and ``check_customer`` do: a client's own key is needed for it.
        """
        before, after = move
        self.check_customer(document, before, customer_key)
        entries: list[dict[str, Any]] = []
        made: dict[str, WrappingKey] = {}
        for location in locations:
            entry, members = location.document(), location.members or {}
            if members.get(SCHEME_MEMBER) == SCHEME:  # those of the original are bound to nothing
                by = await self._wrapping_key(document, members, before, customer_key)
                if by.key_id not in made:
                    made[by.key_id] = await self._for(by, document, after)
                blob_key = _blob_key(members, by, before)
                entry.pop(WRAPPED_MEMBER, None)
                wrapping, number = made[by.key_id], blob_number(members)
                entry.update(wrapped_members(blob_key, wrapping, after, number))
            entries.append(entry)
        changed: dict[str, Any] = {"location": entries} if entries else {}
        if customer_key is not None:
            by = WrappingKey(_CUSTOMER, customer_key)
            changed[CUSTOMER_CHECK_MEMBER] = wrap(b"", by, after, FOR_CHECK)
        return changed

    async def _for(
        self, by: WrappingKey, document: Mapping[str, Any], bound: BoundTo
    ) -> WrappingKey:
        """A wrapping key of the same master key, for another object."""
        name, _, its_own = by.key_id.partition(":")
        if by.key_id == _CUSTOMER:
            return by
        context = key_context(document, bound.bucket, bound.key)
        return await self._giving[name].wrapping_key(its_own, context)

    async def _wrapping_key(
        self,
        document: Mapping[str, Any],
        members: Mapping[str, Any],
        bound: BoundTo,
        customer_key: bytes | None,
    ) -> WrappingKey:
        key_id, wrapped = members.get(WRAPPING_KEY_MEMBER), members.get(WRAPPED_MEMBER, "")
        if not isinstance(key_id, str) or not isinstance(wrapped, str):
            raise cannot_open()
        if key_id == _CUSTOMER:
            if customer_key is None:
                raise customer_key_missing()
            return WrappingKey(_CUSTOMER, customer_key)
        name, _, its_own = key_id.partition(":")
        keeper = self.keepers.get(name)
        if keeper is None:
            raise cannot_open()
        context = key_context(document, bound.bucket, bound.key)
        secret = await keeper.opened(its_own, wrapped, context)
        return WrappingKey(key_id, secret, wrapped)

    def check_customer(
        self, document: Mapping[str, Any], bound: BoundTo, customer_key: bytes | None
    ) -> None:
        """Let a request see an object or upload: one by a customer's key for that key alone, and
        any other for none (Amazon S3 user guide, "Using server-side encryption with customer-
        provided keys"). Raises InvalidRequest, AccessDenied."""
        if not document.get(CUSTOMER_MEMBER):
            if customer_key is not None:
                raise S3Error(
                    "InvalidRequest", "The encryption parameters are not applicable to this object."
                )
            return
        if customer_key is None:
            raise customer_key_missing()
        try:
            by = WrappingKey(_CUSTOMER, customer_key)
            unwrap(document.get(CUSTOMER_CHECK_MEMBER), by, bound, FOR_CHECK)
        except UnwrapError as error:
            raise another_customer_key() from error

    async def close(self) -> None:
        """Give up the connections of all keepers."""
        for keeper in self.keepers.values():
            await keeper.close()


NO_KEYS: Final = Keys({}, None)


def _blob_key(members: Mapping[str, Any], by: WrappingKey, bound: BoundTo) -> bytes:
    """The key of a blob, of its data location; raises InternalError, AccessDenied."""
    try:
        return unwrapped_blob_key(members, by, bound)
    except UnwrapError as error:
        if by.key_id == _CUSTOMER:
            raise another_customer_key() from error
        raise refused() from error


def is_protected(document: Mapping[str, Any]) -> bool:
    """Whether a record says that its object is encrypted."""
    return bool(document.get(ALGORITHM_MEMBER) or document.get(CUSTOMER_MEMBER))


def no_keys() -> S3Error:
    """Encryption was asked for, and there is no master key."""
    return S3Error(
        "NotImplemented",
        "Server-side encryption is asked for, and this server has no master key. Its operator "
        "makes one by: s3front keys create",
    )


def customer_key_missing() -> S3Error:
    """Amazon S3 API reference, GetObject."""
    return S3Error(
        "InvalidRequest",
        "The object was stored using a form of Server Side Encryption. The correct parameters must "
        "be provided to retrieve the object.",
    )


def another_customer_key() -> S3Error:
    """As AWS was recorded to answer (LocalStack's ``test_s3.snapshot.json``)."""
    return S3Error(
        "AccessDenied",
        "Requests specifying Server Side Encryption with Customer provided keys must provide the "
        "correct secret key.",
    )
