"""S3's operations, one family a file, and the table that routes requests to them."""

from s3front.operations import (
    bucket_acl,
    bucket_policy,
    buckets,
    complete_upload,
    configurations,
    copy_object,
    delete_objects,
    encrypted_buckets,
    get_object,
    list_buckets,
    list_object_versions,
    list_objects,
    object_acl,
    object_annotations,
    object_attributes,
    object_tagging,
    post_object,
    preflight,
    put_object,
    rename_object,
    restore_object,
    retention,
    upload_part,
    uploads,
    website_page,
)
from s3front.routes import COPIED, COPIED_PART, LIST_TYPE, PAGE, Routes, one_of


def routes() -> Routes:
    """Every operation that is implemented."""
    table = Routes()
    table.add("GET", list_buckets.LIST_BUCKETS)
    table.add("PUT", buckets.CREATE_BUCKET)
    table.add("HEAD", buckets.HEAD_BUCKET)
    table.add("DELETE", buckets.DELETE_BUCKET)
    table.add("GET", buckets.GET_BUCKET_LOCATION, "location")
    table.add("GET", list_objects.LIST_OBJECTS)
    table.add("GET", list_objects.LIST_OBJECTS_V2, LIST_TYPE)
    table.add("GET", list_object_versions.LIST_OBJECT_VERSIONS, "versions")
    table.add("POST", delete_objects.DELETE_OBJECTS, "delete")
    table.add("PUT", put_object.PUT_OBJECT)
    table.add("POST", post_object.POST_OBJECT)
    table.add("GET", get_object.GET_OBJECT)
    table.add("GET", get_object.GET_OBJECT, "partNumber")
    table.add("HEAD", get_object.HEAD_OBJECT)
    table.add("HEAD", get_object.HEAD_OBJECT, "partNumber")
    table.add("GET", object_attributes.GET_OBJECT_ATTRIBUTES, "attributes")
    table.add("DELETE", delete_objects.DELETE_OBJECT)
    table.add("GET", uploads.LIST_MULTIPART_UPLOADS, "uploads")
    table.add("POST", uploads.CREATE_MULTIPART_UPLOAD, "uploads")
    table.add("PUT", upload_part.UPLOAD_PART, "uploadId")
    table.add("GET", uploads.LIST_PARTS, "uploadId")
    table.add("POST", complete_upload.COMPLETE_MULTIPART_UPLOAD, "uploadId")
    table.add("DELETE", uploads.ABORT_MULTIPART_UPLOAD, "uploadId")
    table.add("PUT", copy_object.COPY_OBJECT, COPIED)
    table.add("PUT", copy_object.UPLOAD_PART_COPY, COPIED_PART)
    table.add("PUT", rename_object.RENAME_OBJECT, "renameObject")
    table.add("POST", restore_object.RESTORE_OBJECT, "restore")
    table.add("GET", object_tagging.GET_OBJECT_TAGGING, "tagging")
    table.add("PUT", object_tagging.PUT_OBJECT_TAGGING, "tagging")
    table.add("DELETE", object_tagging.DELETE_OBJECT_TAGGING, "tagging")
    table.add("GET", retention.GET_OBJECT_RETENTION, "retention")
    table.add("PUT", retention.PUT_OBJECT_RETENTION, "retention")
    table.add("GET", retention.GET_OBJECT_LEGAL_HOLD, "legal-hold")
    table.add("PUT", retention.PUT_OBJECT_LEGAL_HOLD, "legal-hold")
    table.add("GET", object_annotations.LIST_OBJECT_ANNOTATIONS, "annotation")
    table.add("GET", object_annotations.GET_OBJECT_ANNOTATION, one_of("annotation"))
    table.add("DELETE", object_annotations.DELETE_OBJECT_ANNOTATION, one_of("annotation"))
    table.add("OPTIONS", preflight.PREFLIGHT)
    table.add("OPTIONS", preflight.SERVICE_PREFLIGHT)
    for method in ("GET", "HEAD"):
        table.add(method, website_page.GET_PAGE, PAGE)
        table.add(method, website_page.SERVICE_PAGE, PAGE)
    configurations.add_to(table)
    _add_access(table)
    table.add("GET", encrypted_buckets.GET_BUCKET_ENCRYPTION, "encryption")
    table.add("PUT", encrypted_buckets.PUT_BUCKET_ENCRYPTION, "encryption")
    return table


def _add_access(table: Routes) -> None:
    """Who may what with a bucket, and with what is in it."""
    table.add("GET", bucket_acl.GET_BUCKET_ACL, "acl")
    table.add("PUT", bucket_acl.PUT_BUCKET_ACL, "acl")
    table.add("GET", object_acl.GET_OBJECT_ACL, "acl")
    table.add("PUT", object_acl.PUT_OBJECT_ACL, "acl")
    table.add("GET", bucket_policy.GET_BUCKET_POLICY, "policy")
    table.add("PUT", bucket_policy.PUT_BUCKET_POLICY, "policy")
    table.add("DELETE", bucket_policy.DELETE_BUCKET_POLICY, "policy")
    table.add("GET", bucket_policy.GET_BUCKET_POLICY_STATUS, "policyStatus")
