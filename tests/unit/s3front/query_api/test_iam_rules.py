"""The rules of parameters, held against botocore's model of IAM."""

from __future__ import annotations

import pytest

from s3front.query_api import iam_rules
from s3front.query_api.call_parameters import Rule
from tests.unit.s3front.query_api.query_service import model

# A rule, a call and its parameter.
RULES: list[tuple[Rule, str, str]] = [
    (iam_rules.USER_NAME, "GetUser", "UserName"),
    (iam_rules.GROUP_NAME, "GetGroup", "GroupName"),
    (iam_rules.ROLE_NAME, "GetRole", "RoleName"),
    (iam_rules.POLICY_NAME, "PutUserPolicy", "PolicyName"),
    (iam_rules.ARN, "GetPolicy", "PolicyArn"),
    (iam_rules.DOCUMENT, "CreatePolicy", "PolicyDocument"),
    (iam_rules.DESCRIPTION, "CreatePolicy", "Description"),
    (iam_rules.PATH_PREFIX, "ListUsers", "PathPrefix"),
    (iam_rules.ALIAS, "CreateAccountAlias", "AccountAlias"),
    (iam_rules.URL, "CreateOpenIDConnectProvider", "Url"),
    (iam_rules.SCOPE, "ListPolicies", "Scope"),
    (iam_rules.USAGE, "ListPolicies", "PolicyUsageFilter"),
    (iam_rules.ENTITY, "ListEntitiesForPolicy", "EntityFilter"),
]


@pytest.mark.parametrize(("rule", "call", "parameter"), RULES)
def test_a_rule_is_as_the_model_has_it(rule: Rule, call: str, parameter: str) -> None:
    shape = model("iam").operation_model(call).input_shape.members[parameter]
    if rule.values:
        assert list(rule.values) == shape.metadata["enum"]
        return
    assert rule.minimum == shape.metadata.get("min", 0)
    assert rule.maximum == shape.metadata["max"]


def test_what_is_required_is_so_in_the_model() -> None:
    assert set(iam_rules.STATUS.values) <= set(
        model("iam").operation_model("UpdateAccessKey").input_shape.members["Status"].enum
    )
