"""Who gives tokens to applications, as Microsoft Entra does it (OAuth 2.0, client credentials)."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from tests.servers import Tls

TENANT: Final = "5c3a8f0e-0000-4000-8000-000000000001"
CLIENT: Final = "5c3a8f0e-0000-4000-8000-000000000002"
SECRET: Final = "an~application's secret"


@contextmanager
def token_authority(tls: Tls) -> Iterator[str]:
    """The authority, as long as the block runs: its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Authority(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """What there is, and where (OpenID Connect Discovery 1.0)."""
        here = f"https://{self.headers['Host']}/{TENANT}"
        self._answer(
            200,
            {
                "issuer": f"{here}/v2.0",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "token_endpoint": f"{here}/oauth2/v2.0/token",
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {name: values[0] for name, values in parse_qs(body).items()}
        if (given["client_id"], given["client_secret"]) != (CLIENT, SECRET):
            words = f"AADSTS7000215: Invalid client secret provided: {given['client_secret']}"
            self._answer(401, {"error": "invalid_client", "error_description": words})
            return
        assert given["scope"] == "https://storage.azure.com/.default", given
        self._answer(200, {"access_token": _token(), "token_type": "Bearer", "expires_in": 3599})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is of interest."""


def _token() -> str:
    """A token that nobody has signed: Azurite does not look at that."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
        "tid": TENANT,
        "oid": CLIENT,
    }
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256", "typ": "JWT"}, claims, "signature")
    )
