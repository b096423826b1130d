"""Keys and variables of CloudServer that this version knows but does not act upon.

A configuration that worked with CloudServer must not be refused for them, nor may they be
ignored in silence: each one that is present becomes one warning. Follows
``reference/cloudserver-features.md``, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.config.documents import Document
from shared.config.errors import ENVIRONMENT, ConfigError

SET_ASIDE: Final = frozenset({
    "backbeat",
    "bucketNotificationDestinations",
    "bucketd",
    "cdmi",
    "kms",
    "kmsHideScalityArn",
    "lifecycleRoleName",
    "localCache.retry",
    "managementAgent",
    "maxScannedLifecycleListingEntries",
    "metricsListenOn",
    "metricsPort",
    "mongodb",
    "multiObjectDeleteConcurrency",
    "multiObjectDeleteEnableOptimizations",
    "overlayVersion",
    "pfsClient",
    "pfsDaemon",
    "quota",
    "redis.retry",
    "replicationEndpoints",
    "reportToken",
    "scuba",
    "testingMode",
    "utapi",
    "vaultd",
    "workflowEngineOperator",
})  # fmt: skip
"""Dotted keys of config.json that are taken out, whatever they hold, before it is validated."""

WITHOUT_EFFECT: Final = SET_ASIDE | {"localCache", "log.dumpLevel", "redis"}
"""Dotted keys that cause a warning. The ones not set aside are validated and kept."""

_DEPRECATED: Final = {
    "regions": "is no longer supported; describe locations in locationConfig.json",
    "sproxyd": "is no longer supported; describe locations in locationConfig.json",
    "usEastBehavior": "is no longer supported; set legacyAwsBehavior in locationConfig.json",
}

_VARIABLES_WITHOUT_EFFECT: Final = (
    "BUCKET_DENY_FILTER",
    "CRR_METRICS_HOST",
    "ENABLE_LOCAL_CACHE",
    "ENABLE_UTAPI_V2",
    "MANAGEMENT_ENDPOINT",
    "MONGODB_HOSTS",
    "PFSD_HOST",
    "REDIS_HA_HOST",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_SENTINELS",
    "S3QUOTA",
    "S3_REPLICATION_FILE",
    "SCUBA_HOST",
    "STORAGE_LIMIT_ENABLED",
    "VAULTD_HOST",
    "WE_OPERATOR_HOST",
)

_NOTE: Final = "known from CloudServer, has no effect in this version"


def set_aside(document: Document, file: str) -> tuple[Document, tuple[str, ...]]:
    """The document without the keys that nothing acts upon, and one warning for each.

    Raises ConfigError for a deprecated key.
    """
    for key, reason in _DEPRECATED.items():
        if key in document:
            raise ConfigError(file, key, reason)
    remaining = dict(document)
    warnings = []
    for dotted_key in sorted(WITHOUT_EFFECT):
        parent, _, key = dotted_key.rpartition(".")
        holder = remaining.get(parent) if parent else remaining
        if not isinstance(holder, dict) or key not in holder:
            continue
        warnings.append(f"{file}: {dotted_key}: {_NOTE}")
        if dotted_key in SET_ASIDE:
            holder = {name: value for name, value in holder.items() if name != key}
            remaining = remaining | {parent: holder} if parent else holder
    return remaining, tuple(warnings)


def variable_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """One warning for each variable of CloudServer's that is set and that nothing acts upon."""
    return tuple(
        f"{ENVIRONMENT}: {name}: {_NOTE}" for name in _VARIABLES_WITHOUT_EFFECT if environ.get(name)
    )
