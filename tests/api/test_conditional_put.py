"""PutObject with If-Match and If-None-Match; the races are in ``test_two_fronts``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.support import code_of, error_of, keys_in
from tests.raw_http import FOREIGNER, Connection, anonymous, call, sign
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"the body of an object"


def test_only_when_absent(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY, IfNoneMatch="*")
    error = error_of(s3.put_object, Bucket=bucket, Key="a", Body=b"no", IfNoneMatch="*")
    assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
    assert error["Condition"] == "If-None-Match"
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY
    s3.delete_object(Bucket=bucket, Key="a")
    s3.put_object(Bucket=bucket, Key="a", Body=b"again", IfNoneMatch="*")


def test_only_when_it_is_still_the_same(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=BODY)["ETag"]
    newer = s3.put_object(Bucket=bucket, Key="a", Body=b"newer", IfMatch=etag)["ETag"]
    error = error_of(s3.put_object, Bucket=bucket, Key="a", Body=b"no", IfMatch=etag)
    assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
    assert error["Condition"] == "If-Match"
    assert s3.head_object(Bucket=bucket, Key="a")["ETag"] == newer


def test_the_same_as_an_object_that_is_absent(s3: Any, bucket: str) -> None:
    refused = code_of(s3.put_object, Bucket=bucket, Key="a", Body=BODY, IfMatch='"etag"')
    assert refused == (404, "NoSuchKey")
    assert keys_in(s3, bucket) == []


def test_a_condition_that_writes_do_not_have(s3: Any, bucket: str) -> None:
    error = error_of(s3.put_object, Bucket=bucket, Key="a", Body=BODY, IfNoneMatch='"etag"')
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    assert error["Header"] == "If-None-Match"


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ({"If-None-Match": "*"}, "PreconditionFailed"),
        ({"If-None-Match": '"etag"'}, "NotImplemented"),
        ({"If-Match": '"other"'}, "PreconditionFailed"),
        ({"If-Match": "*"}, "NotImplemented"),
        ({"If-Match": '"other"', "If-None-Match": "*"}, "NotImplemented"),
    ],
)
def test_a_hopeless_body_is_never_asked_for(
    s3: Any, front: Front, bucket: str, condition: dict[str, str], code: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    headers = {"Content-Length": "10", "Expect": "100-continue", **condition}
    response = call(front, "PUT", f"/{bucket}/a", headers=headers, payload="UNSIGNED-PAYLOAD")
    assert (response.error["Code"], response.interim) == (code, ())


def test_a_condition_that_fails_while_the_body_comes(s3: Any, front: Front, bucket: str) -> None:
    """What was decided before the body is decided again with the commit."""
    headers = {"Content-Length": "4", "Expect": "100-continue", "If-None-Match": "*"}
    request = sign(front, "PUT", f"/{bucket}/a", headers=headers, payload="UNSIGNED-PAYLOAD")
    with Connection(front) as connection:
        connection.send(request)
        assert connection.receive_interim() == 100
        s3.put_object(Bucket=bucket, Key="a", Body=BODY)
        connection.send(b"late")
        assert connection.receive("PUT").error["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY


def test_of_many_conditional_writers_one_wins(s3: Any, bucket: str) -> None:
    def write(number: int) -> int:
        try:
            s3.put_object(Bucket=bucket, Key="a", Body=b"%d" % number, IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status
        return 200

    with ThreadPoolExecutor(8) as pool:
        statuses = [*pool.map(write, range(16))]
    assert sorted(set(statuses)) == [200, 412]
    assert statuses.count(200) == 1
    winner = b"%d" % statuses.index(200)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == winner


def test_increments_under_conditions_lose_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def increment(_: int) -> None:
        while True:
            found = s3.get_object(Bucket=bucket, Key="n")
            number = int(found["Body"].read()) + 1
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=b"%d" % number, IfMatch=found["ETag"])
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed"  # noqa: PT017
            else:
                return

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(increment, range(20))]
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == b"20"


def test_others_do_not_learn_whether_a_condition_holds(s3: Any, front: Front, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    for condition in ({"If-None-Match": "*"}, {"If-Match": '"etag"'}):
        for key in ("a", "absent"):
            target = f"/{bucket}/{key}"
            foreign = call(front, "PUT", target, b"x", condition, key=FOREIGNER)
            assert foreign.error["Code"] == "AccessDenied"
            unsigned = anonymous(front, "PUT", target, b"x", condition)
            assert unsigned.error["Code"] == "AccessDenied"
