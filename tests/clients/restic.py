"""The real ``restic`` program."""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients.program import BUILD, Program, require
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY


@dataclass(frozen=True)
class Restic(Program):
    """``restic`` with a repository in a bucket."""

    bucket: str

    @property
    def argv(self) -> list[str]:
        return [str(require(BUILD / "restic" / "restic")), "--json"]

    @property
    def settings(self) -> dict[str, str]:
        return {
            "RESTIC_REPOSITORY": f"s3:{self.front.url}/{self.bucket}",
            "RESTIC_PASSWORD": "correct horse battery staple",
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
