"""What stops a daemon from starting."""

from __future__ import annotations


class StartupError(Exception):
    """The daemon cannot start, for a reason that the operator can act on.

    The message is one line that names the thing (a directory, a port, a setting) and the reason;
    the command prints it and exits, without a traceback.
    """
