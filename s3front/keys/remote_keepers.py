"""Makers of the keepers that ask a service: each with what stands between (``resilient_keys``,
``data_key_cache``), and imported on first use, as most installations have none of them.

Call them inside the event loop. They raise ConfigError.
"""

from __future__ import annotations

import os
from pathlib import Path

from s3front.keys.base import MasterKeys
from s3front.locations.location_config import Written
from shared.config.encryption import Keepers
from shared.process.logs import EventLog


def vault(described: Keepers, log: EventLog) -> MasterKeys:
    """That of ``encryption.vault``."""
    from s3front.keys.vault import make_vault  # noqa: PLC0415  # on first use

    assert described.encryption.vault is not None
    return guarded(make_vault(described.encryption.vault, described.file, log), described, log)


def aws(described: Keepers, log: EventLog) -> MasterKeys:
    """That of ``kmsAWS``."""
    from s3front.keys.aws_kms import make_aws_kms  # noqa: PLC0415  # on first use

    assert described.kms_aws is not None
    written = Written(described.file, "kmsAWS", "kmsAWS", os.environ, Path())
    return guarded(make_aws_kms(described.kms_aws, written, log), described, log)


def kmip(described: Keepers, log: EventLog) -> MasterKeys:
    """That of ``kmip``."""
    from s3front.keys.kmip import make_kmip  # noqa: PLC0415  # on first use

    assert described.kmip is not None
    return guarded(make_kmip(described.kmip, described.file, log), described, log)


def pkcs11(described: Keepers, log: EventLog) -> MasterKeys:
    """That of ``encryption.pkcs11``."""
    from s3front.keys.hsm import make_hsm  # noqa: PLC0415  # on first use

    assert described.encryption.pkcs11 is not None
    return guarded(make_hsm(described.encryption.pkcs11, described.file), described, log)


def guarded(inner: MasterKeys, described: Keepers, log: EventLog) -> MasterKeys:
    """A keeper that asks once, with what requests need in front of it."""
    from s3front.keys.data_key_cache import CachedKeys, CacheLimits  # noqa: PLC0415
    from s3front.keys.resilient_keys import ResilientKeys  # noqa: PLC0415

    settings = described.encryption
    limits = CacheLimits(settings.cache_seconds, settings.cache_uses_max)
    return CachedKeys(ResilientKeys(inner, settings.timeout_ms / 1000, log), limits)
