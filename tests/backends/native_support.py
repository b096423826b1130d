"""What the tests of the tests' own places share."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from s3front.operations.chosen_location import LOCATION_HEADER
from tests.backends.native_cluster import Stage
from tests.backends.native_place import Blob
from tests.clients_boto3 import s3_client
from tests.servers import wait_for

CHOICE: Final = LOCATION_HEADER.removeprefix("x-amz-meta-")
"""The user metadata that chooses an object's location."""

_PROBED: Final = "probed-places"


def there(stage: Stage, bucket: str) -> list[Blob]:
    """The blobs of a bucket, wherever they are."""
    return [
        blob
        for place in stage.every_place.values()
        for blob in place.blobs()
        if blob.bucket == bucket
    ]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    """The code of what a client was answered."""
    return str(error.value.response["Error"]["Code"])


def refusal(call: Any, **arguments: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return code_of(error)


def end_faults(stage: Stage) -> None:
    """Have all places work again, and wait until every front-end has found out."""
    failing = set()
    for name, place in stage.places.items():
        for fault in (place.root / "faults").iterdir():
            fault.unlink()
            failing.add(name)
    for front in stage.running.fronts if failing else ():
        client = s3_client(front)
        with suppress(ClientError):  # it is there
            client.create_bucket(Bucket=_PROBED)
        for name in failing:
            wait_for(lambda client=client, name=name: _works(client, name), f"{name} to work")  # type: ignore[misc]


def _works(client: Any, name: str) -> bool:
    try:
        client.put_object(Bucket=_PROBED, Key="key", Body=b"probe", Metadata={CHOICE: name})
    except ClientError:
        return False
    return True
