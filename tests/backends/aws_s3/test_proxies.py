"""An S3 service that is reached through a proxy, and by so many connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

import pytest
import trustme

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import ObjectInfo
from s3front.locations.origin import Pool, Proxy
from s3front.locations.outbound import Outbound
from s3front.locations.remote_store import PlaceError, Trouble
from tests.api.data_server import RecordingLog
from tests.backends.forward_proxy import ForwardProxy, forward_proxy
from tests.backends.s3_services import Remote, Service, remote
from tests.backends.s3_stores import INFO, blocks_of, read
from tests.http1.serving import LOOPS
from tests.servers import Tls, cluster

LARGE = b"0123456789abcdef" * 100_000
USER = "squid:s+cret@"
BASIC = "Basic c3F1aWQ6cytjcmV0QA=="

pytestmark = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Remote]:
    """A bucket of a service that speaks TLS, as ``there.test``: that name nobody knows here."""
    folder = tmp_path_factory.mktemp("secured")
    issued = authority.issue_cert("there.test", "localhost")
    tls = Tls(folder / "tls.key", folder / "tls.crt", folder / "ca.crt")
    issued.private_key_pem.write_to_path(str(tls.key))
    issued.cert_chain_pems[0].write_to_path(str(tls.certificate))
    authority.cert_pem.write_to_path(str(tls.authority))
    with cluster(folder) as running:
        plain = remote(Service("twofold", running.fronts[0].port), versioned=False)
        service = Service("twofold", running.add_front(tls=tls).port)
        more = {
            "awsEndpoint": f"there.test:{service.port}",
            "https": True,
            "pathStyle": True,
            "caBundle": str(tls.authority),
        }
        yield Remote(service, plain.bucket, plain.s3, versioned=False, more=more)


@pytest.fixture
def proxy_tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """That of a proxy, and of its clients."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(asking)
    return serving, asking


async def pass_through(there: Remote, outbound: Outbound, **details: object) -> None:
    """Store and read, much and little, several at once."""
    store = AwsS3Store("there", there.details(**details), RecordingLog(), outbound)
    try:
        small = await store.put(4, b"body", INFO)
        assert await read(store, small) == b"body"
        infos = [ObjectInfo("photos", str(number), "text/plain", {}) for number in range(5)]
        blobs = await asyncio.gather(
            *(store.put(len(LARGE), blocks_of(LARGE), info) for info in infos)
        )
        for found in await asyncio.gather(*(read(store, blob) for blob in blobs)):
            assert found == LARGE
        for blob in [small, *blobs]:
            await store.delete(blob)
    finally:
        await store.close()


def run(loop: str, there: Remote, outbound: Outbound, **details: object) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(pass_through(there, outbound, **details))


def proxy_at(running: ForwardProxy, tls: ssl.SSLContext | None = None) -> Proxy:
    return Proxy("localhost", running.port, tls, BASIC)


def test_a_tunnel(there: Remote, loop: str) -> None:
    with forward_proxy(there.service.port, USER) as running:
        run(loop, there, Outbound(secure=proxy_at(running)))
        assert set(running.targets) == {f"CONNECT there.test:{there.service.port}"}


def test_a_tunnel_of_a_proxy_that_speaks_tls_itself(
    there: Remote, loop: str, proxy_tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    serving, asking = proxy_tls
    with forward_proxy(there.service.port, USER, serving) as running:
        run(loop, there, Outbound(secure=proxy_at(running, asking)))
        assert set(running.targets) == {f"CONNECT there.test:{there.service.port}"}


def test_a_proxy_asks_a_plain_server(there: Remote, loop: str) -> None:
    port = int(there.s3.meta.endpoint_url.rpartition(":")[2])
    with forward_proxy(port, USER) as running:
        outbound = Outbound(plain=proxy_at(running))
        endpoint = {"awsEndpoint": f"there.test:{port}", "https": False, "caBundle": None}
        run(loop, there, outbound, **endpoint)
        assert all(f" http://there.test:{port}/" in target for target in running.targets)


def test_a_proxy_that_does_not_let_us(there: Remote, loop: str) -> None:
    with forward_proxy(there.service.port, "somebody:else") as running:
        with pytest.raises(PlaceError) as caught:
            run(loop, there, Outbound(secure=proxy_at(running)))
        assert caught.value.trouble is Trouble.UNREACHED
        assert "the proxy opens no tunnel: 407" in caught.value.reason


def test_a_service_whose_certificate_is_not_trusted(there: Remote, loop: str) -> None:
    with forward_proxy(there.service.port, USER) as running:
        with pytest.raises(PlaceError) as caught:
            run(loop, there, Outbound(secure=proxy_at(running)), caBundle=None)
        assert "the server's certificate is refused" in caught.value.reason


def test_one_connection_serves_them_in_turns(there: Remote, loop: str) -> None:
    with forward_proxy(there.service.port, USER) as running:
        one = Outbound(secure=proxy_at(running), pools={"aws_s3": Pool(connections_max=1)})
        run(loop, there, one)
        assert len(running.targets) == 1
        run(loop, there, Outbound(secure=proxy_at(running), pools={"aws_s3": Pool(idle_max=0)}))
        assert len(running.targets) > 10
