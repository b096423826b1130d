"""The service of temporary credentials, as the configuration says."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from s3front.iam.directory import Directory
from s3front.iam.provider_documents import ProviderDocuments
from s3front.iam.provider_keys import ProviderKeys
from s3front.iam.sealing_keys import SealingKeyring
from s3front.iam.session_service import SessionService
from s3front.iam.store import IdentityStore
from s3front.keys.sealing import Keys
from s3front.locations.outbound import outbound
from shared.config import Config
from shared.process.logs import EventLog
from shared.tls import also_trust, trusting_context


def make_session_service(
    documents: ProviderDocuments,
    directory: Directory,
    store: IdentityStore,
    keys: Callable[[], Keys],
    log: EventLog,
) -> SessionService:
    """``keys`` are the master keys that there are now, ``documents`` what providers publish. Make
    it inside the event loop."""
    sealing = SealingKeyring(directory, store, keys, log)
    return SessionService(directory, sealing, ProviderKeys(documents.keys, log))


def provider_documents(config: Config) -> ProviderDocuments:
    """What identity providers publish, as it is reached. Raises ConfigError."""
    return ProviderDocuments(
        provider_trust(config), outbound(config), config.open_id_connect.allowed_networks
    )


def provider_trust(config: Config) -> ssl.SSLContext | None:
    """Who may vouch for identity providers; None: the authorities of the system. Raises
    ConfigError."""
    bundle = config.open_id_connect.ca_bundle
    if bundle is None:
        return None
    tls = trusting_context(None, "", "")
    also_trust(tls, config.directory / bundle, config.file, "openIdConnect.caBundle")
    return tls
