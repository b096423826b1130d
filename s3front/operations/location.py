"""Which location the bytes of a request go to."""

from __future__ import annotations

from s3front.context import Context
from s3front.request import Headers
from shared.errors import ServiceError

LOCATION_HEADER = "x-amz-meta-scal-location-constraint"


def chosen_location(context: Context, headers: Headers) -> str:
    """The name of the location: the request's choice, else the bucket's."""
    wanted = headers.get(LOCATION_HEADER)
    if wanted is None:
        return context.bucket.record.location
    if context.services.locations.find(wanted) is None:
        raise ServiceError(
            "InvalidArgument",
            "Object Location Constraint Info is invalid",
            {"ArgumentName": LOCATION_HEADER, "ArgumentValue": wanted},
        )
    return wanted
