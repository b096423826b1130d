"""Pages of websites: requests to a host of ``websiteEndpoints``, which names the bucket.

No bucket can be made a website yet. A request for one is answered as AWS does for a bucket that is
none; one that CloudServer made a website is refused by name. Anybody may ask, and signatures count
for nothing there. Errors are pages (``s3front.reply_stages``).

Source: Amazon S3 user guide, "Website endpoints".
"""

from __future__ import annotations

from s3front.configurations.website import WEBSITE
from s3front.context import Context
from s3front.port.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error, not_implemented


async def get_page(context: Context, _request: Request) -> Reply:
    """A page, or what HEAD tells of it: there is none."""
    bucket = context.stored_bucket
    if bucket is None:
        raise S3Error("NoSuchBucket", fields={"BucketName": context.target.bucket or ""})
    if WEBSITE.is_set(bucket.record):
        raise not_implemented("the website that this bucket is for another server")
    raise S3Error("NoSuchWebsiteConfiguration", fields={"BucketName": bucket.name})


GET_PAGE = Operation("GetWebsitePage", Level.BUCKET, get_page, ())
SERVICE_PAGE = Operation("GetWebsitePage", Level.SERVICE, get_page, ())
"""Of the host itself, which names no bucket."""
