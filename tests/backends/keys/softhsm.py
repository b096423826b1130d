"""SoftHSM, a token in files, as a PKCS#11 library (a Debian package)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.config.encryption import Pkcs11
from shared.config.validation import parse

LIBRARY: Final = next(
    iter(sorted(Path("/usr/lib").glob("**/softhsm/libsofthsm2.so"))),
    Path("/usr/lib/softhsm/libsofthsm2.so"),
)
TOKEN: Final = "twofold-tests"
PIN: Final = "1234-of-tests"


@dataclass(frozen=True)
class SoftHsm:
    """A token. ``environ`` is what a process needs to find it."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def document(self, **more: Any) -> dict[str, Any]:
        """``encryption.pkcs11`` of config.json."""
        pin = {} if "pinFile" in more else {"pin": PIN}
        place = {} if "slot" in more else {"token": TOKEN}
        return {"library": str(LIBRARY), **place, **pin, **more}

    def settings(self, **more: Any) -> Pkcs11:
        return parse(Pkcs11, self.document(**more), "config.json")

    def run(self, *argv: str) -> str:
        """Ask its own program."""
        done = subprocess.run(
            ["softhsm2-util", *argv],
            env={**self.environ, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def softhsm(folder: Path) -> SoftHsm:
    """A new token."""
    assert LIBRARY.exists(), f"{LIBRARY} is missing: run `make softhsm` first"
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    token = SoftHsm(folder)
    token.run("--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "so-of-tests")
    return token
