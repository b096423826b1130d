"""Master keys in the transit engine of a real OpenBao."""

from __future__ import annotations

import asyncio
import re
import subprocess
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys.base import KeyTrouble
from s3front.keys.vault import VaultKeys, make_vault
from shared.config.errors import ConfigError
from tests.backends.keys.describing import fails, making
from tests.backends.keys.openbao import KEY, PROGRAM, ROOT, OpenBao, openbao
from tests.servers import REPOSITORY, make_tls
from tests.unit.s3front.locations.scripted_remote import KeptLog

CONTEXT = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket", "who": "Käthe"}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with openbao(tmp_path_factory.mktemp("openbao")) as running:
        yield running


@asynccontextmanager
async def keeper(
    bao: OpenBao, log: KeptLog | None = None, **settings: Any
) -> AsyncIterator[VaultKeys]:
    keys = make_vault(bao.settings(**settings), making(log), {})
    try:
        yield keys
    finally:
        await keys.close()


async def test_a_data_key_is_made_and_opened(bao: OpenBao) -> None:
    async with keeper(bao) as keys:
        made = await keys.wrapping_key(None, CONTEXT)

        assert made.key_id == f"vault:{KEY}:v1"
        assert made.wrapped.startswith("vault:v1:")
        assert len(made.secret) == 32
        assert await keys.opened(f"{KEY}:v1", made.wrapped, CONTEXT) == made.secret


async def test_each_data_key_is_another_one(bao: OpenBao) -> None:
    async with keeper(bao) as keys:
        made = [await keys.wrapping_key(None, CONTEXT) for _ in range(3)]

    assert len({key.secret for key in made}) == len({key.wrapped for key in made}) == 3


async def test_no_more_rights_are_needed_than_the_document_says(bao: OpenBao) -> None:
    async with keeper(bao, token=bao.token()) as keys:
        assert await keys.look() is None


async def test_a_key_that_is_not_derived_is_bound_to_its_context_as_well(bao: OpenBao) -> None:
    bao.call("POST", "transit/keys/plain", {"derived": False})
    async with keeper(bao, key="plain") as keys:
        made = await keys.wrapping_key(None, CONTEXT)

        assert await keys.opened("plain:v1", made.wrapped, CONTEXT) == made.secret
        assert await keys.opened("plain:v1", made.wrapped, {}) != made.secret


async def test_a_named_key_is_used_with_its_version_or_without(bao: OpenBao) -> None:
    bao.call("POST", "transit/keys/other.key-2", {"derived": True})
    async with keeper(bao) as keys:
        for named in ("other.key-2", "other.key-2:v1"):
            made = await keys.wrapping_key(named, CONTEXT)
            assert made.key_id == "vault:other.key-2:v1"
            assert await keys.opened("other.key-2:v1", made.wrapped, CONTEXT) == made.secret


async def test_another_context_opens_nothing(bao: OpenBao) -> None:
    async with keeper(bao) as keys:
        made = await keys.wrapping_key(None, CONTEXT)

        failure = await fails(keys.opened(f"{KEY}:v1", made.wrapped, {**CONTEXT, "who": "Kathe"}))

    assert failure.trouble is KeyTrouble.REFUSED
    assert "message authentication failed" in failure.reason


@pytest.mark.parametrize(
    "wrapped", ["", "vault:v1:AAAA", "vault:v9:" + "A" * 80, "{}", "vault:v1:\n", "vault:v1:Ä"]
)
async def test_what_is_no_wrapped_key_opens_nothing(bao: OpenBao, wrapped: str) -> None:
    async with keeper(bao) as keys:
        failure = await fails(keys.opened(f"{KEY}:v1", wrapped, CONTEXT))

    assert failure.trouble is KeyTrouble.REFUSED


@pytest.mark.parametrize(
    "name", ["nobody", "..", ".", "../../sys/seal", "a/b", "%2e%2e", "", "a:b", "x" * 300, "ä"]
)
async def test_a_key_that_there_is_not(bao: OpenBao, name: str) -> None:
    async with keeper(bao) as keys:
        failures = [
            await fails(keys.wrapping_key(name, CONTEXT)),
            await fails(keys.opened(name, "vault:v1:AAAA", CONTEXT)),
        ]

    assert {failure.code for failure in failures} == {"KMS.NotFoundException"}
    assert all("does not exist" in failure.message for failure in failures)


async def test_a_new_version_is_used_by_new_objects_and_old_ones_open(bao: OpenBao) -> None:
    async with keeper(bao, key="turning") as keys:
        assert await keys.rotate("") == "turning:v1"
        old = await keys.wrapping_key(None, CONTEXT)
        assert await keys.rotate("") == "turning:v2"
        new = await keys.wrapping_key(None, CONTEXT)

        assert (old.key_id, new.key_id) == ("vault:turning:v1", "vault:turning:v2")
        assert await keys.opened("turning:v1", old.wrapped, CONTEXT) == old.secret
        assert await keys.opened("turning:v2", new.wrapped, CONTEXT) == new.secret


async def test_a_key_that_is_made_for_somebody_is_another_one(bao: OpenBao) -> None:
    async with keeper(bao) as keys:
        made = await keys.create("for an account")
        key = await keys.wrapping_key(made, CONTEXT)

        assert made.startswith(f"{KEY}-")
        assert key.key_id == f"vault:{made}"
        assert (await keys.wrapping_key(None, CONTEXT)).key_id.startswith(f"vault:{KEY}:v")


async def test_a_key_that_is_made_here_checks_contexts_itself(bao: OpenBao) -> None:
    async with keeper(bao, key="made-here") as keys:
        await keys.rotate("")

    assert bao.call("GET", "transit/keys/made-here")["data"]["derived"] is True


async def test_versions_below_the_least_that_may_be_opened_are_disabled(bao: OpenBao) -> None:
    async with keeper(bao, key="least") as keys:
        await keys.rotate("")
        made = await keys.wrapping_key(None, CONTEXT)
        await keys.rotate("")
        bao.call("POST", "transit/keys/least/config", {"min_decryption_version": 2})

        failure = await fails(keys.opened("least:v1", made.wrapped, CONTEXT))

    assert (failure.code, failure.status) == ("KMS.DisabledException", 400)


async def test_a_deleted_key_opens_nothing_and_says_so(bao: OpenBao) -> None:
    async with keeper(bao, key="gone") as keys:
        await keys.rotate("")
        made = await keys.wrapping_key(None, CONTEXT)
        bao.call("DELETE", "transit/keys/gone/soft-delete")
        hidden = await fails(keys.opened("gone:v1", made.wrapped, CONTEXT))
        bao.call("POST", "transit/keys/gone/soft-delete-restore")
        assert await keys.opened("gone:v1", made.wrapped, CONTEXT) == made.secret
        bao.call("POST", "transit/keys/gone/config", {"deletion_allowed": True})
        bao.call("DELETE", "transit/keys/gone")

        removed = await fails(keys.opened("gone:v1", made.wrapped, CONTEXT))

    assert (hidden.trouble, removed.trouble) == (KeyTrouble.DISABLED, KeyTrouble.NOT_FOUND)


async def test_who_may_not_use_a_key_is_denied(bao: OpenBao) -> None:
    bao.call("POST", "transit/keys/private", {"derived": True})
    async with keeper(bao, token=bao.token(), key="private") as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

        assert (failure.code, failure.trouble) == ("AccessDenied", KeyTrouble.DENIED)
        assert "permission denied" in failure.reason
        assert ROOT not in failure.reason


async def test_a_token_that_nobody_knows_is_the_servers_trouble(bao: OpenBao) -> None:
    async with keeper(bao, token="s.unknown") as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.code == "ServiceUnavailable"
    assert "s.unknown" not in failure.reason + failure.message


async def test_an_engine_that_is_mounted_elsewhere(bao: OpenBao) -> None:
    bao.call("POST", "sys/mounts/teams/storage", {"type": "transit"})
    async with keeper(bao, mount="teams/storage") as keys:
        await keys.rotate("")
        assert await keys.look() is None
    async with keeper(bao, mount="nowhere") as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.trouble is KeyTrouble.AWAY
    assert "mounted at 'nowhere'" in failure.reason


async def test_a_namespace(bao: OpenBao) -> None:
    bao.call("POST", "sys/namespaces/tenant", {})
    bao.call("POST", "tenant/sys/mounts/transit", {"type": "transit"})
    async with keeper(bao, namespace="tenant") as keys:
        await keys.rotate("")
        assert await keys.look() is None
    async with keeper(bao, namespace="stranger") as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert "namespace not found" in failure.reason


async def test_a_sealed_vault_is_away_and_back_when_it_is_unsealed(tmp_path: Path) -> None:
    with openbao(tmp_path) as own:
        unseal = own.process.output.split("Unseal Key: ")[1].split()[0]
        async with keeper(own) as keys:
            made = await keys.wrapping_key(None, CONTEXT)
            own.call("PUT", "sys/seal")
            failure = await fails(keys.opened(f"{KEY}:v1", made.wrapped, CONTEXT))
            own.call("PUT", "sys/unseal", {"key": unseal}, token="")

            assert await keys.opened(f"{KEY}:v1", made.wrapped, CONTEXT) == made.secret

    assert failure.trouble is KeyTrouble.AWAY
    assert "503" in failure.reason
    assert "sealed" in failure.reason


async def test_over_tls_with_its_own_authority(tmp_path: Path) -> None:
    tls = make_tls(tmp_path)
    with openbao(tmp_path, tls) as own:
        async with keeper(own, ca=str(tls.authority)) as keys:
            assert await keys.look() is None
        async with keeper(own) as keys:
            failure = await fails(keys.look())

    assert failure.trouble is KeyTrouble.AWAY
    assert "certificate is refused" in failure.reason


def run(commands: str, environ: dict[str, str]) -> str:
    """What a shell prints that runs them all."""
    done = subprocess.run(
        ["sh", "-e"],
        input=textwrap.dedent(commands),
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_what_the_document_says_sets_it_up(tmp_path: Path) -> None:
    """The commands of docs/encryption.md, as they stand there."""
    document = (REPOSITORY / "docs" / "encryption.md").read_text("utf-8")
    section = document.split("### Vault\n")[1]
    commands = re.findall(r"\n\n((?:    .*\n)+)", section)[0]
    with openbao(tmp_path, is_set_up=False) as own:
        environ = {
            "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
            "BAO_ADDR": own.address,
            "BAO_TOKEN": ROOT,
            "HOME": str(tmp_path),
        }
        printed = run(commands, environ)
        found = dict(re.findall(r"^(role_id|secret_id) +(\S+)$", printed, re.MULTILINE))
        role: dict[str, Any] = {"roleId": found["role_id"], "secretId": found["secret_id"]}
        async with keeper(own, **role) as keys:
            assert await keys.look() is None


# -- Tokens ---------------------------------------------------------------------------------------


async def test_an_app_role_logs_in(bao: OpenBao, tmp_path: Path) -> None:
    role = bao.app_role()
    secret = tmp_path / "secret-id"
    secret.write_text(f"{role['secretId']}\n")

    async with keeper(bao, **role) as keys:
        assert await keys.look() is None
    async with keeper(bao, roleId=role["roleId"], secretIdFile=str(secret)) as keys:
        assert await keys.look() is None


async def test_the_token_of_the_environment(bao: OpenBao) -> None:
    settings = replace(bao.settings(), token=None)
    for name in ("VAULT_TOKEN", "BAO_TOKEN"):
        keys = make_vault(settings, making(), {name: bao.token()})
        assert await keys.look() is None
        await keys.close()
    with pytest.raises(ConfigError) as caught:
        make_vault(settings, making(), {})

    assert "needs token, tokenFile or roleId, or VAULT_TOKEN or BAO_TOKEN" in str(caught.value)


async def test_a_log_in_that_is_refused_is_the_servers_trouble(bao: OpenBao) -> None:
    role = bao.app_role()
    async with keeper(bao, roleId=role["roleId"], secretId="wrong-secret") as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.code == "ServiceUnavailable"
    assert "invalid role or secret ID" in failure.reason
    assert "wrong-secret" not in failure.reason


async def test_many_requests_log_in_once(bao: OpenBao) -> None:
    role = bao.app_role()
    async with keeper(bao, **role) as keys:
        await asyncio.gather(*(keys.wrapping_key(None, CONTEXT) for _ in range(20)))
        token = await keys._login.token()

        assert all([await keys._login.token() == token for _ in range(3)])


async def becomes(condition: Callable[[], bool]) -> None:
    """Wait until something is the case; fail when it does not come."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.05)


async def test_a_token_is_renewed_in_the_middle_of_its_life(bao: OpenBao) -> None:
    role = bao.app_role(token_ttl="2s", token_max_ttl="1h")
    async with keeper(bao, **role) as keys:
        token = await keys._login.token()
        await becomes(lambda: "last_renewal_time" in bao.looked_up(token))

        assert await keys._login.token() == token
        assert await keys.look() is None


async def test_a_token_that_cannot_be_renewed_any_longer_is_replaced(bao: OpenBao) -> None:
    role = bao.app_role(token_ttl="2s", token_max_ttl="3s")
    async with keeper(bao, **role) as keys:
        token = await keys._login.token()
        async with asyncio.timeout(20):
            while await keys._login.token() == token:
                assert await keys.look() is None
                await asyncio.sleep(0.1)

        assert await keys.look() is None


async def test_a_revoked_token_is_replaced_when_it_is_refused(
    bao: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3front.keys.vault_login._AGAIN_SECONDS", 0.0)
    role = bao.app_role()
    async with keeper(bao, **role) as keys:
        token = await keys._login.token()
        bao.call("POST", "auth/token/revoke", {"token": token})

        assert await keys.look() is None
        assert await keys._login.token() != token


async def test_a_given_token_is_renewed_and_the_log_told_when_that_ends(bao: OpenBao) -> None:
    token = bao.token(ttl="2s", explicit_max_ttl="3s", renewable=True)
    log = KeptLog()
    async with keeper(bao, log, token=token) as keys:
        assert await keys.look() is None
        await becomes(lambda: not bao.looked_up(token))
        failure = await fails(keys.wrapping_key(None, CONTEXT))
        await becomes(lambda: bool(log.events))  # the next attempt to renew it tells

    assert failure.code == "ServiceUnavailable"
    assert log.events == ["the token of a key service cannot be renewed any longer"]


async def test_a_token_file_is_read_again_as_soon_as_its_token_is_refused(
    bao: OpenBao, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    first = bao.token()
    file.write_text(first)
    async with keeper(bao, tokenFile=str(file)) as keys:
        assert await keys.look() is None
        bao.call("POST", "auth/token/revoke", {"token": first})
        failure = await fails(keys.wrapping_key(None, CONTEXT))
        file.write_text(f"{bao.token()}\n")

        assert await keys.look() is None

    assert failure.code == "ServiceUnavailable"
    assert "token is refused" in failure.reason


async def test_a_token_file_is_not_what_is_refused_where_a_key_is_denied(
    bao: OpenBao, tmp_path: Path
) -> None:
    bao.call("POST", "transit/keys/secluded", {"derived": True})
    file = tmp_path / "token"
    file.write_text(bao.token())
    async with keeper(bao, tokenFile=str(file)) as keys:
        failure = await fails(keys.wrapping_key("secluded", CONTEXT))
        file.write_text(bao.token())
        again = await fails(keys.wrapping_key("secluded", CONTEXT))

    assert {failure.code, again.code} == {"AccessDenied"}


async def test_an_app_role_whose_new_token_is_refused_does_not_log_in_without_end(
    bao: OpenBao,
) -> None:
    role = bao.app_role()
    async with keeper(bao, **role) as keys:
        token = await keys._login.token()
        bao.call("POST", "auth/token/revoke", {"token": token})

        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.code == "ServiceUnavailable"


async def test_a_token_file_that_is_not_there(bao: OpenBao, tmp_path: Path) -> None:
    async with keeper(bao, tokenFile=str(tmp_path / "nothing")) as keys:
        failure = await fails(keys.wrapping_key(None, CONTEXT))

    assert failure.code == "ServiceUnavailable"
    assert "cannot be read" in failure.reason
