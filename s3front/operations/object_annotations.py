"""Annotations of objects: there are none, and reads and removals of them say so.

Amazon S3 API reference, ListObjectAnnotations, GetObjectAnnotation and DeleteObjectAnnotation.
"""

from __future__ import annotations

from s3front.context import Context
from s3front.operations.get_object import existing_record
from s3front.operations.parameters import bounded_integer
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import element
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error

_PAGE_MAX = 1000


async def list_object_annotations(context: Context, _request: Request) -> Reply:
    """The annotations of an object."""
    existing_record(context, context.current)
    query = context.target.query
    most = bounded_integer(query, "max-annotation-results", _PAGE_MAX, 1, _PAGE_MAX)
    content = (
        element("Bucket", context.bucket.name)
        + element("Key", context.key)
        + element("AnnotationPrefix", query.get("annotation-prefix"))
        + element("MaxAnnotationResults", most)
        + element("AnnotationCount", 0)
    )
    return xml_reply("ListObjectAnnotationsResult", content)


async def get_object_annotation(context: Context, _request: Request) -> Reply:
    """One annotation, by its name."""
    existing_record(context, context.current)
    raise S3Error("NoSuchAnnotation")


async def delete_object_annotation(context: Context, _request: Request) -> Reply:
    """Remove one annotation; that it is not there is no error."""
    existing_record(context, context.current, changes=True)
    return Reply(204)


LIST_OBJECT_ANNOTATIONS = Operation(
    "ListObjectAnnotations",
    Level.OBJECT,
    list_object_annotations,
    ("s3:ListObjectAnnotations",),
    version_actions=("s3:ListObjectVersionAnnotations",),
    parameters=frozenset(("annotation-prefix", "max-annotation-results")),
)
GET_OBJECT_ANNOTATION = Operation(
    "GetObjectAnnotation",
    Level.OBJECT,
    get_object_annotation,
    ("s3:GetObjectAnnotation",),
    version_actions=("s3:GetObjectVersionAnnotation",),
)
DELETE_OBJECT_ANNOTATION = Operation(
    "DeleteObjectAnnotation",
    Level.OBJECT,
    delete_object_annotation,
    ("s3:DeleteObjectAnnotation",),
    version_actions=("s3:DeleteObjectVersionAnnotation",),
)
