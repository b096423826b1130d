"""Decrypts an object from what is stored of it, given its record and the master key: after
docs/encryption.md alone. It shares no code with the server.

    python -m tests.decrypt_blob BUCKET RECORD.json KEYRING.json BLOB… > plain

Blobs are given in the order of the record's ``location``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEGMENT, TAG, HEADER = 65_536, 16, 32


def derived(secret: bytes, info: bytes) -> bytes:
    return hashlib.sha256(b"\0\0\0\1" + secret + info).digest()


def blob_key(entry: dict[str, Any], bucket: str, key: str, wrapping_key: bytes) -> bytes:
    packed = base64.b64decode(entry["cipheredDataKey"])
    assert packed[0] == 1
    salt, sealed = packed[1:17], packed[17:]
    names = [text.encode() for text in (entry["masterKeyId"], bucket, key)]
    bound = b"".join(len(name).to_bytes(4, "big") + name for name in names)
    bound += entry["blobNumber"].to_bytes(8, "big")
    cipher = AESGCM(derived(wrapping_key, b"twofold wrapping 1" + salt))
    return cipher.decrypt(bytes(12), sealed, bound)


def decrypt(blob: bytes, key: bytes) -> bytes:
    """The plain bytes of a blob; raises InvalidTag, AssertionError."""
    key_id = derived(key, b"twofold key id 1")[:16]
    header = b"\x89TWOFOLD" + bytes([1, 16]) + bytes(6) + key_id
    assert blob[:HEADER] == header
    cipher = AESGCM(derived(key, b"twofold segments 1"))
    starts = range(HEADER, len(blob), SEGMENT + TAG)
    plain = b""
    for number, start in enumerate(starts):
        last = start + SEGMENT + TAG >= len(blob)
        nonce = number.to_bytes(11, "big") + bytes([last])
        plain += cipher.decrypt(nonce, blob[start : start + SEGMENT + TAG], header)
    return plain


def main(bucket: str, record: str, keyring: str, *blobs: str) -> None:
    document = json.loads(Path(record).read_text())
    keys = {key["id"]: key["secret"] for key in json.loads(Path(keyring).read_text())["keys"]}
    for entry, blob in zip(document["location"], blobs, strict=True):
        keeper, _, name = entry["masterKeyId"].partition(":")
        assert keeper == "file", f"the key is kept by {keeper}"
        opened = blob_key(entry, bucket, document["key"], base64.b64decode(keys[name]))
        sys.stdout.buffer.write(decrypt(Path(blob).read_bytes(), opened))


if __name__ == "__main__":
    main(*sys.argv[1:])
