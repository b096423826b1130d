"""TLS towards a key service, from the files that are configured (``shared.tls``)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NamedTuple

from shared.tls import also_trust, load_identity, trusting_context

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class TlsFiles(NamedTuple):
    """PEM files: ``ca`` are the authorities to trust, those of the system where there are none;
    ``cert`` and ``key`` are what is shown."""

    ca: tuple[Path, ...] = ()
    cert: Path | None = None
    key: Path | None = None


def service_context(files: TlsFiles, file: str, key: str) -> ssl.SSLContext:
    """A client's context; ``key`` is where the files are configured, in ``file``. Raises
    ConfigError."""
    first, *others = files.ca or (None,)
    context = trusting_context(first, file, f"{key}.ca")
    for each in others:
        if each is not None:
            also_trust(context, each, file, f"{key}.ca")
    if files.key is not None and files.cert is not None:
        load_identity(context, files.key, files.cert, file, key)
    return context


def limit_versions(context: ssl.SSLContext, least: str, most: str | None) -> None:
    """``TLSv1.2`` or ``TLSv1.3``, as the configuration has them."""
    context.minimum_version = _VERSIONS[least]
    if most is not None:
        context.maximum_version = _VERSIONS[most]
