"""The XML of access control lists, both ways."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.parsers import create_parser

from s3front.authz.ownership import Owner
from s3front.configurations.acl_document import AclDocument, parse_acl, show_acl
from s3front.port.request import Reply
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts
from shared.records.names import SERVICE_ID_PREFIX
from tests.unit.s3front.configurations.known import ACCOUNTS, BART, LISA

GROUPS = "http://acs.amazonaws.com/groups/"
EVERYBODY = GROUPS + "global/AllUsers"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
BUCKET_OWNER, OTHER = Owner(BART, "Bart"), Owner(LISA, "Lisa")


def said(reply: Reply) -> dict[str, Any]:
    """What botocore makes of an answer."""
    assert isinstance(reply.body, bytes)
    response = AWSResponse("http://localhost/", reply.status, dict(reply.headers), None)
    values = {"status_code": reply.status, "headers": response.headers, "body": reply.body}
    model = botocore.session.get_session().get_service_model("s3").operation_model("GetBucketAcl")
    found: dict[str, Any] = create_parser("rest-xml").parse(values, model.output_shape)
    return found


def shown(acl: Any, owner: Owner = BUCKET_OWNER) -> list[tuple[str, str]]:
    """Grantee and permission of each grant that an answer has."""
    return [
        (grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"])
        for grant in said(show_acl(acl, owner, BUCKET_OWNER, ACCOUNTS))["Grants"]
    ]


@pytest.mark.parametrize(
    ("canned", "more"),
    [
        ("private", []),
        ("public-read", [("global/AllUsers", "READ")]),
        ("public-read-write", [("global/AllUsers", "READ"), ("global/AllUsers", "WRITE")]),
        ("authenticated-read", [("global/AuthenticatedUsers", "READ")]),
        ("log-delivery-write", [("s3/LogDelivery", "WRITE"), ("s3/LogDelivery", "READ_ACP")]),
    ],
)
def test_a_canned_list_is_shown(canned: str, more: list[tuple[str, str]]) -> None:
    groups = [(GROUPS + group, permission) for group, permission in more]
    assert shown({"Canned": canned}) == [*groups, (BART, "FULL_CONTROL")]


@pytest.mark.parametrize(
    ("canned", "permission"),
    [("bucket-owner-read", "READ"), ("bucket-owner-full-control", "FULL_CONTROL")],
)
def test_a_list_for_the_owner_of_the_bucket(canned: str, permission: str) -> None:
    acl = {"Canned": canned}
    assert shown(acl) == [(BART, "FULL_CONTROL")]
    assert shown(acl, OTHER) == [(BART, permission), (LISA, "FULL_CONTROL")]


def test_accounts_are_shown_with_their_names() -> None:
    acl = {"Canned": "", "FULL_CONTROL": ["gone"], "READ": [LISA, EVERYBODY]}
    found = said(show_acl(acl, BUCKET_OWNER, BUCKET_OWNER, ACCOUNTS))
    assert found["Owner"] == {"ID": BART, "DisplayName": "Bart"}
    assert [grant["Grantee"] for grant in found["Grants"]] == [
        {"Type": "CanonicalUser", "ID": LISA, "DisplayName": "Lisa"},
        {"Type": "Group", "URI": EVERYBODY},
        {"Type": "CanonicalUser", "ID": "gone"},
    ]


@pytest.mark.parametrize(
    "acl", [{"Canned": "what-is-this"}, {"READ": [1]}, {"READ": 1}, "private", 7], ids=str
)
def test_a_list_of_another_form_is_not_shown(acl: Any) -> None:
    with pytest.raises(S3Error, match=r"NotImplemented: .*acl"):
        shown(acl)


def test_names_that_xml_cannot_carry() -> None:
    strange = Accounts([Account("a\0b", "a@b.c", "arn", "odd\x01", "1" * 12)], [])
    acl = {"Canned": "", "READ": ["odd\x01"]}
    found = said(show_acl(acl, Owner("o", "<&>"), Owner("o", ""), ByAccounts(strange)))
    assert found["Owner"]["DisplayName"] == "<&>"
    assert found["Grants"][0]["Grantee"]["ID"] == "odd\N{REPLACEMENT CHARACTER}"


class ByAccounts:
    """Accounts, found as lists ask for them."""

    def __init__(self, accounts: Accounts) -> None:
        self.account_by_canonical_id = accounts.by_canonical_id
        self.account_by_email = accounts.by_email


# --- Read -----------------------------------------------------------------------------------------


def document(*grants: str, owner: str = f"<Owner><ID>{BART}</ID></Owner>") -> bytes:
    rows = "".join(grants)
    return (
        f'<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{owner}'
        f"<AccessControlList>{rows}</AccessControlList></AccessControlPolicy>"
    ).encode()


def grant(kind: str, members: str, permission: str = "READ") -> str:
    grantee = f'<Grantee xmlns:xsi="{INSTANCE}" xsi:type="{kind}">{members}</Grantee>'
    return f"<Grant>{grantee}<Permission>{permission}</Permission></Grant>"


def parsed(body: bytes, *, of_bucket: bool = True) -> AclDocument:
    return parse_acl(body, ACCOUNTS, of_bucket=of_bucket)


def test_a_document_is_read() -> None:
    service = SERVICE_ID_PREFIX + "lifecycle"
    body = document(
        grant("CanonicalUser", f"<ID>{LISA}</ID><DisplayName>Whoever</DisplayName>", "WRITE"),
        grant("AmazonCustomerByEmail", "<EmailAddress>LISA@example.com</EmailAddress>", "READ_ACP"),
        grant("Group", f"<URI>{EVERYBODY}</URI>"),
        grant("CanonicalUser", f"<ID>{service}</ID>", "FULL_CONTROL"),
    )
    found = parsed(body)
    assert found.owner_id == BART
    assert found.acl == {
        "Canned": "",
        "FULL_CONTROL": [service],
        "WRITE": [LISA],
        "WRITE_ACP": [],
        "READ": [EVERYBODY],
        "READ_ACP": [LISA],
    }


def test_a_document_without_grants_takes_all_of_them_away() -> None:
    assert set(map(str, parsed(document()).acl.values())) == {"", "[]"}


def test_what_is_shown_can_be_put_back() -> None:
    acl = {**parsed(document(grant("CanonicalUser", f"<ID>{LISA}</ID>"))).acl, "READ_ACP": [BART]}
    reply = show_acl(acl, BUCKET_OWNER, BUCKET_OWNER, ACCOUNTS)
    assert isinstance(reply.body, bytes)
    assert parsed(reply.body) == AclDocument(acl, BART)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<Other/>",
        b"<AccessControlPolicy/>",
        document(owner=""),
        document(owner="<Owner/>"),
        document(owner="<Owner><ID/></Owner>"),
        f"<AccessControlPolicy><Owner><ID>{BART}</ID></Owner></AccessControlPolicy>".encode(),
        document("<Other/>"),
        document("<Grant/>"),
        document(grant("CanonicalUser", f"<ID>{LISA}</ID>", "EVERYTHING")),
        document(grant("CanonicalUser", "")),
        document(grant("Group", f"<ID>{LISA}</ID>")),
        document(grant("Person", f"<ID>{LISA}</ID>")),
        document(f"<Grant><Grantee><ID>{LISA}</ID></Grantee><Permission>READ</Permission></Grant>"),
        document(*[grant("CanonicalUser", f"<ID>{LISA}</ID>")] * 101),
        b'<!DOCTYPE a [<!ENTITY b "c">]><AccessControlPolicy/>',
    ],
)
def test_a_document_that_is_none(body: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedACLError"):
        parsed(body)


def test_as_many_grants_as_allowed() -> None:
    body = document(*[grant("CanonicalUser", f"<ID>{LISA}</ID>")] * 100)
    assert parsed(body).acl["READ"] == [LISA]


@pytest.mark.parametrize(
    ("row", "code", "message", "fields"),
    [
        (
            grant("CanonicalUser", "<ID>nobody</ID>"),
            "InvalidArgument",
            "Invalid id",
            {"ArgumentName": "CanonicalUser/ID", "ArgumentValue": "nobody"},
        ),
        (
            grant("Group", "<URI>http://acs.amazonaws.com/groups/global/Friends</URI>"),
            "InvalidArgument",
            "Invalid group uri",
            {
                "ArgumentName": "Group/URI",
                "ArgumentValue": "http://acs.amazonaws.com/groups/global/Friends",
            },
        ),
        (
            grant("AmazonCustomerByEmail", "<EmailAddress>a@b.c</EmailAddress>"),
            "UnresolvableGrantByEmailAddress",
            "The e-mail address you provided does not match any account on record.",
            {"EmailAddress": "a@b.c"},
        ),
    ],
)
def test_a_grantee_that_nobody_is(
    row: str, code: str, message: str, fields: dict[str, str]
) -> None:
    with pytest.raises(S3Error) as caught:
        parsed(document(row))
    error = caught.value
    assert (error.status, error.code, error.message, error.fields) == (400, code, message, fields)
