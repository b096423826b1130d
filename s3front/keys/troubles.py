"""The errors of keepers, as S3's clients and the log are told of them."""

from __future__ import annotations

from s3front.keys.base import KeeperError, KeyTrouble
from s3front.objects.default_encryption import shown_key_id


def not_found(key_id: str, reason: str = "") -> KeeperError:
    """There is no such master key."""
    return KeeperError(KeyTrouble.NOT_FOUND, f"Key '{_shown(key_id)}' does not exist", reason)


def disabled(key_id: str, reason: str) -> KeeperError:
    """A master key is disabled."""
    return KeeperError(KeyTrouble.DISABLED, f"{_shown(key_id)} is disabled.", reason)


def invalid_state(key_id: str, reason: str) -> KeeperError:
    """A master key is disabled in a way for which AWS KMS has another code, which Amazon S3 passes
    on (LocalStack's ``test_s3.snapshot.json``, ``test_s3_sse_validate_kms_key_state``)."""
    state = "pending deletion" if "pending deletion" in reason else "in no state to be used"
    return KeeperError(
        KeyTrouble.DISABLED,
        f"{_shown(key_id)} is {state}.",
        reason,
        "KMS.KMSInvalidStateException",
    )


def denied(reason: str) -> KeeperError:
    """This server may not use a master key."""
    return KeeperError(
        KeyTrouble.DENIED,
        "The service that keeps the encryption keys does not let this server use the key.",
        reason,
    )


def refused(reason: str) -> KeeperError:
    """A wrapped key is not what its keeper has given out."""
    return KeeperError(KeyTrouble.REFUSED, "The key of this object cannot be opened.", reason)


def _shown(key_id: str) -> str:
    shown = key_id if shown_key_id(key_id) is not None else "(not shown)"
    return shown[:256].encode("ascii", "replace").decode()
