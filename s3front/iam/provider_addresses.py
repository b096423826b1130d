"""Which addresses identity providers may have. Pure.

Whoever may register a provider names a host and a port that each front-end then asks. Most of what
there is in the network of a front-end is not for those who use it: the machine itself, services of
the network, the credentials that clouds give out at 169.254.169.254.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from shared.config.values import Network

_NAT64: Final = ip_network("64:ff9b::/96")
"""An IPv4 address in its last 32 bits (RFC 6052)."""

_COMPATIBLE: Final = ip_network("::/96")
"""The same, not used any more (RFC 4291, section 2.5.5.1)."""


def is_allowed(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is a public one, or in one of these networks. One that has another one in
    it is as that is."""
    try:
        found = _meant(ip_address(address))
    except ValueError:
        return False
    # A network of the other version has none of its addresses.
    return _is_public(found) or any(found in network for network in networks)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Where packets for an address end."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.is_site_local or address.teredo is not None):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
