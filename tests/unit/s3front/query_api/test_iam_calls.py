"""Calls of IAM, over metadata in memory: what they change and show, and how they refuse. Each
answer is read by botocore, and has no word that its model lacks."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from s3front.iam.last_used import LastUses
from s3front.keys.sealing import Keys
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST
from tests.unit.s3front.query_api.query_service import ACCOUNT, ALL, READ_ONLY, QueryService, tag


async def test_users(iam: QueryService) -> None:
    made = await iam.call("CreateUser", UserName="Anna", Path="/staff/", Tags=[tag("a", "1")])
    assert made["User"]["Arn"] == f"{ACCOUNT}:user/staff/Anna"
    assert made["User"]["UserId"].startswith("AIDA")
    assert (await iam.call("GetUser", UserName="anna"))["User"] == made["User"]
    assert (await iam.refused("CreateUser", UserName="ANNA")).code == "EntityAlreadyExists"
    await iam.call("UpdateUser", UserName="Anna", NewUserName="Berta", NewPath="/")
    assert (await iam.refused("GetUser", UserName="Anna")).status == 404
    assert (await iam.call("GetUser", UserName="Berta"))["User"]["UserId"] == made["User"]["UserId"]
    await iam.call("TagUser", UserName="Berta", Tags=[tag("A", "2"), tag("b", "")])
    await iam.call("UntagUser", UserName="Berta", TagKeys=["b"])
    assert (await iam.call("ListUserTags", UserName="Berta"))["Tags"] == [tag("A", "2")]
    await iam.call("DeleteUser", UserName="Berta")
    assert (await iam.refused("DeleteUser", UserName="Berta")).code == "NoSuchEntity"


async def test_an_account_is_its_own_user(iam: QueryService) -> None:
    user = (await iam.call("GetUser"))["User"]
    assert (user["UserId"], user["Arn"]) == (BART_ID, f"{ACCOUNT}:root")


async def test_lists_come_in_pages(iam: QueryService) -> None:
    for number in range(5):
        await iam.call("CreateUser", UserName=f"user{number}", Path=f"/{number % 2}/")
    names: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = await iam.call("ListUsers", MaxItems=2, **marker)
        names += [user["UserName"] for user in page["Users"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert names == [f"user{number}" for number in range(5)]
    odd = await iam.call("ListUsers", PathPrefix="/1/")
    assert [user["UserName"] for user in odd["Users"]] == ["user1", "user3"]
    await iam.call("CreateGroup", GroupName="odd", Path='/1"\\/2/')
    assert len((await iam.call("ListGroups", PathPrefix='/1"\\'))["Groups"]) == 1
    assert (await iam.call("ListGroups", PathPrefix="/2"))["Groups"] == []
    for wrong in ("%", "é", "/w=="):
        assert (await iam.refused("ListUsers", Marker=wrong)).code == "ValidationError"
    assert (await iam.refused("ListUsers", MaxItems=0)).code == "ValidationError"
    assert (await iam.refused("ListUsers", MaxItems=1001)).code == "ValidationError"


async def test_boundaries(iam: QueryService) -> None:
    made = await iam.call("CreateUser", UserName="Anna", PermissionsBoundary=READ_ONLY)
    assert made["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == READ_ONLY
    await iam.call("DeleteUserPermissionsBoundary", UserName="Anna")
    assert "PermissionsBoundary" not in (await iam.call("GetUser", UserName="Anna"))["User"]
    await iam.call("PutUserPermissionsBoundary", UserName="Anna", PermissionsBoundary=READ_ONLY)
    used = await iam.call("ListEntitiesForPolicy", PolicyArn=READ_ONLY)
    assert [user["UserName"] for user in used["PolicyUsers"]] == ["Anna"]
    only = await iam.call(
        "ListEntitiesForPolicy", PolicyArn=READ_ONLY, PolicyUsageFilter="PermissionsPolicy"
    )
    assert only["PolicyUsers"] == []
    await iam.call("CreateRole", RoleName="R", AssumeRolePolicyDocument=TRUST)
    await iam.call("PutRolePermissionsBoundary", RoleName="R", PermissionsBoundary=READ_ONLY)
    await iam.call("DeleteRolePermissionsBoundary", RoleName="R")


async def test_groups(iam: QueryService) -> None:
    made = await iam.call("CreateGroup", GroupName="Readers", Path="/g/")
    assert made["Group"]["Arn"] == f"{ACCOUNT}:group/g/Readers"
    await iam.call("CreateUser", UserName="Anna")
    await iam.call("AddUserToGroup", GroupName="Readers", UserName="Anna")
    members = await iam.call("GetGroup", GroupName="Readers")
    assert [user["UserName"] for user in members["Users"]] == ["Anna"]
    await iam.call("UpdateGroup", GroupName="Readers", NewGroupName="Lesers")
    assert (await iam.refused("DeleteGroup", GroupName="Lesers")).code == "DeleteConflict"
    assert (await iam.refused("DeleteUser", UserName="Anna")).code == "DeleteConflict"
    listed = await iam.call("ListGroupsForUser", UserName="Anna")
    assert [group["GroupName"] for group in listed["Groups"]] == ["Lesers"]
    assert len((await iam.call("ListGroups"))["Groups"]) == 1
    await iam.call("RemoveUserFromGroup", GroupName="Lesers", UserName="Anna")
    await iam.call("DeleteGroup", GroupName="Lesers")
    assert (await iam.call("ListGroups"))["Groups"] == []


async def test_roles(iam: QueryService) -> None:
    made = await iam.call(
        "CreateRole",
        RoleName="Backup",
        AssumeRolePolicyDocument=TRUST,
        Description="every night",
        MaxSessionDuration=7200,
        Tags=[tag("a", "1")],
    )
    assert unquote(made["Role"]["AssumeRolePolicyDocument"]) == TRUST
    assert made["Role"]["MaxSessionDuration"] == 7200
    assert (await iam.call("GetRole", RoleName="Backup"))["Role"] == made["Role"]
    await iam.call("UpdateRole", RoleName="Backup", MaxSessionDuration=3600)
    changed = await iam.call("UpdateRoleDescription", RoleName="Backup", Description="daily")
    assert changed["Role"]["Description"] == "daily"
    await iam.call("UpdateAssumeRolePolicy", RoleName="Backup", PolicyDocument=TRUST)
    await iam.call("TagRole", RoleName="Backup", Tags=[tag("b", "2")])
    await iam.call("UntagRole", RoleName="Backup", TagKeys=["a"])
    assert (await iam.call("ListRoleTags", RoleName="Backup"))["Tags"] == [tag("b", "2")]
    assert len((await iam.call("ListRoles"))["Roles"]) == 1
    bad = await iam.refused("CreateRole", RoleName="X", AssumeRolePolicyDocument=ALL)
    assert bad.code == "MalformedPolicyDocument"
    await iam.call("DeleteRole", RoleName="Backup")
    assert (await iam.refused("GetRole", RoleName="Backup")).code == "NoSuchEntity"


@pytest.mark.parametrize("kind", ["User", "Group", "Role"])
async def test_policies_of_all_who_can_have_some(iam: QueryService, kind: str) -> None:
    trust = {"AssumeRolePolicyDocument": TRUST} if kind == "Role" else {}
    who = {f"{kind}Name": "One"}
    await iam.call(f"Create{kind}", **who, **trust)
    await iam.call(f"Put{kind}Policy", **who, PolicyName="reads", PolicyDocument=READS)
    found = await iam.call(f"Get{kind}Policy", **who, PolicyName="reads")
    assert unquote(found["PolicyDocument"]) == READS
    assert (await iam.call(f"List{kind}Policies", **who))["PolicyNames"] == ["reads"]
    await iam.call(f"Attach{kind}Policy", **who, PolicyArn=READ_ONLY)
    attached = await iam.call(f"ListAttached{kind}Policies", **who)
    assert attached["AttachedPolicies"] == [
        {"PolicyName": "AmazonS3ReadOnlyAccess", "PolicyArn": READ_ONLY}
    ]
    elsewhere = await iam.call(f"ListAttached{kind}Policies", **who, PathPrefix="/other/")
    assert elsewhere["AttachedPolicies"] == []
    used = await iam.call("ListEntitiesForPolicy", PolicyArn=READ_ONLY, EntityFilter=kind)
    assert [entity[f"{kind}Name"] for entity in used[f"Policy{kind}s"]] == ["One"]
    assert (await iam.refused(f"Delete{kind}", **who)).code == "DeleteConflict"
    await iam.call(f"Detach{kind}Policy", **who, PolicyArn=READ_ONLY)
    assert (
        await iam.refused(f"Detach{kind}Policy", **who, PolicyArn=READ_ONLY)
    ).code == "NoSuchEntity"
    await iam.call(f"Delete{kind}Policy", **who, PolicyName="reads")
    assert (await iam.refused(f"Get{kind}Policy", **who, PolicyName="reads")).code == "NoSuchEntity"
    await iam.call(f"Delete{kind}", **who)


async def test_managed_policies_and_their_versions(iam: QueryService) -> None:
    made = await iam.call(
        "CreatePolicy", PolicyName="P", PolicyDocument=READS, Description="d", Path="/p/"
    )
    arn = made["Policy"]["Arn"]
    assert arn == f"{ACCOUNT}:policy/p/P"
    version = await iam.call(
        "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=ALL, SetAsDefault=True
    )
    assert version["PolicyVersion"]["VersionId"] == "v2"
    assert (await iam.call("GetPolicy", PolicyArn=arn))["Policy"]["DefaultVersionId"] == "v2"
    first = await iam.call("GetPolicyVersion", PolicyArn=arn, VersionId="v1")
    assert unquote(first["PolicyVersion"]["Document"]) == READS
    versions = (await iam.call("ListPolicyVersions", PolicyArn=arn))["Versions"]
    assert [each["VersionId"] for each in versions] == ["v2", "v1"]
    page = await iam.call("ListPolicyVersions", PolicyArn=arn, MaxItems=1)
    rest = await iam.call("ListPolicyVersions", PolicyArn=arn, Marker=page["Marker"])
    assert [each["VersionId"] for each in rest["Versions"]] == ["v1"]
    assert (
        await iam.refused("DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    ).code == "DeleteConflict"
    await iam.call("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1")
    await iam.call("DeletePolicyVersion", PolicyArn=arn, VersionId="v2")
    await iam.call("TagPolicy", PolicyArn=arn, Tags=[tag("a", "1"), tag("b", "2")])
    await iam.call("UntagPolicy", PolicyArn=arn, TagKeys=["a"])
    assert (await iam.call("ListPolicyTags", PolicyArn=arn))["Tags"] == [tag("b", "2")]
    await iam.call("DeletePolicy", PolicyArn=arn)
    assert (await iam.refused("GetPolicy", PolicyArn=arn)).code == "NoSuchEntity"
    assert (await iam.refused("GetPolicy", PolicyArn="a" * 20)).code == "InvalidInput"


async def test_lists_of_policies(iam: QueryService) -> None:
    for name in "AB":
        await iam.call("CreatePolicy", PolicyName=name, PolicyDocument=READS)
    own = (await iam.call("ListPolicies", Scope="Local"))["Policies"]
    assert [policy["PolicyName"] for policy in own] == ["A", "B"]
    names = [policy["PolicyName"] for policy in (await iam.call("ListPolicies"))["Policies"]]
    assert names[:2] == ["A", "B"]
    assert "AdministratorAccess" in names
    paged: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = await iam.call("ListPolicies", MaxItems=1, **marker)
        paged += [policy["PolicyName"] for policy in page["Policies"]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert paged == names
    assert (await iam.call("ListPolicies", OnlyAttached=True))["Policies"] == []
    await iam.call("CreateGroup", GroupName="G")
    await iam.call("AttachGroupPolicy", GroupName="G", PolicyArn=READ_ONLY)
    found = await iam.call("ListPolicies", Scope="AWS", PolicyUsageFilter="PermissionsPolicy")
    assert [policy["AttachmentCount"] for policy in found["Policies"]] == [1]


async def test_access_keys(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="Anna")
    key = (await iam.call("CreateAccessKey", UserName="Anna"))["AccessKey"]
    assert len(key["AccessKeyId"]) == 20
    assert len(key["SecretAccessKey"]) == 40
    listed = (await iam.call("ListAccessKeys", UserName="Anna"))["AccessKeyMetadata"]
    assert [(each["AccessKeyId"], each["Status"]) for each in listed] == [
        (key["AccessKeyId"], "Active")
    ]
    which = {"UserName": "Anna", "AccessKeyId": key["AccessKeyId"]}
    await iam.call("UpdateAccessKey", **which, Status="Inactive")
    used = await iam.call("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"])
    assert used["UserName"] == "Anna"
    assert used["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    uses = LastUses(iam.front.metadata)
    uses.of(key["AccessKeyId"])("s3", "us-east-1")
    await uses.flush()
    used = await iam.call("GetAccessKeyLastUsed", AccessKeyId=key["AccessKeyId"])
    assert used["AccessKeyLastUsed"]["ServiceName"] == "s3"
    assert used["AccessKeyLastUsed"]["LastUsedDate"].year >= 2026
    assert (await iam.refused("UpdateAccessKey", **which, Status="On")).code == "ValidationError"
    assert (await iam.refused("DeleteUser", UserName="Anna")).code == "DeleteConflict"
    await iam.call("CreateAccessKey", UserName="Anna")
    assert (await iam.refused("CreateAccessKey", UserName="Anna")).code == "LimitExceeded"
    await iam.call("DeleteAccessKey", **which)
    assert (await iam.refused("DeleteAccessKey", **which)).code == "NoSuchEntity"


async def test_a_user_has_keys_of_his_own(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="Anna")
    await iam.call("PutUserPolicy", UserName="Anna", PolicyName="p", PolicyDocument=ALL)
    key = (await iam.call("CreateAccessKey", by="Anna"))["AccessKey"]
    assert key["UserName"] == "Anna"
    assert len((await iam.call("ListAccessKeys", by="Anna"))["AccessKeyMetadata"]) == 1
    assert (await iam.call("GetUser", by="Anna"))["User"]["UserName"] == "Anna"


async def test_without_a_master_key_no_access_key_is_made() -> None:
    bare = QueryService(Keys({}, None))
    await bare.call("CreateUser", UserName="Anna")
    error = await bare.refused("CreateAccessKey", UserName="Anna")
    assert error.status == 501
    assert "s3front keys create" in error.message


async def test_accounts(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="Anna")
    summary = (await iam.call("GetAccountSummary"))["SummaryMap"]
    assert (summary["Users"], summary["Groups"]) == (1, 0)
    assert (await iam.call("ListAccountAliases"))["AccountAliases"] == []
    await iam.call("CreateAccountAlias", AccountAlias="springfield")
    assert (await iam.call("ListAccountAliases"))["AccountAliases"] == ["springfield"]
    await iam.call("DeleteAccountAlias", AccountAlias="springfield")


async def test_all_that_there_is(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="Anna", PermissionsBoundary=READ_ONLY)
    await iam.call("PutUserPolicy", UserName="Anna", PolicyName="p", PolicyDocument=READS)
    await iam.call("CreateGroup", GroupName="G")
    await iam.call("AddUserToGroup", GroupName="G", UserName="Anna")
    await iam.call("CreateRole", RoleName="R", AssumeRolePolicyDocument=TRUST)
    await iam.call("AttachRolePolicy", RoleName="R", PolicyArn=READ_ONLY)
    await iam.call("CreatePolicy", PolicyName="P", PolicyDocument=READS)
    whole = await iam.call("GetAccountAuthorizationDetails")
    user = whole["UserDetailList"][0]
    assert unquote(user["UserPolicyList"][0]["PolicyDocument"]) == READS
    assert user["GroupList"] == ["G"]
    assert [len(whole[name]) for name in ("GroupDetailList", "RoleDetailList", "Policies")] == [
        1,
        1,
        2,
    ]
    users = await iam.call("GetAccountAuthorizationDetails", Filter=["User"])
    assert (len(users["UserDetailList"]), users["RoleDetailList"]) == (1, [])
    found = 0
    marker: dict[str, str] = {}
    while True:
        page = await iam.call("GetAccountAuthorizationDetails", MaxItems=1, **marker)
        found += sum(len(value) for value in page.values() if isinstance(value, list))
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert found == 5


async def test_providers(iam: QueryService) -> None:
    made = await iam.call(
        "CreateOpenIDConnectProvider",
        Url="https://login.example.com/realm",
        ClientIDList=["app"],
        ThumbprintList=["ab" * 20],
        Tags=[tag("a", "1")],
    )
    arn = made["OpenIDConnectProviderArn"]
    which = {"OpenIDConnectProviderArn": arn}
    assert arn == f"{ACCOUNT}:oidc-provider/login.example.com/realm"
    await iam.call("AddClientIDToOpenIDConnectProvider", **which, ClientID="other")
    await iam.call("RemoveClientIDFromOpenIDConnectProvider", **which, ClientID="app")
    await iam.call("UpdateOpenIDConnectProviderThumbprint", **which, ThumbprintList=["cd" * 20])
    await iam.call("TagOpenIDConnectProvider", **which, Tags=[tag("b", "2")])
    await iam.call("UntagOpenIDConnectProvider", **which, TagKeys=["a"])
    assert (await iam.call("ListOpenIDConnectProviderTags", **which))["Tags"] == [tag("b", "2")]
    shown = await iam.call("GetOpenIDConnectProvider", **which)
    assert (shown["ClientIDList"], shown["ThumbprintList"]) == (["other"], ["cd" * 20])
    listed = await iam.call("ListOpenIDConnectProviders")
    assert listed["OpenIDConnectProviderList"] == [{"Arn": arn}]
    await iam.call("DeleteOpenIDConnectProvider", **which)
    assert (await iam.refused("GetOpenIDConnectProvider", **which)).code == "NoSuchEntity"


EMPTY = {
    "ListInstanceProfiles": "InstanceProfiles",
    "ListMFADevices": "MFADevices",
    "ListSAMLProviders": "SAMLProviderList",
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListServerCertificates": "ServerCertificateMetadataList",
    "ListServiceSpecificCredentials": "ServiceSpecificCredentials",
    "ListSigningCertificates": "Certificates",
    "ListVirtualMFADevices": "VirtualMFADevices",
}
ABSENT = {
    "DeleteAccountPasswordPolicy": {},
    "DeleteInstanceProfile": {"InstanceProfileName": "i"},
    "DeleteLoginProfile": {"UserName": "Anna"},
    "GetAccountPasswordPolicy": {},
    "GetInstanceProfile": {"InstanceProfileName": "i"},
    "GetLoginProfile": {"UserName": "Anna"},
    "GetSAMLProvider": {"SAMLProviderArn": f"{ACCOUNT}:saml-provider/x"},
    "GetServerCertificate": {"ServerCertificateName": "c"},
    "RemoveRoleFromInstanceProfile": {"InstanceProfileName": "i", "RoleName": "R"},
}


async def test_what_nobody_has(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="Anna")
    await iam.call("CreateRole", RoleName="R", AssumeRolePolicyDocument=TRUST)
    for name, members in EMPTY.items():
        assert (await iam.call(name))[members] == []
    listed = await iam.call("ListInstanceProfilesForRole", RoleName="R")
    assert listed["InstanceProfiles"] == []
    assert (await iam.refused("ListMFADevices", UserName="nobody")).code == "NoSuchEntity"
    for name, parameters in ABSENT.items():
        assert (await iam.refused(name, **parameters)).code == "NoSuchEntity"


async def test_an_own_policy_may_have_the_name_of_one_of_aws(iam: QueryService) -> None:
    own = await iam.call("CreatePolicy", PolicyName="AmazonS3ReadOnlyAccess", PolicyDocument=READS)
    arns = [own["Policy"]["Arn"], READ_ONLY]
    await iam.call("CreateUser", UserName="Anna")
    for arn in arns:
        await iam.call("AttachUserPolicy", UserName="Anna", PolicyArn=arn)
    attached = await iam.call("ListAttachedUserPolicies", UserName="Anna")
    assert {each["PolicyArn"] for each in attached["AttachedPolicies"]} == set(arns)
    page = await iam.call("ListAttachedUserPolicies", UserName="Anna", MaxItems=1)
    rest = await iam.call("ListAttachedUserPolicies", UserName="Anna", Marker=page["Marker"])
    shown = page["AttachedPolicies"] + rest["AttachedPolicies"]
    assert {each["PolicyArn"] for each in shown} == set(arns)
