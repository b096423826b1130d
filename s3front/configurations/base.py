"""What one document of a bucket is, and the answers that are the same for all of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """NoSuchConfiguration: the error of documents of which a bucket may have several, each with an
    ID, and good for any that S3 has no error of its own for. It does not name the bucket."""
    raise S3Error("NoSuchConfiguration")


def empty(root: str, content: str = "") -> Answer:
    """A document that is there, and says that nothing is configured."""
    reply = xml_reply(root, content)
    return lambda _record: reply


def no_content(_record: BucketRecord) -> Reply:
    """The answer to the removal of what is not there."""
    return Reply(204)


def allow_anything(_record: BucketRecord, _members: Mapping[str, Any]) -> None:
    """The check of a document that fits every bucket."""


@dataclass(frozen=True, slots=True)
class Put:
    """How a document is put: by the S3 operation ``name``, which asks for ``action``.

    ``parse`` makes the members of a bucket's record, which the document sets, of the body of a
    request; the record keeps all others. ``check`` is told the record and these members, and
    refuses what does not go together, also when the bucket was changed meanwhile. Both raise
    S3Error. ``digest_required``: a document without a checksum is refused. ``tags`` are those in
    these members, of a document that policies may ask about; one that is removed has none.
    """

    name: str
    action: str
    parse: Callable[[bytes], Mapping[str, Any]]
    check: Callable[[BucketRecord, Mapping[str, Any]], None] = allow_anything
    digest_required: bool = False
    status: int = 200
    tags: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None

    def changed(self, record: BucketRecord, members: Mapping[str, Any]) -> BucketRecord:
        """The record with the document; raises what ``check`` does."""
        self.check(record, members)
        return record.changed(members)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A document of a bucket, by the sub-resource that addresses it.

    ``get`` and ``delete`` are the S3 operations that read and remove it (None: there is none), and
    ``get_action`` and ``delete_action`` the actions of IAM that they ask for; ``unset`` and
    ``unset_removed`` what they answer for a bucket without it. ``member`` is where the record of a
    bucket has it, ``show`` how that is answered; without ``show`` it is refused. ``put`` is how it
    is set; without it, it can be neither set nor removed. ``identified``: there may be several, and
    the parameter ``id`` names one. ``show`` may raise AttributeError, KeyError or TypeError of a
    document that has not the form it expects.
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
    put: Put | None = None
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

    def without(self, record: BucketRecord) -> BucketRecord:
        """The record of a bucket that has the document, without it; raises NotImplemented for one
        that cannot be set here."""
        if self.put is None or self.member is None:
            raise self._not_ours()
        return record.changed({self.member: None})

    def is_set(self, record: BucketRecord) -> bool:
        """Whether the bucket has the document."""
        return self.member is not None and bool(record.document.get(self.member))

    def _not_ours(self) -> S3Error:
        return not_implemented(f"?{self.sub_resource}, which this bucket has from another server")


def value_of(record: BucketRecord, member: str) -> Any:
    """A member that is set."""
    return record.document[member]
