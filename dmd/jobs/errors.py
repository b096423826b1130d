"""What stops a job."""

from __future__ import annotations


class JobError(Exception):
    """A job cannot go on, for a reason that the operator can act on; one line."""
