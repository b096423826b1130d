"""What a request to a host means that nobody has configured. Pure.

``photos.nas.lan`` may be a server called so, which has its buckets in the path, or the bucket
``photos`` of a server ``nas.lan``. A wrong guess makes or deletes what nobody spoke of, and answers
that all is well: so what changes anything is never guessed.

Rules:

1. A beginning of the host that is a bucket of the sender's is the bucket. Of a host of two labels
   (``nas.lan``) that may be a coincidence when the path begins with a bucket as well: then nothing
   is done.
2. Else, a bucket that exists is taken from the path. To create it again is answered with 409, by
   which clients know that it is there (rclone creates the bucket before each upload): 200 would
   tell somebody who uploaded an object that it is stored. To remove it is refused: somebody may
   mean an object called so, in a bucket that has gone.
3. Else, only what does no harm either way is answered: a list of the sender's buckets, and HEAD.
4. Where the first label cannot be a bucket (``s3.example.com``: it is too short), the bucket is in
   the path. A bucket with a full stop in its name can still be meant when something like a host is
   left behind it.
5. Everything else is refused with InvalidURI, as CloudServer refuses all requests to such hosts,
   and the message says what to configure.

Of a sender who is not known, any bucket is taken for theirs, and two that exist are refused: else
everybody could make a bucket that is found in another's place.

What a signature tells counts before this: Version 2 covers the bucket, and Version 4 the host, if
proxies leave a choice (``s3front.addressed``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from s3front.port.target import Target, Undecided, is_bucket_name
from s3front.s3_errors import S3Error

_OF_LIST_BUCKETS: Final = frozenset(
    ("bucket-region", "continuation-token", "max-buckets", "prefix", "x-id")
)
_OF_A_SIGNATURE: Final = frozenset(("awsaccesskeyid", "expires", "signature"))
_LABELS_OF_A_COINCIDENCE: Final = 2


def names_to_look_up(undecided: Undecided) -> list[str]:
    """The buckets whose existence decides."""
    segment = undecided.segment
    named = [segment] if is_bucket_name(segment) else []
    return list(dict.fromkeys((*undecided.candidates, *named)))


def decide(
    undecided: Undecided,
    method: str,
    buckets: Mapping[str, bool],
    sub_resources: Collection[str],
    *,
    anonymous: bool,
) -> Target:
    """The target of a request. Raises InvalidURI, BucketAlreadyOwnedByYou, and what
    ``parse_target`` does.

    ``buckets`` are those of ``names_to_look_up`` that exist, and whether they are the sender's.
    With one of ``sub_resources`` in its query a request is about neither a bucket nor an object
    itself.
    """
    alone = not any(name in sub_resources for name in undecided.query)
    theirs = {name for name, own in buckets.items() if own or anonymous}
    in_host = [name for name in undecided.candidates if name in theirs]
    in_path = undecided.segment in buckets
    if method == "POST" and alone:
        # A form, which is for a bucket; its policy has to name it.
        in_host, in_path = ([], in_path) if undecided.path else (in_host, False)
    if len(in_host) > 1:
        raise _refusal(undecided)
    if in_host:
        coincidence = undecided.host.count(".") + 1 == _LABELS_OF_A_COINCIDENCE
        if in_path and (coincidence or anonymous):
            raise _refusal(undecided)
        return undecided.by_host(in_host[0])
    if in_path:
        if undecided.segment in theirs and alone and _is_bucket(undecided):
            if method == "PUT":
                fields = {"BucketName": undecided.segment}
                raise S3Error("BucketAlreadyOwnedByYou", fields=fields)
            if method == "DELETE" and _can_name_a_bucket(undecided):
                raise _refusal(undecided)
        return undecided.by_path()
    if not _can_name_a_bucket(undecided):
        return undecided.by_path()
    if method in ("HEAD", "OPTIONS"):
        # By path, that is nothing that there is.
        if not is_bucket_name(undecided.segment):
            return undecided.by_host(undecided.candidates[0])
        return undecided.by_path()
    if method == "GET" and not undecided.path and _is_list_buckets(undecided):
        return undecided.by_path()
    raise _refusal(undecided)


def _can_name_a_bucket(undecided: Undecided) -> bool:
    """Whether a bucket that does not exist, or is another's, can be meant by the host."""
    first = undecided.candidates[0]
    return "." not in first or "." in undecided.host.removeprefix(f"{first}.")


def _is_bucket(undecided: Undecided) -> bool:
    """Whether the path is a bucket's: PUT makes it, DELETE removes it. A slash behind the bucket
    means nothing."""
    return not undecided.path.partition("/")[2]


def _is_list_buckets(undecided: Undecided) -> bool:
    """Whether all parameters are those of ListBuckets, and not of a listing of objects."""
    query = undecided.query
    return query.get("x-id", "ListBuckets") == "ListBuckets" and all(
        name in _OF_LIST_BUCKETS
        or name.lower() in _OF_A_SIGNATURE
        or name.lower().startswith("x-amz-")
        for name in query
    )


def _refusal(undecided: Undecided) -> S3Error:
    """InvalidURI, with what makes it right for those who meant the one, or the other."""
    host = undecided.host
    first = undecided.candidates[0]
    rest = host.removeprefix(f"{first}.")
    return S3Error(
        "InvalidURI",
        f"The host {host} is not configured here, so the bucket of this request is not known. "
        f"If the bucket is {first}, add {rest} to restEndpoints in config.json, or to the "
        f"environment variable ENDPOINT (ENDPOINT={rest}). If the bucket is in the path, add "
        f"{host} (ENDPOINT={host}). Nothing was done.",
        {"URI": undecided.raw_path},
    )
