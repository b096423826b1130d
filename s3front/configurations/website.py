"""The website that a bucket is. Pure.

CloudServer may have stored one; it is neither shown nor served here.
"""

from __future__ import annotations

from s3front.configurations.base import Configuration, not_found

WEBSITE = Configuration(
    "website",
    "GetBucketWebsite",
    "s3:GetBucketWebsite",
    not_found("NoSuchWebsiteConfiguration"),
    delete="DeleteBucketWebsite",
    delete_action="s3:DeleteBucketWebsite",
    member="websiteConfiguration",
)
