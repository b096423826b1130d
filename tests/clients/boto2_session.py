"""What a program written for boto2 does with one bucket; run by its test, in boto2's environment.

Arguments: host, port, access key, secret key, bucket. Prints what it found, as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import urllib.request

import boto  # type: ignore[import-not-found]
from boto.s3.connection import OrdinaryCallingFormat  # type: ignore[import-not-found]

KEY = "a b/ü+%.txt"


def main() -> None:
    host, port, access_key, secret_key, name = sys.argv[1:]
    connection = boto.connect_s3(
        access_key,
        secret_key,
        host=host,
        port=int(port),
        is_secure=False,
        calling_format=OrdinaryCallingFormat(),
    )
    bucket = connection.create_bucket(name)
    key = bucket.new_key(KEY)
    key.set_metadata("one", "grün")
    key.set_contents_from_string("body", headers={"Content-Type": "text/plain"})
    key = bucket.get_key(KEY)
    with urllib.request.urlopen(key.generate_url(60)) as opened:  # noqa: S310  # our own server
        presigned = opened.read().decode()
    upload = bucket.initiate_multipart_upload("parts")
    upload.upload_part_from_file(io.BytesIO(b"x" * 5 * 2**20), 1)
    upload.upload_part_from_file(io.BytesIO(b"y"), 2)
    upload.complete_upload()
    bucket.copy_key("copy", name, KEY)
    found = {
        "body": key.get_contents_as_string(encoding="utf-8"),
        "presigned": presigned,
        "type": key.content_type,
        "metadata": key.get_metadata("one"),
        "sizes": {entry.name: entry.size for entry in bucket.list()},
    }
    removed = bucket.delete_keys([entry.name for entry in bucket.list()])
    found["errors"] = len(removed.errors)
    bucket.delete()
    print(json.dumps(found))


main()
