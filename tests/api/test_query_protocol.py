"""The protocol of IAM's and STS's calls: who is known, what is refused, and in which words."""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from s3front.auth.sigv4 import AccessKey
from tests.raw_http import Response, anonymous, call, connected, exchange, host_of, sign, wire
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY, Front

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
STS = AccessKey(ACCESS_KEY, SECRET_KEY, REGION, service="sts")
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"


def sts_client(front: Front, access_key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> Any:
    return boto3.client(
        "sts",
        endpoint_url=front.url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name=REGION,
        verify=front.verify,
        config=Config(retries={"total_max_attempts": 1}),
    )


def error_of(response: Response) -> tuple[int, str, str]:
    """Status, code and message."""
    tree: Element = fromstring(response.body)  # noqa: S314  # our own server's
    space = tree.tag.partition("}")[0] + "}"
    assert tree.tag == f"{space}ErrorResponse"
    error = tree.find(f"{space}Error")
    assert error is not None
    told = {node.tag.removeprefix(space): node.text or "" for node in error}
    assert told["Type"] == ("Sender" if response.status < 500 else "Receiver")
    request_id = tree.findtext(f"{space}RequestId")
    assert request_id == response.headers["x-amzn-RequestId"]
    return response.status, told["Code"], told["Message"]


def test_who_asks(front: Front) -> None:
    told = sts_client(front).get_caller_identity()
    assert told["Account"] == "123456789012"
    assert told["UserId"] == "123456789012"
    assert told["Arn"] == "arn:aws:iam::123456789012:root"
    assert re.fullmatch("[0-9A-F]{16}", told["ResponseMetadata"]["RequestId"])


def test_over_tls(tls_front: Front) -> None:
    assert sts_client(tls_front).get_caller_identity()["Account"] == "123456789012"


def test_a_presigned_call(front: Front) -> None:
    presigned = sts_client(front).generate_presigned_url
    url = presigned("get_caller_identity", HttpMethod="GET")
    posted = requests.post(presigned("get_caller_identity"), timeout=10)
    for answer in (requests.get(url, timeout=10), posted):
        assert answer.status_code == 200
        assert "<Account>123456789012</Account>" in answer.text
    assert requests.get(url.replace("2011", "2012"), timeout=10).status_code == 400
    altered = requests.get(f"{url}&DurationSeconds=60", timeout=10)
    assert altered.status_code == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in altered.text


def test_an_unknown_key(front: Front) -> None:
    with pytest.raises(ClientError) as caught:
        sts_client(front, "AKIANOBODY", "x").get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_wrong_secret(front: Front) -> None:
    with pytest.raises(ClientError) as caught:
        sts_client(front, secret="wrong").get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_a_signature_for_s3_is_good_for_no_call(front: Front) -> None:
    answer = call(front, "POST", "/", IDENTITY, FORM)
    assert error_of(answer)[:2] == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (IDENTITY, 403, "MissingAuthenticationToken"),
        (b"Action=Nothing&Version=2011-06-15", 400, "InvalidAction"),
        (b"Action=GetCallerIdentity&Version=2010-05-08", 400, "InvalidAction"),
        (b"Action=GetCallerIdentity", 400, "InvalidAction"),
        (b"Version=2011-06-15", 400, "MissingAction"),
        (b"", 400, "MissingAction"),
        (b"Action", 400, "MalformedQueryString"),
        (IDENTITY + b"&Action=GetCallerIdentity", 400, "MalformedQueryString"),
        (IDENTITY + b"&X=%FF", 400, "MalformedQueryString"),
        (b"A=" + b"x" * (1024 * 1024), 413, "RequestEntityTooLarge"),
    ],
)
def test_what_is_refused_before_anybody_is_known(
    front: Front, body: bytes, status: int, code: str
) -> None:
    assert error_of(anonymous(front, "POST", "/", body, FORM))[:2] == (status, code)


def test_a_body_without_a_length_is_bounded(front: Front) -> None:
    sent = {"Host": host_of(front), "Transfer-Encoding": "chunked", **FORM}
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(IDENTITY), IDENTITY)
    assert error_of(exchange(front, wire("POST", "/", sent, body)))[1] == (
        "MissingAuthenticationToken"
    )
    block = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    large = wire("POST", "/", sent, block * 17 + b"0\r\n\r\n")
    assert error_of(exchange(front, large))[1] == "RequestEntityTooLarge"


def test_the_connection_goes_on(front: Front) -> None:
    with connected(front) as connection:
        signed = sign(front, "POST", "/", IDENTITY, FORM, key=STS)
        assert connection.exchange(signed).status == 200
        broken = connection.exchange(sign(front, "POST", "/", b"Action=No", FORM, key=STS))
        assert error_of(broken)[1] == "InvalidAction"


def test_other_requests_to_the_service_are_as_before(front: Front) -> None:
    assert call(front, "GET", "/").status == 200
    assert call(front, "POST", "/").error["Code"] == "MethodNotAllowed"
    assert call(front, "GET", "/?Action=GetCallerIdentity").status == 200
