"""Secrets that have to be kept in the metadata, sealed by the master keys that objects have: the
credentials of a place, the secret key of a user.

What is kept is a document, to be a member of whatever record has the secret: how it is sealed,
under which master key, and nothing readable. It is bound to a name, which says what the secret is
of (``location/cloud/secretKey``): moved to another one, it opens nothing.

What keeps secrets are the records of identities: access keys, and what seals session tokens. They
are gone over when master keys are replaced (``s3front.work.secret_rotation``), and counted
(``s3front.metadata.key_usage``, ``dmd check --encryption``). Whoever begins to keep others, seals
them by this, and adds its records there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from s3front.encryption.key_wrapping import (
    FOR_TEXT,
    WRAPPED_MEMBER,
    WRAPPING_KEY_MEMBER,
    BoundTo,
    UnwrapError,
    WrappingKey,
    unwrap,
    wrap,
)
from s3front.keys.base import MasterKeys
from s3front.keys.original_objects import cannot_open
from s3front.keys.rewrapping import replacement
from s3front.keys.sealing import Keys, no_keys
from s3front.s3_errors import S3Error

SEALED_MEMBER: Final = "sealed"
_PLACE: Final = "..secrets"
"""In place of a bucket, which no bucket can be called."""


def sealed(text: str, name: str, by: WrappingKey) -> dict[str, Any]:
    """The document of a secret, of any length. Pure."""
    content = wrap(text.encode("utf-8", "surrogatepass"), by, BoundTo(_PLACE, name), FOR_TEXT)
    document = {SEALED_MEMBER: content, WRAPPING_KEY_MEMBER: by.key_id}
    return {**document, WRAPPED_MEMBER: by.wrapped} if by.wrapped else document


def unsealed(document: Mapping[str, Any], name: str, by: WrappingKey) -> str:
    """The secret again. Pure; raises UnwrapError."""
    content = unwrap(document.get(SEALED_MEMBER), by, BoundTo(_PLACE, name), FOR_TEXT)
    return content.decode("utf-8", "surrogatepass")


async def seal_text(keys: Keys, text: str, name: str) -> dict[str, Any]:
    """Seal a secret by the current master key. Raises S3Error."""
    if keys.current is None:
        raise no_keys()
    return sealed(text, name, await keys.current.wrapping_key(None, _context(name)))


async def open_text(keys: Keys, document: Mapping[str, Any], name: str) -> str:
    """The secret of a document. Raises S3Error: NotImplemented where its key cannot be had."""
    key_id, wrapped = document.get(WRAPPING_KEY_MEMBER), document.get(WRAPPED_MEMBER, "")
    if not isinstance(key_id, str) or not isinstance(wrapped, str):
        raise cannot_open()
    keeper_name, _, its_own = key_id.partition(":")
    keeper = keys.keepers.get(keeper_name)
    if keeper is None:
        raise cannot_open()
    secret = await keeper.opened(its_own, wrapped, _context(name))
    try:
        return unsealed(document, name, WrappingKey(key_id, secret, wrapped))
    except UnwrapError as error:
        raise S3Error("InternalError") from error


async def resealed(
    keepers: Mapping[str, MasterKeys],
    document: Mapping[str, Any],
    name: str,
    retired: Collection[str],
) -> dict[str, Any]:
    """The document of the same secret, under the master key that has replaced its own, which is one
    of the ``retired``. Raises S3Error."""
    key_id = str(document.get(WRAPPING_KEY_MEMBER, ""))
    text = await open_text(Keys(keepers, None), document, name)
    keeper_name, _, its_own = key_id.partition(":")
    by = await replacement(keepers[keeper_name], its_own, _context(name), retired)
    return sealed(text, name, by)


def _context(name: str) -> Mapping[str, str]:
    """What a keeper elsewhere binds the key to."""
    return {"twofold:secret": name}
