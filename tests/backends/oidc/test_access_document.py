"""docs/access.md: its recipe for web identities, run as it is written, with a real provider."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.api.sessions import stage
from tests.backends.oidc.oidc_provider import HERE, oidc_provider
from tests.clients.awscli import AwsCli
from tests.clients.test_access_document import PRELUDE, as_script, commands, section
from tests.servers import REPOSITORY, Tls

PLACE: Final = "id.example.com/realms/apps"


def test_a_pod_gets_a_role_for_its_token(tmp_path: Path, tls: Tls) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    settings = {"openIdConnect": {"caBundle": str(tls.authority), "allowedNetworks": list(HERE)}}
    with (
        oidc_provider(folder, tls, "/realms/apps") as provider,
        stage(folder, **settings) as running,
    ):
        front = running.running.fronts[0]
        (tmp_path / "token").write_text(provider.token(sub="system:serviceaccount:shop:web"))
        aws = AwsCli(front, tmp_path)
        typed = commands(section("Web identities: OpenID Connect"))
        script = PRELUDE + as_script(typed).replace(PLACE, provider.place)
        environ = {**front.process.environ, **aws.environ}
        environ["PATH"] = f"{REPOSITORY}/.venv/bin:{environ['PATH']}"
        finished = subprocess.run(
            ["sh", "-x", "-c", script],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert finished.returncode == 0, f"{finished.stdout[-2000:]}\n{finished.stderr[-6000:]}"
    assert "assumed-role/shop/" in finished.stdout
