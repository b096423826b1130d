"""Which location the bytes of a request go to."""

from __future__ import annotations

from collections.abc import Mapping

from s3front.bodies.stored_body import Destination
from s3front.context import Context
from s3front.locations.base import ObjectInfo
from s3front.locations.location_config import Location
from s3front.objects.protection import refuse_bucket
from s3front.operations.object_headers import DescribedObject
from s3front.port.request import Headers
from s3front.s3_errors import S3Error

LOCATION_HEADER = "x-amz-meta-scal-location-constraint"


def chosen_location(context: Context, headers: Headers) -> str:
    """The name of the location: the request's choice, else the bucket's.

    Raises InvalidArgument, and NotImplemented where nothing can be stored as it has to be.
    """
    refuse_bucket(context.bucket.record)
    wanted = headers.get(LOCATION_HEADER)
    if wanted is None:
        return context.bucket.record.location
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


def destination(
    context: Context, location: str, described: DescribedObject, tags: Mapping[str, str]
) -> Destination:
    """Where the bytes of the target go: to the ``location``. Raises NotImplemented for one that
    nothing can be kept in."""
    store = context.services.locations.store(location)
    return Destination(store, location, info_of(context, described, tags))


def info_of(context: Context, described: DescribedObject, tags: Mapping[str, str]) -> ObjectInfo:
    """What a place may keep beside the bytes of the target."""
    target = context.target
    assert target.bucket is not None
    assert target.key is not None
    return ObjectInfo(
        target.bucket,
        target.key,
        described.content_type,
        described.user_metadata,
        described.standard,
        tags,
    )


def unsupported_type(location: Location) -> str:
    """Why nothing can be kept in a location."""
    return f"this server does not support locations of type {location.type}"
