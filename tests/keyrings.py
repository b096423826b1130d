"""Key files for servers under test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s3front.keys.keyring_file import create_keyring


def encrypting(path: Path, **more: Any) -> dict[str, Any]:
    """Settings of a server that encrypts whatever it stores, by the key file at ``path``, which is
    made. ``more`` goes into their section."""
    path.parent.mkdir(parents=True, exist_ok=True)
    create_keyring(path)
    return {"globalEncryptionEnabled": True, "encryption": {"keyringFile": str(path), **more}}
