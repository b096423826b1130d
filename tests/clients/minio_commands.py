"""The commands of ``tests/clients/sdk.py`` with minio's SDK, served like ``node/commands.mjs``.

A program for the environment that has the SDK: it imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

_PREFIX = "x-amz-meta-"


class Commands:
    """Each method is a command; ``told`` are its arguments."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        url = urlsplit(endpoint)
        self._client = Minio(
            url.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=url.scheme == "https",
        )

    def make_bucket(self, told: dict[str, Any]) -> None:
        self._client.make_bucket(told["bucket"])

    def remove_bucket(self, told: dict[str, Any]) -> None:
        self._client.remove_bucket(told["bucket"])

    def put(self, told: dict[str, Any]) -> str:
        written = self._client.fput_object(
            told["bucket"],
            told["key"],
            told["file"],
            content_type=told["contentType"],
            metadata={"Cache-Control": told["cacheControl"], **told["metadata"]},
            part_size=told["partSize"],
        )
        return _quoted(written.etag)

    def get(self, told: dict[str, Any]) -> None:
        self._client.fget_object(told["bucket"], told["key"], told["file"])

    def list(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"key": entry.object_name, "etag": _quoted(entry.etag), "size": entry.size}
            for entry in self._client.list_objects(told["bucket"], recursive=True)
        ]

    def stat(self, told: dict[str, Any]) -> dict[str, Any]:
        found = self._client.stat_object(told["bucket"], told["key"])
        headers = {name.lower(): value for name, value in (found.metadata or {}).items()}
        return {
            "size": found.size,
            "etag": _quoted(found.etag),
            "contentType": found.content_type,
            "cacheControl": headers.get("cache-control"),
            "metadata": {
                name.removeprefix(_PREFIX): value
                for name, value in headers.items()
                if name.startswith(_PREFIX)
            },
        }

    def copy(self, told: dict[str, Any]) -> None:
        source = CopySource(told["bucket"], told["from"])
        self._client.copy_object(told["bucket"], told["to"], source)

    def copy_by_parts(self, told: dict[str, Any]) -> None:
        """Compose the object of ranges of its source; the description is given again."""
        found = self.stat({"bucket": told["bucket"], "key": told["from"]})
        size, part_size = found["size"], told["partSize"]
        sources = [
            ComposeSource(
                told["bucket"], told["from"], offset=start, length=min(part_size, size - start)
            )
            for start in range(0, size, part_size)
        ]
        self._client.compose_object(
            told["bucket"],
            told["to"],
            sources,
            metadata={
                "Content-Type": found["contentType"],
                "Cache-Control": found["cacheControl"],
                **found["metadata"],
            },
        )

    def remove(self, told: dict[str, Any]) -> None:
        objects = [DeleteObject(key) for key in told["keys"]]
        for error in self._client.remove_objects(told["bucket"], objects):
            raise RuntimeError(f"{error.name}: {error.code}")


def _quoted(etag: str | None) -> str:
    """The SDK gives the ETag without its quotes."""
    return f'"{etag}"'


def _answers(commands: Commands) -> Iterator[dict[str, Any]]:
    methods = {
        "makeBucket": commands.make_bucket,
        "removeBucket": commands.remove_bucket,
        "put": commands.put,
        "get": commands.get,
        "list": commands.list,
        "stat": commands.stat,
        "copy": commands.copy,
        "copyByParts": commands.copy_by_parts,
        "remove": commands.remove,
    }
    for line in sys.stdin:
        told = json.loads(line)
        try:
            yield {"result": methods[told.pop("do")](told)}
        except S3Error as error:
            yield {"error": error.code, "message": str(error)}
        except (ValueError, RuntimeError) as error:
            yield {"error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    environ = os.environ
    served = Commands(environ["S3_ENDPOINT"], environ["S3_ACCESS_KEY"], environ["S3_SECRET_KEY"])
    for answer in _answers(served):
        print(json.dumps(answer), flush=True)
