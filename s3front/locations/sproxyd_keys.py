"""Keys of blobs in a RING, as sproxyd takes them: twenty bytes, in forty upper-case hex digits.

| bytes | what |
|---|---|
| 0 to 7 | random |
| 8 to 11 | of the MD5s of namespace, owner and bucket, mixed |
| 12 to 14 | of the MD5 of the bucket |
| 15 | the service, 0x59 for S3 |
| 16 to 18 | random |
| 19 | the class of service, in the upper half |

Follows reference/cloudserver-features.md, section 5. There the random bytes are drawn for each
blob; here they come from its mark, so that it is found again without its key. A location is not
told whose a bucket is: all are an owner's without a name.
"""

from __future__ import annotations

import re
from hashlib import md5, sha256
from typing import Final

KEY: Final = re.compile("[0-9A-Fa-f]{40}")
"""What is asked for; a record may name anything, and must not make a request of it."""

_SERVICE: Final = 0x59
_NAMESPACE: Final = "default"
_OWNER: Final = ""


def sproxyd_key(bucket: str, mark: str, class_of_service: int) -> str:
    """The key of the blob with this mark, for an object of this bucket; the class is 0 to 15."""
    random = sha256(mark.encode()).digest()
    namespace, owner = _digest(_NAMESPACE), _digest(_OWNER)
    of_bucket = _digest(bucket)
    mixed = (
        namespace[0],
        namespace[1] ^ owner[0],
        owner[1],
        owner[2] ^ of_bucket[0],
    )
    key = b"".join(
        (
            random[:8],
            bytes(mixed),
            of_bucket[1:4],
            bytes((_SERVICE,)),
            random[8:11],
            bytes((class_of_service << 4,)),
        )
    )
    return key.hex().upper()


def _digest(text: str) -> bytes:
    return md5(text.encode(), usedforsecurity=False).digest()
