"""The real ``s5cmd`` program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from tests.clients.program import BUILD, Program, require
from tests.servers import ACCESS_KEY, SECRET_KEY


@dataclass(frozen=True)
class S5cmd(Program):
    """``s5cmd``, which prints JSON lines."""

    @property
    def argv(self) -> list[str]:
        return [str(require(BUILD / "s5cmd" / "s5cmd")), "--json"]

    @property
    def settings(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT_URL": self.front.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def told(self, *arguments: str) -> list[dict[str, Any]]:
        """What a successful command told: one document a line."""
        return [orjson.loads(line) for line in self.run(*arguments).output.splitlines()]
