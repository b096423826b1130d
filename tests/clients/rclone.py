"""The real ``rclone`` program."""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients import tree
from tests.clients.program import BUILD, Program, require
from tests.servers import ACCESS_KEY, SECRET_KEY

REMOTE = "twofold:"


@dataclass(frozen=True)
class Rclone(Program):
    """``rclone`` with a remote of type ``s3``, which the environment describes."""

    @property
    def argv(self) -> list[str]:
        options = ["--config", str(self.folder / "rclone.conf"), "--retries", "1"]
        if self.front.tls is not None:
            options += ["--ca-cert", str(self.front.tls.authority)]
        return [str(require(BUILD / "pyclients" / "bin" / "rclone")), *options]

    @property
    def settings(self) -> dict[str, str]:
        size = f"{tree.PART_SIZE_MIB}Mi"
        settings = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": self.front.url,
            "ACCESS_KEY_ID": ACCESS_KEY,
            "SECRET_ACCESS_KEY": SECRET_KEY,
            "UPLOAD_CUTOFF": size,
            "CHUNK_SIZE": size,
            "COPY_CUTOFF": size,
        }
        return {f"RCLONE_CONFIG_TWOFOLD_{name}": value for name, value in settings.items()}
