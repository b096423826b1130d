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
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, **settings}
    return boto3.client(
        "s3",
        endpoint_url=front.url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        verify=front.verify,
        config=Config(**options),
    )
