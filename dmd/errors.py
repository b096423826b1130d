"""Errors of the daemon's start-up."""

from __future__ import annotations


class StartupError(Exception):
    """The daemon cannot start; the message is one line that names the place and the reason."""
