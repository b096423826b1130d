"""Makers of the keepers that ask a service: each with what stands between (``resilient_keys``,
``data_key_cache``), and imported on first use, as most installations have none of them.

Call them inside the event loop. They raise ConfigError.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from s3front.keys.base import MasterKeys, ServiceKeys
from s3front.keys.making import Making
from s3front.locations.location_config import Written
from s3front.locations.outbound import is_here

CACHE_SECONDS_MAX: Final = 24 * 3600


def vault(making: Making) -> MasterKeys:
    """That of ``encryption.vault``."""
    from s3front.keys.vault import make_vault  # noqa: PLC0415  # on first use

    settings = making.described.encryption.vault
    assert settings is not None
    _warn_of_plain_http(settings.address, "encryption.vault.address", making)
    return guarded(make_vault(settings, making, os.environ), making)


def aws(making: Making) -> MasterKeys:
    """That of ``kmsAWS``."""
    from s3front.keys.aws_kms import make_aws_kms  # noqa: PLC0415  # on first use

    settings = making.described.kms_aws
    assert settings is not None
    _warn_of_plain_http(settings.endpoint, "kmsAWS.endpoint", making)
    written = Written(making.described.file, "kmsAWS", "kmsAWS", os.environ, Path())
    return guarded(make_aws_kms(settings, written, making.outbound), making)


def kmip(making: Making) -> MasterKeys:
    """That of ``kmip``."""
    from s3front.keys.kmip import make_kmip  # noqa: PLC0415  # on first use

    settings = making.described.kmip
    assert settings is not None
    return guarded(make_kmip(settings, making.described.file, making.log), making)


def pkcs11(making: Making) -> MasterKeys:
    """That of ``encryption.pkcs11``."""
    from s3front.keys.hsm import make_hsm  # noqa: PLC0415  # on first use

    settings = making.described.encryption.pkcs11
    assert settings is not None
    return guarded(make_hsm(settings, making.described.file), making)


def guarded(inner: ServiceKeys, making: Making) -> MasterKeys:
    """A keeper that asks once, with what requests need in front of it."""
    from s3front.keys.data_key_cache import CachedKeys, CacheLimits  # noqa: PLC0415
    from s3front.keys.resilient_keys import ResilientKeys  # noqa: PLC0415

    settings = making.described.encryption
    seconds = min(settings.cache_seconds, CACHE_SECONDS_MAX)
    limits = CacheLimits(seconds, settings.cache_uses_max)
    return CachedKeys(ResilientKeys(inner, settings.timeout_ms / 1000, making.log), limits)


def _warn_of_plain_http(address: str | None, key: str, making: Making) -> None:
    """Of a key service on another machine: its answers have data keys in the clear in them."""
    found = urlsplit(address or "")
    if found.scheme == "http" and not is_here(found.hostname or ""):
        making.log.warning(
            "the key service is asked over plain HTTP: whoever sees that traffic has the keys of "
            "what is encrypted, and what this server is let in by. Use https",
            file=making.described.file,
            key=key,
            host=found.hostname,
        )
