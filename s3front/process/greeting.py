"""``python -m s3front.process.greeting PID``: two lines for people, once both halves serve.

Run by ``deploy/start-both.sh``, whose process ID is given: it ends with that process. The script
also gives a pipe on which each half says that it serves (``shared.process.supervisor``). Until both
have, an answer on one of the ports may be another server's, which has it already.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from typing import Final

from shared.config import Accounts, Config, ConfigError, load_accounts, load_config
from shared.process.supervisor import READY_FD

_STOCK_KEY: Final = "accessKey1"
_PAUSE_SECONDS: Final = 0.1
_ANSWER_SECONDS_MAX: Final = 5.0
_EVERY_ADDRESS: Final = ("", "0.0.0.0", "::")  # noqa: S104  # it is compared, not bound
_NAMES_MAX: Final = 8
_HALVES: Final = 2


def greeting(config: Config, accounts: Accounts) -> str:
    """Where S3 is served and with which keys, and the names that clients may use."""
    if config.credentials is not None:
        keys = f"access key {config.credentials.access_key}"
    elif accounts.credential(_STOCK_KEY) is not None:
        keys = f"access key {_STOCK_KEY}, its secret is in conf/authdata.json"
    else:
        keys = "access keys as in authdata.json"
    scheme = "https" if config.cert_file_paths is not None else "http"
    host, port = _address(config)
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    return f"Twofold serves S3 on {url} ({keys})\n{_names(config.endpoints)}"


def _names(endpoints: Mapping[str, str]) -> str:
    names = list(endpoints)
    more = len(names) - _NAMES_MAX
    listed = ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"Its names: {listed or 'none'} (more: ENDPOINT=nas.lan), and every IP address"


def _address(config: Config) -> tuple[str, int]:
    host, port = config.listen_addresses[0]
    return "localhost" if host in _EVERY_ADDRESS else host, port


def _serves(config: Config) -> bool:
    """Whether both halves answer."""
    host, port = _address(config)
    if config.cert_file_paths is not None:
        context = ssl._create_unverified_context()  # noqa: S323  # only whether it answers
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_ANSWER_SECONDS_MAX, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS_MAX)
    data = config.data_client
    try:
        connection.request("GET", "/_/healthcheck")
        if connection.getresponse().status != http.HTTPStatus.OK:
            return False
        # The health check is about the metadata.
        socket.create_connection((data.host, data.port), _ANSWER_SECONDS_MAX).close()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _started(pipe: int, parent: int) -> bool:
    """Wait until each half has said that it serves: True; or until ``parent`` has ended."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    for _ in range(_HALVES):
        while not waiting.poll(_PAUSE_SECONDS * 1000):
            if os.getppid() != parent:
                return False
        os.read(pipe, 1)
    return True


def main(parent: int) -> None:
    """Greet when everything serves, or end with ``parent``."""
    try:
        config = load_config()
        accounts = load_accounts(config)
    except ConfigError:
        return  # s3front says so itself
    pipe = os.environ.pop(READY_FD, None)
    if pipe is not None and not _started(int(pipe), parent):
        return
    while not _serves(config):
        if os.getppid() != parent:
            return
        time.sleep(_PAUSE_SECONDS)
    sys.stderr.write(f"{greeting(config, accounts)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
