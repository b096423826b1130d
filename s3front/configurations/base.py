"""What one document of a bucket is, and the answers that are the same for all of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.s3_errors import S3Error, not_implemented
from shared.records.bucket import BucketRecord

Answer = Callable[[BucketRecord], Reply]
"""What a request is answered about a bucket; raises S3Error."""


def not_found(code: str) -> Answer:
    """An error that names the bucket."""

    def answer(record: BucketRecord) -> Reply:
        raise S3Error(code, fields={"BucketName": record.name})

    return answer


def not_configured(_record: BucketRecord) -> Reply:
    """The error of documents of which a bucket may have several, each with an ID."""
    raise S3Error("NoSuchConfiguration")


def empty(root: str, content: str = "") -> Answer:
    """A document that is there, and says that nothing is configured."""
    reply = xml_reply(root, content)
    return lambda _record: reply


def no_content(_record: BucketRecord) -> Reply:
    """The answer to the removal of what is not there."""
    return Reply(204)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A document of a bucket, by the sub-resource that addresses it.

    ``get`` and ``delete`` are the S3 operations that read and remove it (None: there is none), and
    ``get_action`` and ``delete_action`` the actions of IAM that they ask for; ``unset`` and
    ``unset_removed`` what they answer for a bucket without it. ``member`` is where the record of a
    bucket has it, ``show`` how that is answered; without ``show`` it is refused. ``identified``:
    there may be several, and the parameter ``id`` names one. ``show`` may raise AttributeError,
    KeyError or TypeError of a document that has not the form it expects.
    """

    sub_resource: str
    get: str
    get_action: str
    unset: Answer
    delete: str | None = None
    delete_action: str = ""
    unset_removed: Answer = no_content
    member: str | None = None
    show: Answer | None = None
    identified: bool = False

    def read(self, record: BucketRecord) -> Reply:
        """The answer to ``get``; raises NotImplemented for a document that cannot be shown."""
        if not self.is_set(record):
            return self.unset(record)
        if self.show is None:
            raise self._not_ours()
        try:
            return self.show(record)
        except (AttributeError, KeyError, TypeError) as error:
            # Another server's, and not of the form that is known of it.
            raise self._not_ours() from error

    def removed(self, record: BucketRecord) -> Reply:
        """The answer to ``delete``; raises NotImplemented when there is something to remove."""
        if self.is_set(record):
            raise self._not_ours()
        return self.unset_removed(record)

    def is_set(self, record: BucketRecord) -> bool:
        """Whether the bucket has the document."""
        return self.member is not None and bool(record.document.get(self.member))

    def _not_ours(self) -> S3Error:
        return not_implemented(f"?{self.sub_resource}, which this bucket has from another server")


def value_of(record: BucketRecord, member: str) -> Any:
    """A member that is set."""
    return record.document[member]
