"""Object lock as tests set it and look at it, on objects of the key ``key``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

SOON = datetime(2130, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = SOON + timedelta(days=1)


def rule(mode: str = "GOVERNANCE", **period: int) -> dict[str, Any]:
    """The configuration of a default retention."""
    return {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": mode, **period}},
    }


def configure(s3: Any, bucket: str, configuration: dict[str, Any]) -> None:
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)


def configuration_of(s3: Any, bucket: str) -> Any:
    return s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]


def retain(s3: Any, bucket: str, until: datetime, mode: str = "GOVERNANCE", **more: Any) -> None:
    retention = {"Mode": mode, "RetainUntilDate": until}
    s3.put_object_retention(Bucket=bucket, Key="key", Retention=retention, **more)


def hold(s3: Any, bucket: str, status: str = "ON", **more: Any) -> None:
    s3.put_object_legal_hold(Bucket=bucket, Key="key", LegalHold={"Status": status}, **more)


def retention_of(s3: Any, bucket: str, **more: Any) -> tuple[str, datetime]:
    found = s3.get_object_retention(Bucket=bucket, Key="key", **more)["Retention"]
    return found["Mode"], found["RetainUntilDate"]


def lock_of(s3: Any, bucket: str, **more: Any) -> tuple[Any, Any, Any]:
    """Mode, date and legal hold as HeadObject reports them."""
    found = s3.head_object(Bucket=bucket, Key="key", **more)
    names = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
    mode, until, legal_hold = (found.get(name) for name in names)
    return mode, until, legal_hold
