"""The kinds of values that settings have, each with its rule (``shared.config.validation``)."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from shared import limits

Address = tuple[str, int]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORT: Final = re.compile(r"[0-9]{1,5}")
_HOST: Final = re.compile(r"[A-Za-z0-9_.:%-]+")
_ENDPOINT: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::(.*))?")
_ACCESS_KEY: Final = re.compile(r"[!-~]+")
_ACCESS_KEY_SEPARATORS: Final = "/:,"
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_SECRET: Final = re.compile(r"[!-~]{16,512}")


class Rule(NamedTuple):
    """What a JSON value must be. ``read`` gives the setting, or raises ValueError with the reason,
    which holds no secret."""

    read: Callable[[Any], Any]


class MemberError(ValueError):
    """It is the member ``key`` of the value that is wrong."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class Secret:
    """A text that nothing shows by accident: not ``repr``, not a log, not JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "**********"


def read_text(value: object) -> str:
    """A string as it is. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def read_path(value: object) -> Path:
    """A path that a file can have; an empty one would be the working directory. Raises
    ValueError."""
    text = not_empty(read_text(value))
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("must be text that is valid Unicode") from None
    return Path(text)


def without_user(text: str) -> str:
    """The text of an endpoint. Raises ValueError, which does not repeat it, for one with user
    information (RFC 3986, section 3.2.1): a password may be in that."""
    if "@" in text:
        raise ValueError("must have no user information: credentials have keys of their own")
    return text


def read_flag(value: object) -> bool:
    """A boolean as it is. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _paths(value: object) -> tuple[Path, ...]:
    """One path, or a list of them."""
    return tuple(map(read_path, value if isinstance(value, list) else [value]))


def _web_address(text: str) -> str:
    """``http(s)://host[:port]``, perhaps with a path; without a slash at its end. Raises
    ValueError."""
    scheme, _, rest = without_user(text).partition("://")
    authority = rest.partition("/")[0]
    if scheme not in ("http", "https") or not authority or set(text) & set(" ?#"):
        raise ValueError("is not of the form http(s)://host:port")
    _, port = split_port(authority)
    if port is not None:
        parse_port(port)
    return text.rstrip("/")


def parse_port(text: str) -> int:
    """A TCP port of 1 to 65535. Raises ValueError with the reason."""
    if _PORT.fullmatch(text) and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"{text!r} is not a port: a whole number from 1 to 65535")


def parse_host(text: str) -> str:
    """A host name or IP address, an IPv6 address with or without brackets (they are removed).

    Raises ValueError with the reason; ``host:port`` and URLs are refused.
    """
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _HOST.fullmatch(host):
        raise ValueError(f"{text!r} is not a host name or IP address")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(
                f"{text!r} is not a host name or IP address (the port is set apart)"
            ) from None
    return host


def parse_address(text: object) -> Address:
    """``"127.0.0.1:8000"`` or ``"[::1]:8000"`` as (host, port). Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("must be a string of the form ip:port")
    host, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), parse_port(port)
    except ValueError:
        raise ValueError(
            f"{text!r} is not of the form ip:port (for instance 127.0.0.1:8000 or [::]:8000)"
        ) from None


def parse_flag(text: str) -> bool:
    """``true`` or ``1``, ``false`` or ``0``, in any case. Raises ValueError with the reason."""
    if text.lower() not in ("true", "1", "false", "0"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1")


class ProxyAddress(msgspec.Struct, frozen=True):
    """Where a proxy is: over TLS (``secure``) or not, and the value of Proxy-Authorization that it
    wants, if any."""

    secure: bool
    host: str
    port: int
    authorization: Secret | None = None


def parse_proxy(text: str) -> ProxyAddress:
    """``http(s)://[user:password@]host[:port]``. Raises ValueError with the reason, which has
    nothing of the password."""
    scheme, separator, rest = text.partition("://")
    credentials, at, address = rest.removesuffix("/").rpartition("@")
    if scheme not in ("http", "https") or not separator or not address:
        raise ValueError("is not of the form http://host:port, or https://host:port")
    host, port = split_port(address)
    number = (443 if scheme == "https" else 80) if port is None else parse_port(port)
    authorization = None
    if at:
        user = unquote(credentials).encode("utf-8", "surrogateescape")
        authorization = Secret(f"Basic {b64encode(user).decode()}")
    return ProxyAddress(scheme == "https", host, number, authorization)


def parse_access_key(text: str) -> str:
    """An access key that every form of the Authorization header can carry.

    ``/`` separates the parts of a version 4 credential, ``,`` the header's parameters, and ``:``
    the key from a version 2 signature. Raises ValueError with the reason.
    """
    if not _ACCESS_KEY.fullmatch(text) or any(mark in text for mark in _ACCESS_KEY_SEPARATORS):
        raise ValueError("must be printable ASCII without spaces, '/', ':' and ','")
    return text


def parse_secret(text: str) -> Secret:
    """A secret of the daemon's ports, which fits into a header. Raises ValueError without it."""
    if not _SECRET.fullmatch(text):
        raise ValueError("must be 16 to 512 characters of printable ASCII without spaces")
    return Secret(text)


def _hosts(value: object) -> tuple[str, ...]:
    """A list of hosts, as ``parse_endpoint`` reads them."""
    if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
        raise ValueError("must be a list of host names")
    return tuple(dict.fromkeys(parse_endpoint(host) for host in value))


def _secrets(value: object) -> tuple[Secret, ...]:
    """One secret, or a list of them."""
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a secret, or a list of secrets")
    return tuple(parse_secret(text) for text in texts)


def parse_replication_group(text: str) -> str:
    """One to seven characters, which become part of every version ID. Raises ValueError.

    CloudServer cuts a longer one, and two groups can then be the same without anybody knowing.
    """
    if not (1 <= len(text) <= 7 and text.isascii() and text.isprintable()):
        raise ValueError("must be 1 to 7 characters of printable ASCII")
    return text


def parse_log_name(text: str) -> str:
    """A name that a sub-level of the metadata can have. Raises ValueError."""
    if not text or "!" in text or "#" in text:
        raise ValueError("must not be empty nor contain '!' or '#'")
    return text


def parse_networks(entries: list[str] | tuple[str, ...]) -> tuple[Network, ...]:
    """CIDR blocks or single addresses; host bits may be set, as in CloudServer's defaults.

    The machine itself is always among the result. Raises ValueError with the reason.
    """
    return _parse_networks((*_LOOPBACK, *entries))


def _parse_networks(entries: Iterable[str]) -> tuple[Network, ...]:
    networks = []
    for entry in entries:
        try:
            network: Network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ValueError(f"{entry!r} is not an IP address or CIDR block") from None
        if network not in networks:
            networks.append(network)
    return tuple(networks)


_LOOPBACK: Final = ("127.0.0.1/8", "::1")

LOOPBACK_NETWORKS: Final = parse_networks(())


def _network_entries(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError("must be a list of IP addresses and CIDR blocks")
    return value


def _network_list(value: object) -> tuple[Network, ...]:
    return parse_networks(_network_entries(value))


def _proxy_list(value: object) -> tuple[Network, ...]:
    """Those alone: a client on the machine itself is no proxy unless it is said to be one."""
    return _parse_networks(_network_entries(value))


def split_port(endpoint: str) -> tuple[str, str | None]:
    """``host`` or ``host:port`` in two, without brackets. Raises ValueError."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        raise ValueError(f"{endpoint!r} is not of the form host or host:port")
    return parse_host(match[1]), match[2]


def _public_endpoint(value: str) -> str:
    """``host`` or ``host:port``, an IPv6 address in brackets, as a Host header has it."""
    _, port = split_port(value)
    if port is not None:
        parse_port(port)
    return value.lower()


def _header_name(value: str) -> str:
    if value and not _HEADER_NAME.fullmatch(value):
        raise ValueError("must be the name of a header")
    return value


def parse_endpoint(text: str) -> str:
    """A host name under which the server is addressed, as it is compared: in lower case (RFC 4343),
    and without a full stop at its end.

    ``*.nas.lan`` is ``nas.lan``, below which every name is that of a bucket. Raises ValueError.
    """
    return parse_host(text.removeprefix("*.")).lower().removesuffix(".")


def _endpoints(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    endpoints: dict[str, str] = {}
    for host, location in value.items():
        if not isinstance(location, str):
            raise MemberError(host, "must be a string")
        name = parse_endpoint(host)
        if endpoints.setdefault(name, location) != location:
            raise ValueError(f"{name!r} is there twice, with different locations")
    return MappingProxyType(endpoints)


def parse_command(value: object) -> tuple[str, ...]:
    """A program and its arguments: a list of strings, or one string with quotes as a shell has them
    (no shell is run). Raises ValueError."""
    if isinstance(value, str):
        value = shlex.split(value)
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ValueError("must be a string or a list of strings")
    if not value or not value[0]:
        raise ValueError("must name a program")
    return tuple(value)


def _clusters(value: object) -> int:
    return _COUNT.read(1 if value is False else value)  # type: ignore[no-any-return]


def text_rule(parse: Callable[[str], Any]) -> Rule:
    """A string, as ``parse`` understands it."""
    return Rule(lambda value: parse(read_text(value)))


def _whole(least: int, most: int | None = None) -> Rule:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number")
        if value < least:
            raise ValueError(f"must be at least {least}")
        if most is not None and value > most:
            raise ValueError(f"must be at most {most}")
        return value

    return Rule(read)


def not_empty(text: str) -> str:
    """The text itself. Raises ValueError."""
    if not text:
        raise ValueError("must not be empty")
    return text


_COUNT: Final = _whole(1)

Text = Annotated[str, text_rule(not_empty)]
Password = Annotated[Secret, text_rule(Secret)]
Paths = Annotated[tuple[Path, ...], Rule(_paths)]
WebAddress = Annotated[str, text_rule(_web_address)]
Slot = Annotated[int, _whole(0)]
Host = Annotated[str, text_rule(parse_host)]
Port = Annotated[int, _whole(1, 65535)]
Count = Annotated[int, _COUNT]
PackedBytes = Annotated[int, _whole(0, limits.PACKED_BLOB_BYTES_MAX)]
ReserveBytes = Annotated[int, _whole(0)]
MessageBytes = Annotated[int, _whole(1, limits.RPC_MESSAGE_BYTES_CEILING)]
Seconds = Annotated[int, _whole(0)]
Milliseconds = Annotated[int, _whole(1)]
Command = Annotated[tuple[str, ...], Rule(parse_command)]
AddressText = Annotated[Address, Rule(parse_address)]
Clusters = Annotated[int, Rule(_clusters)]
ProxyNetworks = Annotated[tuple[Network, ...], Rule(_proxy_list)]
PublicEndpoint = Annotated[str, text_rule(_public_endpoint)]
HeaderName = Annotated[str, text_rule(_header_name)]
Networks = Annotated[tuple[Network, ...], Rule(_network_list)]
Endpoints = Annotated[Mapping[str, str], Rule(_endpoints)]
Hosts = Annotated[tuple[str, ...], Rule(_hosts)]
LogName = Annotated[str, text_rule(parse_log_name)]
ReplicationGroup = Annotated[str, text_rule(parse_replication_group)]
Secrets = Annotated[tuple[Secret, ...], Rule(_secrets)]
ProxyUrl = Annotated[ProxyAddress, text_rule(parse_proxy)]
AccessKey = Annotated[str, text_rule(parse_access_key)]
