"""What an installation is told from outside: files, environment, accounts and locations.

Called by the command lines of both halves, once at start and again on SIGHUP. Every problem is
one ConfigError of one line; nothing here logs, and no ``repr`` holds a secret.
"""

from shared.config.accounts import Account, Accounts, Credential, accounts_file, load_accounts
from shared.config.errors import ConfigError
from shared.config.loader import load_config
from shared.config.model import Config, Settings

__all__ = [
    "Account",
    "Accounts",
    "Config",
    "ConfigError",
    "Credential",
    "Settings",
    "accounts_file",
    "load_accounts",
    "load_config",
]
