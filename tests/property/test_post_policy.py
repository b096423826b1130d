"""A policy lets the forms pass that it was made for, and no others."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from s3front.auth.post_policy import check_policy, parse_policy
from s3front.s3_errors import S3Error

NOW = datetime(2024, 2, 29, 12, tzinfo=UTC)
BUCKET = "bucket"

names = st.sampled_from(["key", "acl", "content-type", "tagging", "x-amz-meta-a", "x-amz-date"])
values = st.text(st.sampled_from('aB $\\/"{}é\U0001f600'), max_size=8)
forms = st.dictionaries(names, values)


@st.composite
def conditions_for(draw: st.DrawFn, fields: dict[str, str]) -> list[Any]:
    """Conditions that a form meets, in any of their three ways."""
    conditions: list[Any] = []
    for name, value in draw(st.permutations([*fields.items(), ("bucket", BUCKET)])):
        spelt = draw(st.sampled_from([name, name.upper(), name.title()]))
        way = draw(st.sampled_from(["simple", "eq", "starts-with"]))
        if way == "simple":
            conditions.append({spelt: value})
        elif way == "eq":
            conditions.append(["eq", f"${spelt}", value])
        else:
            # Each of a list of types has to begin so: none of these values holds a comma.
            shown = value.strip() if name == "content-type" else value
            end = draw(st.integers(0, len(shown)))
            conditions.append(["starts-with", f"${spelt}", shown[:end]])
    return conditions


def check(conditions: list[Any], fields: dict[str, str], bucket: str = BUCKET) -> None:
    document = {"expiration": "2024-02-29T12:00:01.000Z", "conditions": conditions}
    text = base64.b64encode(json.dumps(document).encode()).decode()
    check_policy(parse_policy(text), fields, bucket, NOW)


@given(st.data(), forms)
def test_the_form_that_a_policy_was_made_for_passes(data: st.DataObject, form: Any) -> None:
    check(data.draw(conditions_for(form)), form)


@given(st.data(), forms)
def test_without_one_of_its_conditions_a_policy_is_not_enough(
    data: st.DataObject, form: Any
) -> None:
    conditions = data.draw(conditions_for(form))
    conditions.pop(data.draw(st.integers(0, len(conditions) - 1)))
    with pytest.raises(S3Error, match="Extra input fields"):
        check(conditions, form)


@given(st.data(), forms, names, values)
def test_a_field_more_or_another_value_is_refused(
    data: st.DataObject, form: Any, name: str, value: str
) -> None:
    conditions = [{key: text} for key, text in {**form, "bucket": BUCKET}.items()]
    assume(form.get(name) != value)
    with pytest.raises(S3Error, match="Invalid according to Policy"):
        check(data.draw(st.permutations(conditions)), {**form, name: value})


@given(st.data(), forms, values)
def test_a_policy_is_for_one_bucket(data: st.DataObject, form: Any, other: str) -> None:
    conditions = [{key: text} for key, text in {**form, "bucket": BUCKET}.items()]
    with pytest.raises(S3Error, match=r"Policy Condition failed: .*bucket"):
        check(data.draw(st.permutations(conditions)), form, other)
