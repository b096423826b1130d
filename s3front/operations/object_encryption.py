"""What operations ask of encryption: how a new object is to be encrypted, and whether a request has
the key of one that is there."""

from __future__ import annotations

from s3front.context import Context
from s3front.encryption.choice import chosen_protection, customer_key
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import CUSTOMER_MEMBER, Protection
from s3front.objects.object_record import ObjectRecord
from s3front.port.request import Headers


def wanted_protection(context: Context, headers: Headers) -> Protection | None:
    """How the new object of a request is to be encrypted, as its bucket is known; None: not at all.
    Raises what ``chosen_protection`` does."""
    settings = context.services.encryption_settings
    return chosen_protection(headers, context.bucket.record, settings, secure=context.is_secure)


def reading_key(context: Context, headers: Headers) -> bytes | None:
    """The client's own key with which a request reads its object; None when it sends none. Raises
    what ``customer_key`` does."""
    settings = context.services.encryption_settings
    return customer_key(headers, settings, secure=context.is_secure, reads=True)


def let_read(context: Context, record: ObjectRecord, key: bytes | None) -> None:
    """Let a request see the object at its key, with this key of the client's, or without one;
    raises InvalidRequest, AccessDenied."""
    if key is None and not record.document.get(CUSTOMER_MEMBER):
        return  # as nearly always
    assert context.target.bucket is not None
    bound = BoundTo(context.target.bucket, context.key)
    context.services.keys.check_customer(record.document, bound, key)
