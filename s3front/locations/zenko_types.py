"""Locations as Zenko writes them, in the terms of locationConfig.json. Pure.

Zenko names types with a version (``location-aws-s3-v1``), calls the member ``locationType``, and
has the same names of details for all clouds. Where a service of S3's kind has habits of its own,
the type says so: RING and Ceph want the bucket in the path, Spaces keep no versions
(scality/cloudserver and scality/backbeat, as far as they are public).

A secret is taken as it stands: those that Zenko itself encrypts are for it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

Details = Mapping[str, Any]

_AMAZON: Final = "s3.amazonaws.com"
_GOOGLE: Final = "storage.googleapis.com"

ITS_OWN_MEMBERS: Final = frozenset({"name", "isBuiltin"})
"""Members of Zenko's entries that say nothing of a place."""


def _with(details: Details, **more: Any) -> Details:
    """The details that are known, without those that are None or empty."""
    known = {name: value for name, value in more.items() if value not in (None, "")}
    return known | {name: value for name, value in details.items() if name not in _ZENKOS}


_ZENKOS: Final = frozenset({
    "accessKey",
    "bootstrapList",
    "bucketName",
    "chordCos",
    "endpoint",
    "mpuBucketName",
    "proxyPath",
    "secretKey",
})  # fmt: skip
"""Details that have another name, or another place, in locationConfig.json."""


def _plain(details: Details) -> Details:
    return {name: value for name, value in details.items() if value != []}


def _credentials(details: Details) -> Details | None:
    if "accessKey" not in details and "secretKey" not in details:
        return None
    return {name: details[name] for name in ("accessKey", "secretKey") if name in details}


def _s3(details: Details, **habits: Any) -> Details:
    if not _is_zenkos(details):
        return details
    return _with(
        {**habits, **details},
        awsEndpoint=details.get("endpoint") or _AMAZON,
        bucketName=details.get("bucketName"),
        credentials=_credentials(details),
    )


def _is_zenkos(details: Details) -> bool:
    """Whether they are in Zenko's terms, and not in those of the file already."""
    return not any(name in details for name in ("awsEndpoint", "gcpEndpoint", "credentials"))


def _in_path(details: Details) -> Details:
    return _s3(details, pathStyle=True)


def _spaces(details: Details) -> Details:
    return _s3(details, supportsVersioning=False)


def _google(details: Details) -> Details:
    if not _is_zenkos(details):
        return details
    endpoint = str(details.get("endpoint") or _GOOGLE)
    host = urlsplit(endpoint).netloc if "://" in endpoint else endpoint
    return _with(
        details,
        gcpEndpoint=host,
        bucketName=details.get("bucketName"),
        mpuBucketName=details.get("mpuBucketName"),
        credentials=_credentials(details),
    )


def _azure(details: Details) -> Details:
    if "azureContainerName" in details:
        return details
    return _with(
        details,
        azureStorageEndpoint=details.get("endpoint"),
        azureContainerName=details.get("bucketName"),
        azureStorageAccountName=details.get("accessKey"),
        azureStorageAccessKey=details.get("secretKey"),
    )


def _sproxyd(details: Details) -> Details:
    if "connector" in details:
        return details
    sproxyd = {
        "bootstrap": details.get("bootstrapList"),
        "chordCos": details.get("chordCos"),
        "path": details.get("proxyPath"),
    }
    known = {name: value for name, value in sproxyd.items() if value not in (None, "")}
    return _with(details, connector={"sproxyd": known})


def _hyperdrive(details: Details) -> Details:
    if "connector" in details:
        return details
    return _with(details, connector={"hdclient": {"bootstrap": details.get("bootstrapList")}})


_TYPES: Final[Mapping[str, tuple[str, Callable[[Details], Details]]]] = {
    "location-mem-v1": ("mem", _plain),
    "location-file-v1": ("file", _plain),
    "location-scality-ring-s3-v1": ("aws_s3", _in_path),
    "location-scality-artesca-s3-v1": ("aws_s3", _in_path),
    "location-jaguar-ring-s3-v1": ("aws_s3", _in_path),
    "location-orange-ring-s3-v1": ("aws_s3", _in_path),
    "location-ceph-radosgw-s3-v1": ("aws_s3", _in_path),
    "location-aws-s3-v1": ("aws_s3", _s3),
    "location-wasabi-v1": ("aws_s3", _s3),
    "location-do-spaces-v1": ("aws_s3", _spaces),
    "location-gcp-v1": ("gcp", _google),
    "location-azure-v1": ("azure", _azure),
    "location-azure-archive-v1": ("azure_archive", _plain),
    "location-dmf-v1": ("dmf", _plain),
    "location-nfs-mount-v1": ("pfs", _plain),
    "location-scality-sproxyd-v1": ("scality", _sproxyd),
    "location-scality-hdclient-v2": ("scality", _hyperdrive),
}


def in_our_terms(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry of locationConfig.json that may be one of Zenko's, as one that is not.

    Of an entry without ``type``, ``locationType`` is the type. What is not known stays as it is.
    """
    if "type" not in entry and "locationType" in entry:
        entry = {"type": entry["locationType"], **entry}
        entry = {name: value for name, value in entry.items() if name != "locationType"}
    given = entry.get("type")
    if not isinstance(given, str) or given not in _TYPES:
        return entry
    kind, translate = _TYPES[given]
    details = entry.get("details", {})
    if isinstance(details, Mapping):
        details = translate({name: value for name, value in details.items() if value is not None})
    kept = {name: value for name, value in entry.items() if name not in ITS_OWN_MEMBERS}
    return {**kept, "type": kind, "details": details}
