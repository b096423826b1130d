"""The real ``s3cmd`` program."""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients import tree
from tests.clients.program import BUILD, Program, require
from tests.servers import ACCESS_KEY, SECRET_KEY

_CONFIG = f"""\
[default]
access_key = {ACCESS_KEY}
secret_key = {SECRET_KEY}
host_base = {{host}}
host_bucket = {{host}}
use_https = False
multipart_chunk_size_mb = {tree.PART_SIZE_MIB}
multipart_copy_chunk_size_mb = {tree.PART_SIZE_MIB}
max_retries = 1
"""


@dataclass(frozen=True)
class S3cmd(Program):
    """``s3cmd`` over HTTP, with Signature Version 4 or 2."""

    signature_v2: bool = False

    @property
    def argv(self) -> list[str]:
        program = require(BUILD / "pyclients" / "bin" / "s3cmd")
        config = self.folder / "s3cfg"
        # No {bucket} in host_bucket: buckets are addressed by path.
        config.write_text(_CONFIG.format(host=f"localhost:{self.front.port}"))
        options = ["--config", str(config), "--no-progress"]
        return [str(program), *options, *(["--signature-v2"] if self.signature_v2 else [])]

    @property
    def settings(self) -> dict[str, str]:
        return {}
