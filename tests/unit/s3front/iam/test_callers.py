"""Who is meant by a name that somebody types."""

from __future__ import annotations

import pytest

from s3front.auth.identity import ANONYMOUS
from s3front.iam.callers import caller_named
from s3front.iam.iam_errors import IamError
from s3front.iam.role_changes import create_role
from s3front.iam.user_changes import create_user
from tests.unit.s3front.iam.stored_identities import BART_ID, TRUST, Front
from tests.unit.s3front.metadata_twin import MetadataTwin

IAM = f"arn:aws:iam::{BART_ID}"


@pytest.fixture
async def front() -> Front:
    made = Front(MetadataTwin())
    await made.change(lambda d: create_user(d, BART_ID, "Anna", path="/staff/"))
    await made.change(lambda d: create_role(d, BART_ID, "Job", TRUST, path="/staff/"))
    return made


async def test_somebody_is_meant_by_an_arn_or_a_key(front: Front) -> None:
    key = (await front.make_key(BART_ID, "Anna")).record.id
    expected = {
        BART_ID: f"{IAM}:root",
        f"{IAM}:root": f"{IAM}:root",
        f"{IAM}:user/staff/Anna": f"{IAM}:user/staff/Anna",
        key: f"{IAM}:user/staff/Anna",
        f"{IAM}:role/staff/Job": f"arn:aws:sts::{BART_ID}:assumed-role/Job/simulated",
        "anonymous": ANONYMOUS.arn,
    }
    found = {name: caller_named(front.directory, name).arn for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    "name",
    [
        f"{IAM}:user/Anna",
        f"{IAM}:user/board/Anna",
        f"{IAM}:user/staff/anna",
        f"{IAM}:role/Job",
        f"{IAM}:user/staff/Ben",
        "555555555555",
        "AKIAOFNOBODYATALL",
    ],
)
async def test_nobody_is_meant_by_another_path(front: Front, name: str) -> None:
    """Policies would not know who that is."""
    with pytest.raises(IamError) as caught:
        caller_named(front.directory, name)
    assert caught.value.code == "NoSuchEntity"
