"""boto3 clients for tests."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from tests.servers import ACCESS_KEY, REGION, SECRET_KEY, Front


def s3_client(
    front: Front,
    access_key: str = ACCESS_KEY,
    secret_key: str = SECRET_KEY,
    **settings: Any,
) -> Any:
    """A client of one front-end with the usual defaults, but for retries."""
    return aws_client("s3", front, access_key, secret_key, **settings)


def aws_client(
    service: str,
    front: Front,
    access_key: str = ACCESS_KEY,
    secret_key: str = SECRET_KEY,
    **settings: Any,
) -> Any:
    """The same of another service: ``iam``, ``sts``."""
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, **settings}
    return boto3.client(
        service,
        endpoint_url=front.url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        verify=front.verify,
        config=Config(**options),
    )
