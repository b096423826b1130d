"""TLS of the ports and of the clients of the daemons: contexts from the files that are configured.

Called when a process starts, and again on SIGHUP. Nothing older than TLS 1.2 is spoken; a client
verifies the certificate and the host name of its server, always. What is wrong with a file is a
ConfigError that names the configuration file, the key and the reason; that a certificate has
expired, or is not valid yet, is a warning, as the clock may be what is wrong.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from shared import limits
from shared.config.errors import ConfigError
from shared.config.model import CertFilePaths, ClientTls
from shared.process.logs import EventLog

_FLIGHTS_MAX: Final = 8
"""Exchanges of a handshake in memory; TLS 1.3 needs two."""


def listening_options(context: ssl.SSLContext | None) -> dict[str, Any]:
    """The arguments of ``create_server`` about TLS, none of them for a plain port."""
    if context is None:
        return {}
    return {"ssl": context, "ssl_handshake_timeout": limits.TLS_HANDSHAKE_SECONDS_MAX}


def server_context(paths: CertFilePaths, file: str, key: str) -> ssl.SSLContext:
    """The TLS of a port; ``file`` and ``key`` are where its paths are configured."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if paths.ca is not None:
        _load_authorities(context, paths.ca, file, f"{key}.ca")
    load_identity(context, paths.key, paths.cert, file, key)
    return context


def load_identity(
    context: ssl.SSLContext, key_path: Path, cert_path: Path, file: str, key: str
) -> None:
    """Let a context show a certificate; ``key`` is where both paths are configured."""
    for name, path in (("key", key_path), ("cert", cert_path)):
        _check_readable(path, file, f"{key}.{name}")
    try:
        context.load_cert_chain(cert_path, key_path, _no_password)
    except _EncryptedKeyError as error:
        raise ConfigError(file, f"{key}.key", f"{key_path}: {error}") from None
    except (OSError, ValueError) as error:
        _load_authorities(_nobody_trusted(), cert_path, file, f"{key}.cert")
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            reason = f"{key_path} is not the key of {cert_path}"
        else:
            reason = f"{key_path} holds no private key in PEM, or not one of this certificate's"
        raise ConfigError(file, f"{key}.key", reason) from None


def port_context(
    paths: CertFilePaths | None, file: str, key: str, log: EventLog
) -> ssl.SSLContext | None:
    """The TLS of a port that is about to serve, None for a plain one. Warns of a certificate that
    clients will refuse."""
    if paths is None:
        return None
    context = server_context(paths, file, key)
    _warn_of_refusal(context, paths, key, log)
    return context


def renew(
    context: ssl.SSLContext | None, paths: CertFilePaths | None, file: str, key: str, log: EventLog
) -> None:
    """Let a port that serves use the certificate that its files hold now, from the next connection
    on. Raises ConfigError, and changes nothing, when they are bad."""
    if context is None or paths is None:
        if context is not None or paths is not None:
            log.warning("a port changes between plain and TLS when it is restarted", setting=key)
        return
    server_context(paths, file, key)
    context.load_cert_chain(paths.cert, paths.key, _no_password)
    _warn_of_refusal(context, paths, key, log)


def client_context(tls: ClientTls | None, file: str, key: str) -> ssl.SSLContext | None:
    """The TLS of a client, None for a plain one."""
    return None if tls is None else trusting_context(tls.ca, file, f"{key}.ca")


def trusting_context(ca: Path | None, file: str, key: str) -> ssl.SSLContext:
    """The TLS of a client that trusts these authorities, or those of the system; ``key`` is where
    they are configured."""
    if ca is None:
        context = ssl.create_default_context()
    else:
        context = _nobody_trusted()
        _load_authorities(context, ca, file, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def also_trust(context: ssl.SSLContext, ca: Path, file: str, key: str) -> None:
    """Let a client trust more authorities; ``key`` is where they are configured."""
    _load_authorities(context, ca, file, key)


def explain(error: BaseException) -> str:
    """Why a connection was not made, without the library's file names and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with this port: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return str(error)


def _nobody_trusted() -> ssl.SSLContext:
    """A client's context that trusts nobody yet."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _load_authorities(context: ssl.SSLContext, path: Path, file: str, key: str) -> None:
    _check_readable(path, file, key)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError):
        raise ConfigError(file, key, f"{path} holds no certificate in PEM") from None


def _check_readable(path: Path, file: str, key: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(file, key, f"{path} cannot be read: {error.strerror}") from None


class _EncryptedKeyError(Exception):
    """A key needs a password."""


def _no_password() -> str:
    """OpenSSL would ask for the password of an encrypted key on the terminal."""
    raise _EncryptedKeyError("the key is encrypted; give one without password")


def _warn_of_refusal(
    context: ssl.SSLContext, paths: CertFilePaths, key: str, log: EventLog
) -> None:
    reason = refusal(context, paths.cert)
    if reason is not None:
        log.warning(
            "clients will refuse the certificate",
            setting=f"{key}.cert",
            path=str(paths.cert),
            reason=reason,
        )


def refusal(context: ssl.SSLContext, certificate: Path) -> str | None:
    """Why a client that trusts exactly this certificate would not accept it; None if it would.

    A handshake in memory, since nothing else in the standard library looks at its dates.
    """
    trusting = _nobody_trusted()
    trusting.check_hostname = False
    trusting.load_verify_locations(certificate)
    trusting.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_FLIGHTS_MAX):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return explain(error)
            if side is client:
                return None
    return "the handshake does not end"
