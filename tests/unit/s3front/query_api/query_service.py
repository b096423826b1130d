"""The calls of IAM and STS over metadata in memory, as botocore sends and reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, cast
from xml.etree.ElementTree import Element, fromstring

import botocore.parsers
import botocore.serialize
import botocore.session
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.credential_sources import Signer
from s3front.auth.identity import UNSIGNED, Identity, Principal
from s3front.auth.sigv4 import AccessKey, RequestHead, fold_headers, sign_request
from s3front.context import Services
from s3front.iam.identity_checks import the_account, the_user
from s3front.keys.sealing import NO_KEYS, Keys
from s3front.port.request import Request
from s3front.port.target import parse_target
from s3front.query_api.answering import answer_call
from s3front.query_api.errors import call_error_reply
from s3front.s3_errors import S3Error
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin
from tests.unit.s3front.pieces import Pieces

SECRET: Final = "secret"
NO_HEADERS: Final[Mapping[str, str]] = {}
NOBODY: Final = ""
"""Signs nothing."""

ACCOUNT: Final = f"arn:aws:iam::{BART_ID}"
READ_ONLY: Final = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def only(*actions: str, resource: str = "*", condition: Any = None) -> str:
    """A policy that allows these."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ALL: Final = only("*")


def tag(key: str, value: str) -> dict[str, str]:
    return {"Key": key, "Value": value}


@cache
def model(service: str) -> Any:
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


class CallFailedError(Exception):
    """A call was refused."""

    def __init__(self, status: int, error: dict[str, str]) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.code, self.message = error["Code"], error["Message"]


class Told:
    """What is told of a call."""

    request_id = "0123456789ABCDEF"
    operation: str | None = None
    identity: Identity = UNSIGNED
    namespace: str | None = None


class QueryService:
    """One front-end. Whoever is named signs: an account ID, or the name of a
    user of Bart's."""

    def __init__(self, keys: Keys = NO_KEYS) -> None:
        self.front = Front(MetadataTwin())
        self.told = Told()
        self.services = cast(
            Services,
            SimpleNamespace(
                directory=self.front.directory,
                identities=self.front.store,
                credentials=self,
                keys=keys,
                metadata=self.front.metadata,
            ),
        )

    async def refused(self, name: str, **parameters: Any) -> CallFailedError:
        """How a call is refused."""
        try:
            await self.call(name, **parameters)
        except CallFailedError as error:
            return error
        raise AssertionError(f"{name} was not refused")

    async def find(self, access_key: str, _session_token: str | None = None) -> Signer | None:
        return Signer(self.principal(access_key), SECRET)

    async def whose(self, access_key: str, _session_token: str | None = None) -> Principal | None:
        return self.principal(access_key)

    def principal(self, name: str) -> Principal:
        directory = self.front.directory
        if name.isdecimal():
            return directory.principal_of_account(the_account(directory, name))
        found = directory.principal_of_user(the_user(directory, BART_ID, name))
        assert found is not None
        return found

    async def call(
        self, name: str, by: str = BART_ID, service: str = "iam", **parameters: Any
    ) -> dict[str, Any]:
        """What botocore reads of the answer, every word of which it has to know. Raises
        CallFailedError."""
        operation = model(service).operation_model(name)
        made = botocore.serialize.create_serializer(
            "query", include_validation=False
        ).serialize_to_request(parameters, operation)
        form = botocore.awsrequest.AWSRequest("POST", "http://s3.lan/", {}, made["body"])
        body = form.prepare().body.encode()
        reply = await self.send(body, by, service)
        parsed = botocore.parsers.create_parser("query").parse(reply, operation.output_shape)
        if reply["status_code"] >= 300:
            raise CallFailedError(reply["status_code"], parsed["Error"])
        assert list(_unknown(operation, fromstring(reply["body"]))) == []  # noqa: S314  # ours
        del parsed["ResponseMetadata"]
        return cast(dict[str, Any], parsed)

    def key(self, by: str, service: str) -> AccessKey | None:
        """What somebody signs with; None: nothing."""
        return None if by == NOBODY else AccessKey(by, SECRET, service=service)

    async def send(
        self,
        body: bytes,
        by: str = BART_ID,
        service: str = "iam",
        more_headers: Mapping[str, str] = NO_HEADERS,
    ) -> dict[str, Any]:
        """The reply to a form."""
        now = datetime.now(UTC)
        headers = {"Host": "s3.lan", "Content-Type": "application/x-www-form-urlencoded"}
        headers |= more_headers
        key = self.key(by, service)
        if key is not None:
            head = RequestHead("POST", "/", "", fold_headers(headers.items()))
            headers |= sign_request(head, key, now, hashlib.sha256(body).hexdigest()).headers
        request = Request(
            "POST",
            "/",
            CIMultiDictProxy(CIMultiDict(headers)),
            Pieces([body], len(body)),
            "10.0.0.9",
            secure=True,
        )
        target = parse_target("/", "s3.lan", ("s3.lan",))
        try:
            reply = await answer_call(request, target, self.services, now, self.told)
        except S3Error as error:
            assert self.told.namespace is not None
            reply = call_error_reply(error, self.told.namespace, self.told.request_id)
        return {"status_code": reply.status, "headers": reply.headers, "body": reply.body}


def _unknown(operation: Any, tree: Element) -> Iterator[str]:
    """The paths of elements for which an answer has no member."""
    space = f"{{{operation.service_model.metadata['xmlNamespace']}}}"
    assert tree.tag == f"{space}{operation.name}Response"
    for child in tree:
        name = child.tag.removeprefix(space)
        if name == f"{operation.name}Result":
            yield from _unknown_in(operation.output_shape, child, space, name)
        elif name != "ResponseMetadata":
            yield name


def _unknown_in(shape: Any, node: Element, space: str, path: str) -> Iterator[str]:
    for child in node:
        assert child.tag.startswith(space)
        name = child.tag.removeprefix(space)
        if shape is None:
            yield f"{path}/{name}"
        elif shape.type_name == "structure":
            if name not in shape.members:
                yield f"{path}/{name}"
            else:
                yield from _unknown_in(shape.members[name], child, space, f"{path}/{name}")
        elif shape.type_name == "list":
            if name != "member":
                yield f"{path}/{name}"
            else:
                yield from _unknown_in(shape.member, child, space, f"{path}/{name}")
        elif shape.type_name == "map":
            if name != "entry" or [each.tag for each in child] != [f"{space}key", f"{space}value"]:
                yield f"{path}/{name}"
        else:
            yield f"{path}/{name}"
