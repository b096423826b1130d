"""Which location the bytes of a request go to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from s3front.bodies.stored_body import Destination
from s3front.context import Context
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import Protection
from s3front.locations.base import ObjectInfo
from s3front.locations.location_config import Location
from s3front.operations.object_headers import DescribedObject
from s3front.port.request import Headers
from s3front.s3_errors import S3Error
from shared.records.bucket import DEFAULT_LOCATION

_IN_METADATA: Final = "scal-location-constraint"

LOCATION_HEADER: Final = f"x-amz-meta-{_IN_METADATA}"
"""Names the location of one object. It is user metadata as well, and stays with the object."""

_LEGACY_LOCATIONS: Final = ("sproxyd", "legacy")
"""Where CloudServer keeps what goes into a bucket that is older than locations, if they exist."""


def chosen_location(context: Context, headers: Headers) -> str:
    """The name of the location, by the first of these that says it (manual, 2.3 and 2.7.1): the
    request, its bucket, the endpoint that it was sent to, and ``us-east-1``.

    Raises InvalidArgument.
    """
    wanted = headers.get(LOCATION_HEADER)
    if wanted is None:
        return _of_bucket(context)
    location = context.services.locations.find(wanted)
    if location is None or not location.is_supported:
        raise S3Error(
            "InvalidArgument",
            "Object Location Constraint Info is invalid"
            if location is None
            else f"Object Location Constraint Info is invalid: {unsupported_type(location)}",
            {"ArgumentName": LOCATION_HEADER, "ArgumentValue": wanted},
        )
    return wanted


def _of_bucket(context: Context) -> str:
    given = context.bucket.record.location_constraint
    if given is not None:
        return given
    services = context.services
    for name in _LEGACY_LOCATIONS:
        if services.locations.find(name) is not None:
            return name
    return services.endpoints.get(context.target.endpoint or "", DEFAULT_LOCATION)


def with_location_of(
    context: Context, headers: Headers, user_metadata: Mapping[str, str]
) -> Mapping[str, str]:
    """User metadata that a copy takes over from its source. If they name a location, that is where
    the source was to go: the copy goes where its own request says, or else its bucket, and tells
    that, as CloudServer has it."""
    wanted = headers.get(LOCATION_HEADER)
    if wanted is None and _IN_METADATA not in user_metadata:
        return user_metadata
    return {**user_metadata, _IN_METADATA: wanted or _of_bucket(context)}


def destination(
    context: Context, location: str, described: DescribedObject, tags: Mapping[str, str]
) -> Destination:
    """Where the bytes of the target go: to the ``location``. Raises NotImplemented for one that
    nothing can be kept in."""
    store = context.services.locations.store(location)
    return Destination(store, location, info_of(context, described, tags))


async def sealed_destination(
    context: Context, place: Destination, protection: Protection | None
) -> Destination:
    """The same, for bytes that are to be encrypted so. Raises S3Error when there is no key."""
    if protection is None:
        return place
    bucket = context.bucket
    bound, owner = BoundTo(bucket.name, context.key), bucket.record.owner_id
    return replace(place, sealing=await context.services.keys.sealing(protection, bound, owner))


def info_of(context: Context, described: DescribedObject, tags: Mapping[str, str]) -> ObjectInfo:
    """What a place may keep beside the bytes of the target. It is not told which location was
    chosen: a place may be a server that knows the header itself, and other locations."""
    target = context.target
    assert target.bucket is not None
    assert target.key is not None
    return ObjectInfo(
        target.bucket,
        target.key,
        described.content_type,
        {name: text for name, text in described.user_metadata.items() if name != _IN_METADATA},
        described.standard,
        tags,
    )


def unsupported_type(location: Location) -> str:
    """Why nothing can be kept in a location."""
    return f"this server does not support locations of type {location.type}"
