"""What the layers of policies do together, beyond the tables: boundaries and sessions, roles that
are taken on, accounts that are suspended, and what a refusal says."""

from __future__ import annotations

import msgspec
import pytest

from s3front.auth.identity import ANONYMOUS, Principal, Rights
from s3front.authz.access import Access
from s3front.authz.decide import authorize, decide
from s3front.authz.public_block import PublicBlock
from s3front.authz.reasons import Layer, Why
from s3front.authz.refusals import AccessDeniedError
from s3front.policies.grammar import stored_policy
from s3front.policies.policy import Kind
from s3front.s3_errors import S3Error
from tests.unit.s3front.authz.scenes import (
    CALLERS,
    CANONICAL,
    A,
    B,
    BothOwners,
    NoKeys,
    Scene,
    allow,
    canned,
    deny,
    document,
    named,
    root,
    session,
    user,
)

OBJECTS = "arn:aws:s3:::bucket/*"
ROLE = f"arn:aws:iam::{A}:role/wide"
PRIVATE = Scene()


def refused(access: Access) -> AccessDeniedError:
    with pytest.raises(AccessDeniedError) as caught:
        authorize(access)
    return caught.value


# --- Whose turn it is -----------------------------------------------------------------------------


def test_each_layer_is_named_by_the_reason() -> None:
    bound = user("u", allow("*"), boundary=named(allow("ListBucket"), name="bound"))
    limited = session("wide", allow("*"), policy=named(allow("ListBucket")))
    outcomes = {
        "none": decide(PRIVATE.access(user("u"), "GetObject")).reason,
        "denies": decide(
            PRIVATE.access(user("u", allow("*"), deny("GetObject", Sid="No")), "GetObject")
        ).reason,
        "bound": decide(PRIVATE.access(bound, "GetObject")).reason,
        "session": decide(PRIVATE.access(limited, "GetObject")).reason,
        "allows": decide(PRIVATE.access(user("u", allow("*", Sid="All")), "GetObject")).reason,
        "policy": decide(
            Scene(policy=document(allow("GetObject", OBJECTS, Principal="*", Sid="Pub"))).access(
                "anon", "GetObject"
            )
        ).reason,
    }
    assert {name: (each.why, each.layer, each.policy) for name, each in outcomes.items()} == {
        "none": (Why.NOTHING_ALLOWS, Layer.IDENTITY, ""),
        "denies": (Why.POLICY_DENIES, Layer.IDENTITY, "own"),
        "bound": (Why.NOT_WITHIN, Layer.BOUNDARY, "bound"),
        "session": (Why.NOT_WITHIN, Layer.SESSION, ""),
        "allows": (Why.POLICY_ALLOWS, Layer.IDENTITY, "own"),
        "policy": (Why.POLICY_ALLOWS, Layer.RESOURCE, "bucket policy"),
    }
    assert outcomes["denies"].statement == "No"
    assert outcomes["policy"].statement == "Pub"
    assert outcomes["allows"].text == "allowed s3:GetObject by All of own (identity-based policy)"


@pytest.mark.parametrize("where", ["policies", "boundary", "session"])
def test_a_denial_anywhere_is_one(where: str) -> None:
    denying = named(allow("*"), deny("GetObject"))
    policies = (denying,) if where == "policies" else (named(allow("*")),)
    rights = Rights(
        policies,
        denying if where == "boundary" else None,
        (denying,) if where == "session" else None,
    )
    principal = msgspec.structs.replace(root(A), rights=rights)
    assert decide(PRIVATE.access(principal, "GetObject")).reason.why is Why.POLICY_DENIES
    assert decide(PRIVATE.access(principal, "PutObject")).allowed


def test_all_that_a_request_asks_for_has_to_be_allowed() -> None:
    principal = user("u", allow("PutObject"))
    assert decide(PRIVATE.access(principal, "PutObject")).allowed
    decision = decide(PRIVATE.access(principal, "PutObject+acl"))
    assert (decision.allowed, decision.reason.action) == (False, "s3:PutObjectAcl")


@pytest.mark.parametrize("caller", [each for each in CALLERS if each != "anon"])
def test_a_suspended_account_may_nothing(caller: str) -> None:
    suspended = msgspec.structs.replace(CALLERS[caller], suspended=True)
    public = Scene(policy=document(allow("*", OBJECTS, Principal="*")))
    decision = decide(public.access(suspended, "GetObject"))
    assert (decision.allowed, decision.reason.why) == (False, Why.SUSPENDED)


# --- Of accounts ----------------------------------------------------------------------------------


def account_access(principal: Principal, *actions: str, resource: str = "arn:aws:s3:::b") -> Access:
    return Access(principal, actions, resource, NoKeys(), owners=BothOwners(PublicBlock()))


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (root(A), True),
        (user("u"), False),
        (user("u", allow("CreateBucket")), True),
        (user("u", allow("CreateBucket", "arn:aws:s3:::b")), True),
        (user("u", allow("CreateBucket", "arn:aws:s3:::c")), False),
        (user("u", allow("*"), boundary=named(allow("Get*"))), False),
        (session("r", allow("*"), policy=named(allow("CreateBucket"))), True),
        (session("r", allow("*"), policy=named(allow("ListBucket"))), False),
        (ANONYMOUS, False),
    ],
)
def test_a_new_bucket_is_for_the_callers_own_policies(principal: Principal, allowed: bool) -> None:
    assert decide(account_access(principal, "s3:CreateBucket")).allowed is allowed


def test_what_is_asked_for_besides_is_of_the_new_bucket() -> None:
    principal = user("u", allow("CreateBucket"))
    both = ("s3:CreateBucket", "s3:PutBucketAcl")
    assert not decide(account_access(principal, *both)).allowed
    assert decide(account_access(user("u", allow("*")), *both)).allowed


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (root(A), True),
        (user("u"), False),
        (user("u", {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}), True),
        (user("u", allow("*")), False),
        (ANONYMOUS, False),
    ],
)
def test_a_call_of_iam_is_for_the_callers_own_policies(principal: Principal, allowed: bool) -> None:
    arn = f"arn:aws:iam::{A}:user/x"
    assert decide(account_access(principal, "iam:CreateUser", resource=arn)).allowed is allowed


# --- Roles that are taken on ----------------------------------------------------------------------


ASSUME = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}


def trusting(principal: object, effect: str = "Allow") -> dict[str, object]:
    statement = {"Effect": effect, "Action": "sts:AssumeRole", "Principal": principal}
    return document(statement)


@pytest.mark.parametrize(
    ("principal", "trust", "allowed"),
    [
        # The account is trusted: its users need their own leave.
        (root(A), trusting({"AWS": A}), True),
        (user("u"), trusting({"AWS": A}), False),
        (user("u", ASSUME), trusting({"AWS": A}), True),
        # The very user is: that is enough within the account, and not between two.
        (user("u"), trusting({"AWS": f"arn:aws:iam::{A}:user/u"}), True),
        (user("u", account=B), trusting({"AWS": f"arn:aws:iam::{B}:user/u"}), False),
        (user("u", ASSUME, account=B), trusting({"AWS": f"arn:aws:iam::{B}:user/u"}), True),
        (user("u", ASSUME, account=B), trusting({"AWS": B}), True),
        (root(B), trusting({"AWS": B}), True),
        # Leave of one's own is nothing to a role that does not trust.
        (user("u", ASSUME), trusting({"AWS": B}), False),
        (root(A), trusting({"AWS": B}), False),
        (user("u", ASSUME), trusting({"AWS": A}, "Deny"), False),
        # What denies it denies it, whoever trusts.
        (
            user("u", ASSUME, {**ASSUME, "Effect": "Deny"}),
            trusting({"AWS": f"arn:aws:iam::{A}:user/u"}),
            False,
        ),
        (ANONYMOUS, trusting({"AWS": A}), False),
    ],
)
def test_who_may_take_on_a_role(
    principal: Principal, trust: dict[str, object], allowed: bool
) -> None:
    access = Access(
        principal,
        ("sts:AssumeRole",),
        ROLE,
        NoKeys(),
        trust=stored_policy(trust, Kind.TRUST),
        role_owner=CANONICAL[A],
    )
    assert decide(access).allowed is allowed


# --- What a refusal says --------------------------------------------------------------------------


def test_within_the_account_a_refusal_says_what_is_missing() -> None:
    key = '"arn:aws:s3:::bucket/key"'
    begin = f"User: arn:aws:iam::{A}:user/u is not authorized to perform: s3:GetObject on resource"
    scenes = {
        f"{begin}: {key} because no identity-based policy allows the s3:GetObject action": (
            PRIVATE.access(user("u"), "GetObject")
        ),
        f"{begin}: {key} with an explicit deny in an identity-based policy": PRIVATE.access(
            user("u", deny("*")), "GetObject"
        ),
        f"{begin}: {key} with an explicit deny in a resource-based policy": Scene(
            policy=document(deny("*", OBJECTS, Principal="*"))
        ).access(user("u", allow("*")), "GetObject"),
        f"{begin}: {key} because no permissions boundary allows the s3:GetObject action": (
            PRIVATE.access(user("u", allow("*"), boundary=named(allow("List*"))), "GetObject")
        ),
    }
    for message, access in scenes.items():
        assert refused(access).message == message
    hidden = refused(PRIVATE.access(user("u", allow("GetObject")), "GetObject-gone"))
    assert hidden.reason.why is Why.HIDDEN
    assert hidden.message == (
        f"User: arn:aws:iam::{A}:user/u is not authorized to perform: s3:ListBucket on resource: "
        '"arn:aws:s3:::bucket" because no identity-based policy allows the s3:ListBucket action'
    )


@pytest.mark.parametrize("caller", ["broot", "bfull", "bnone", "anon"])
@pytest.mark.parametrize("row", ["GetObject", "GetObject-gone", "ListBucket"])
def test_strangers_are_told_nothing(caller: str, row: str) -> None:
    denying = Scene(policy=document(deny("*", OBJECTS, Principal="*", Sid="Secret")))
    for scene in (PRIVATE, denying):
        error = refused(scene.access(caller, row))
        assert (error.status, error.message) == (403, "Access Denied")


def test_a_policy_that_cannot_be_understood_lets_nobody_in_and_denies() -> None:
    odd = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Whatever": 1}]}
    for caller in ("full", "anon", "broot"):
        assert not decide(Scene(policy=odd).access(caller, "GetObject")).allowed
    # Its owner can mend it.
    assert decide(Scene(policy=odd).access("root", "PutBucketPolicy")).allowed
    with pytest.raises(S3Error):
        authorize(Scene(policy=odd).access("root", "GetObject"))


# --- What is there, and what is made --------------------------------------------------------------


def test_what_makes_or_removes_an_object_asks_for_no_tags_of_what_is_there() -> None:
    """It may not even have been read."""
    denying = Scene(
        policy=document(
            deny(
                "*",
                OBJECTS,
                Principal="*",
                Condition={"StringEquals": {"s3:ExistingObjectTag/class": "secret"}},
            )
        )
    )
    outcomes = {}
    for row in ("GetObject", "PutObject", "DeleteObject", "GetObjectAcl"):
        access = denying.access("root", row)
        assert access.object is not None
        tagged = access.object.changed({"tags": {"class": "secret"}})
        outcomes[row] = decide(access.on(access.bucket, tagged)).allowed
    assert outcomes == {
        "GetObject": False,
        "GetObjectAcl": False,
        "PutObject": True,
        "DeleteObject": True,
    }


@pytest.mark.parametrize("first", ["s3:PutObject", "s3:DeleteObject"])
def test_what_is_read_to_compare_it_has_the_tags_that_are_there(first: str) -> None:
    secret = {"StringEquals": {"s3:ExistingObjectTag/class": "secret"}}
    caller = user("u", allow("*"), deny("GetObject", Condition=secret))
    asked = PRIVATE.access(caller, "GetObject")
    assert asked.object is not None
    tagged = asked.on(asked.bucket, asked.object.changed({"tags": {"class": "secret"}}))
    assert decide(tagged.to(first)).allowed
    assert not decide(tagged.to(first, "s3:GetObject")).allowed


@pytest.mark.parametrize(
    ("row", "caller", "listed", "acl", "allowed"),
    [
        ("GetObject", "anon", True, "public-read", True),
        ("GetObject", "bfull", True, "public-read", True),
        ("GetObject", "plain", True, "public-read", True),
        ("GetObject", "anon", True, "private", False),
        ("GetObject", "anon", False, "public-read", False),
        ("PutObject", "anon", True, "public-read", False),
        ("GetObjectAcl", "anon", True, "public-read", False),
    ],
)
def test_buckets_that_the_operator_opens_for_reading(
    row: str, caller: str, listed: bool, acl: str, allowed: bool
) -> None:
    scene = Scene("ObjectWriter", acl=canned(acl))
    access = msgspec.structs.replace(
        scene.access(caller, row), public_reads=("bucket",) if listed else ()
    )
    assert decide(access).allowed is allowed


@pytest.mark.parametrize("caller", ["anon", "broot", "bfull", "plain"])
@pytest.mark.parametrize(
    ("besides", "allowed"),
    [
        ("s3:PutObjectAcl", True),
        ("s3:PutObjectTagging", False),
        ("s3:PutObjectRetention", False),
        ("s3:PutObjectLegalHold", False),
        ("s3:GetObject", False),
    ],
)
def test_a_grant_to_write_gives_the_list_of_the_new_object_and_no_more(
    caller: str, besides: str, allowed: bool
) -> None:
    scene = Scene("ObjectWriter", acl=canned("public-read-write"))
    access = msgspec.structs.replace(
        scene.access(caller, "PutObject"), actions=("s3:PutObject", besides)
    )
    assert decide(access).allowed is allowed


def test_what_is_compared_is_what_is_there_and_what_is_tagged_is_what_is_made() -> None:
    """The object there is B's, so that B says who reads it; A says who writes in its bucket."""
    scene = Scene("ObjectWriter", object_owner=B)
    asked = scene.access("root", "PutObject")
    tagging = msgspec.structs.replace(asked, actions=("s3:PutObject", "s3:PutObjectTagging"))
    comparing = msgspec.structs.replace(asked, actions=("s3:PutObject", "s3:GetObject"))
    assert decide(tagging).allowed
    assert not decide(comparing).allowed


@pytest.mark.parametrize("limit", ["session", "boundary"])
def test_what_limits_a_session_limits_what_it_takes_on_next(limit: str) -> None:
    trust = trusting({"AWS": f"arn:aws:iam::{A}:role/first"})
    first = session("first", allow("*"), policy=named(allow("GetObject")))
    if limit == "boundary":
        rights = Rights((named(ASSUME),), named(allow("*")))
        first = msgspec.structs.replace(first, rights=rights)
    access = Access(
        first,
        ("sts:AssumeRole",),
        ROLE,
        NoKeys(),
        trust=stored_policy(trust, Kind.TRUST),
        role_owner=CANONICAL[A],
    )
    assert not decide(access).allowed
    free = msgspec.structs.replace(first, rights=Rights((named(allow("*")),)))
    assert decide(msgspec.structs.replace(access, principal=free)).allowed


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("s3:GetObjectAnnotation", False),
        ("s3:DeleteObjectAnnotation", False),
        ("s3:GetObjectRetention", False),
        ("s3:PutObjectTagging", False),
        ("s3:RestoreObject", False),
        ("s3:DeleteObject", True),
        ("s3:DeleteObjectVersion", True),
        ("s3:AbortMultipartUpload", True),
        ("s3:PutObject", True),
    ],
)
def test_who_may_not_list_is_not_told_that_a_key_is_not_there(action: str, told: bool) -> None:
    asked = PRIVATE.access(user("u", allow(action.removeprefix("s3:"))), "GetObject-gone")
    access = msgspec.structs.replace(asked, actions=(action,))
    decision = decide(access)
    assert decision.allowed is told
    assert told or decision.reason.why is Why.HIDDEN


def test_a_refusal_does_not_tell_whether_the_key_is_there() -> None:
    """Of who may neither read it nor list."""
    told = {
        refused(PRIVATE.access(user("u", *policy), row)).message
        for policy in ((), (allow("PutObject"),))
        for row in ("GetObject", "GetObject-gone")
    }
    assert len(told) == 1


def test_who_may_list_is_told_that_a_key_is_not_there_unless_he_is_denied_it() -> None:
    lister = user("u", allow("ListBucket"))
    gone = PRIVATE.access(lister, "GetObject-gone")
    assert (decide(gone).allowed, decide(gone).reason.why) == (False, Why.NO_KEY)
    with pytest.raises(S3Error) as caught:
        authorize(gone)
    assert (caught.value.code, caught.value.fields) == ("NoSuchKey", {"Key": "key"})
    with pytest.raises(S3Error) as caught:
        authorize(gone.to("s3:GetObjectVersion"))
    assert caught.value.code == "NoSuchVersion"
    assert refused(PRIVATE.access(lister, "GetObject")).status == 403
    denied = user("u", allow("ListBucket"), deny("GetObject"))
    assert refused(PRIVATE.access(denied, "GetObject-gone")).status == 403


@pytest.mark.parametrize(
    "actions",
    [
        ("s3:DeleteObject", "s3:GetObject"),
        ("s3:DeleteObjectVersion", "s3:GetObjectVersion"),
        ("s3:PutObject", "s3:GetObject"),
        ("s3:AbortMultipartUpload",),
    ],
)
def test_who_may_only_list_changes_nothing_that_is_not_there(actions: tuple[str, ...]) -> None:
    gone = PRIVATE.access(user("u", allow("ListBucket")), "GetObject-gone")
    assert refused(gone.to(*actions)).status == 403
    reader = user("u", allow("ListBucket"), allow("GetObject*"))
    assert refused(PRIVATE.access(reader, "GetObject-gone").to(*actions)).status == 403


@pytest.mark.parametrize("action", ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"])
@pytest.mark.parametrize(
    ("caller", "by", "allowed"),
    [
        ("broot", B, True),
        ("bfull", B, True),
        ("broot", A, False),
        ("bnone", B, False),
        ("anon", A, False),
        ("root", B, True),
        ("full", B, True),
        ("plain", A, True),
        ("plain", B, False),
    ],
)
def test_a_grant_to_write_is_for_uploads_that_one_has_begun(
    action: str, caller: str, by: str, allowed: bool
) -> None:
    scene = Scene("ObjectWriter", acl=canned("public-read-write"))
    access = msgspec.structs.replace(scene.access(caller, "PutObject"), actions=(action,))
    begun = msgspec.structs.replace(access, initiator=CANONICAL[by])
    assert decide(begun).allowed is allowed
