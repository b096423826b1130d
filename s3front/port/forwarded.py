"""What a client asked, when proxies stand between it and this server. Pure.

Rules:

1. Only a proxy whose address is in a trusted network is believed; whatever else a client sends in
   these headers means nothing.
2. A client signs the ``Host`` that it sent, and proxies change it: they put another one in its
   place, leave the port out, or tell it in ``X-Forwarded-Host`` and ``X-Forwarded-Port``. A
   signature may be over any of the hosts that the client can have sent; the most likely is also
   what the request is taken to address.
3. The client's address is the last one in the list of forwarded addresses that is no proxy's:
   what stands before it, the client itself may have written.

Source: RFC 7239, section 1, on the headers that are in use; the setting is CloudServer's
``requests`` (``reference/cloudserver-features.md``, section 4.1), to which ``publicEndpoints`` was
added.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from msgspec.structs import replace

from s3front.port.request import Request
from shared.http1.head import is_host

_DEFAULT_PORTS = {False: "80", True: "443"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """``networks`` are those of trusted proxies; ``client_header`` lists forwarded addresses,
    no header when it is empty;
    ``public_hosts`` (``host`` or ``host:port``) are what clients sign when proxies do not tell."""

    networks: Sequence[IPv4Network | IPv6Network] = ()
    client_header: str = "X-Forwarded-For"
    public_hosts: Sequence[str] = ()


NO_PROXIES = Proxies()


def as_sent(request: Request, proxies: Proxies) -> Request:
    """The request as its client sent it, as far as a trusted proxy tells."""
    if not proxies.networks or not in_networks(request.peer, proxies.networks):
        return request
    secure = request.secure
    listed = ",".join(request.headers.getall("X-Forwarded-Proto", ()))
    schemes = {scheme.strip().lower() for scheme in listed.split(",")}
    if schemes and schemes <= {"http", "https"}:
        # What stands first a client may have sent, so that one that is not secure is enough.
        secure = schemes == {"https"}
    hosts = [*_forwarded_hosts(request, secure=secure), request.host, *proxies.public_hosts]
    return replace(
        request,
        peer=_client(request, proxies),
        secure=secure,
        hosts=tuple(dict.fromkeys(hosts)),
        tls_version=None,
    )


def signed_hosts(request: Request) -> Iterator[str]:
    """What the client may have signed as ``host``, the most likely first.

    Some clients leave the scheme's own port out of the header and sign it, or the reverse.
    """
    first = request.host
    yield from request.hosts or (first,)
    port = f":{_DEFAULT_PORTS[request.secure]}"
    if first.endswith(port):
        yield first.removesuffix(port)
    elif not _has_port(first):
        yield first + port


def in_networks(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address, as sockets name it, is in one of the networks."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _forwarded_hosts(request: Request, *, secure: bool) -> list[str]:
    host = _first(request, "X-Forwarded-Host")
    if not host or not is_host(host):
        return []
    port = _first(request, "X-Forwarded-Port")
    if not (port.isascii() and port.isdecimal()) or _has_port(host):
        return [host]
    hosts = [host, f"{host}:{port}"]
    return hosts if port == _DEFAULT_PORTS[secure] else hosts[::-1]


def _client(request: Request, proxies: Proxies) -> str:
    listed = ",".join(request.headers.getall(proxies.client_header, ()))
    client = request.peer
    for text in reversed(listed.split(",")):
        address = _parse(_without_port(text.strip()))
        if address is None:
            break
        client = str(address)
        if not in_networks(client, proxies.networks):
            break
    return client


def _first(request: Request, name: str) -> str:
    """The value that the first of several proxies wrote."""
    return request.headers.get(name, "").partition(",")[0].strip()


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
