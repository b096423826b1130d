"""S3's operations, one family a file, and the table that routes requests to them."""

from s3front.operations import (
    buckets,
    delete_objects,
    get_object,
    list_objects,
    put_object,
    service,
)
from s3front.routes import LIST_TYPE, Routes


def routes() -> Routes:
    """Every operation that is implemented."""
    table = Routes()
    table.add("GET", service.LIST_BUCKETS)
    table.add("PUT", buckets.CREATE_BUCKET)
    table.add("HEAD", buckets.HEAD_BUCKET)
    table.add("DELETE", buckets.DELETE_BUCKET)
    table.add("GET", buckets.GET_BUCKET_LOCATION, "location")
    table.add("GET", list_objects.LIST_OBJECTS)
    table.add("GET", list_objects.LIST_OBJECTS_V2, LIST_TYPE)
    table.add("POST", delete_objects.DELETE_OBJECTS, "delete")
    table.add("PUT", put_object.PUT_OBJECT)
    table.add("GET", get_object.GET_OBJECT)
    table.add("HEAD", get_object.HEAD_OBJECT)
    table.add("DELETE", delete_objects.DELETE_OBJECT)
    return table
