"""The service of temporary credentials, as the configuration says."""

from __future__ import annotations

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
    config: Config,
    directory: Directory,
    store: IdentityStore,
    keys: Callable[[], Keys],
    log: EventLog,
) -> SessionService:
    """``keys`` are the master keys that there are now. Make it inside the event loop. Raises
    ConfigError."""
    tls, bundle = None, config.open_id_connect.ca_bundle
    if bundle is not None:
        tls = trusting_context(None, "", "")
        also_trust(tls, config.directory / bundle, config.file, "openIdConnect.caBundle")
    documents = ProviderDocuments(tls, outbound(config))
    sealing = SealingKeyring(directory, store, keys, log)
    return SessionService(directory, sealing, ProviderKeys(documents.keys, log))
