"""May they: the one place that says yes. Pure.

Rules, in the order in which AWS documents them (IAM user guide, "Policy evaluation logic"; Amazon
S3 user guide, "How Amazon S3 authorizes a request"):

1. What a policy denies is denied, whoever else allows it: one of the caller's own, of its boundary,
   its session, or of the bucket. But the account that owns a bucket can always read, replace and
   remove its policy, so that nobody locks himself out.
2. A suspended account may nothing.
3. Public access may be blocked: then grants to everybody give nothing, and a public policy gives
   nothing to other accounts.
4. Within the account that owns the thing, one yes is enough: of the caller's own policies, or of
   the thing's. Between accounts it takes both. An account itself needs no policy of its own.
5. What the caller's own policies give is limited by its boundary and by the policies of its
   session. What a bucket's policy gives to the very user or session, or to everybody, within the
   account, is not; what it gives to a role is.
6. Grants (ACLs) are as good as a bucket's policy, where the bucket lets objects have them.

A bucket's policy gives nothing of an object that belongs to another account than the bucket; it may
deny. Where a key is not there, who may list it is told so, and nobody else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from s3front.auth.identity import Rights
from s3front.authz.access import MAKES, PER_KEY, Access, Asked, AskedToTell, arn
from s3front.authz.acl import BUCKET_PERMISSIONS, OBJECT_PERMISSIONS, granted
from s3front.authz.bucket_policies import bucket_policy
from s3front.authz.own_policies import denied_by, given_by, limited
from s3front.authz.ownership import acls_count, owner_id_of
from s3front.authz.public_block import PublicBlock, block_of
from s3front.authz.reasons import Decision, Layer, Reason, Why
from s3front.authz.refusals import refusal
from s3front.policies.judge import judge
from s3front.policies.policy import Policy
from s3front.policies.public import is_public
from s3front.policies.verdict import NOTHING, Effect, How, Verdict
from s3front.policies.work import Work
from shared.records.bucket import POLICY_MEMBER, BucketRecord
from shared.records.derived import remembered

_OF_ACCOUNTS: Final = frozenset(("s3:CreateBucket", "s3:ListAllMyBuckets"))
"""Actions of S3 that are about an account, and about no bucket that there is. What is asked for
beside the first is about the bucket that is to be made."""

_OF_OBJECT_OWNERS: Final = frozenset(
    f"s3:{action}"
    for action in (
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectTorrent",
        "GetObjectVersion",
        "GetObjectVersionAcl",
        "GetObjectVersionAttributes",
        "GetObjectVersionTorrent",
        "PutObjectAcl",
        "PutObjectVersionAcl",
    )
)
"""Actions that are for the owner of an object to allow; all others are for its bucket's."""

_OF_NO_OBJECT: Final = frozenset(
    f"s3:{action}"
    for action in (
        "AbortMultipartUpload",
        "BypassGovernanceRetention",
        "DeleteObject",
        "DeleteObjectVersion",
        "ListMultipartUploadParts",
    )
)
"""Actions on a key whose answer does not tell whether there is an object, besides ``MAKES``."""

_LISTS: Final = "s3:PutObjectAcl"
"""What says, beside ``MAKES``, what the list of the new object is: that is its sender's, and so
given with the leave to write. Its tags, retention and legal hold are not."""

_READS: Final = frozenset(("s3:GetObject", "s3:GetObjectVersion"))
_PUBLIC_READ: Final = "ALLOW_PUBLIC_READ_BUCKETS"

_OF_UPLOADS: Final = frozenset(("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"))

_LIST: Final = "s3:ListBucket"

_OF_POLICY: Final = frozenset(("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"))
"""What no policy of a bucket takes from the account that owns it (Amazon S3 API reference,
PutBucketPolicy)."""

_BUCKET_POLICY: Final = "bucket policy"

_FOR_ANYBODY: Final = Decision(True, Reason(Why.FOR_ANYBODY))
_ACCOUNT: Final = Decision(True, Reason(Why.ACCOUNT))
_OWNER: Final = Decision(True, Reason(Why.OWNER))
_NO_BUCKET: Final = Decision(False, Reason(Why.NO_BUCKET))
_OTHER_OWNER: Final = Decision(False, Reason(Why.OTHER_OWNER))


def decide(access: Access) -> Decision:
    """Whether an access is allowed."""
    actions, principal = access.actions, access.principal
    if not actions:
        return _FOR_ANYBODY
    if principal.suspended:
        return Decision(False, Reason(Why.SUSPENDED, action=actions[0]))
    if access.trust is not None:
        return _on_role(access, access.trust)
    first, bucket = actions[0], access.bucket
    if first in _OF_ACCOUNTS or not access.is_of_bucket:
        return _of_account(access)
    if bucket is None:
        return _NO_BUCKET
    if _is_plain(access, bucket):
        decision = _OWNER
    elif first is PER_KEY:
        decision = _FOR_ANYBODY
    else:
        decision = _of_bucket(access, bucket)
    if access.expected_owners and decision.allowed:
        account = access.owner_account
        for expected in access.expected_owners:
            if expected != account:
                return _OTHER_OWNER
    return decision


def authorize(access: Access) -> None:
    """Let an access pass; raises NoSuchBucket, AccessDenied or, of an expected owner that is no
    account ID, InvalidBucketOwnerAWSAccountID."""
    decision = decide(access)
    if not decision.allowed:
        raise refusal(access, decision.reason)


# --- Of accounts, and of roles ------------------------------------------------------------------


def _of_account(access: Access) -> Decision:
    """What is about the caller's own account: its policies alone decide."""
    principal = access.principal
    if principal.is_anonymous:
        return Decision(False, Reason(Why.NOTHING_ALLOWS, action=access.actions[0]))
    if principal.rights is None:
        return _ACCOUNT
    decision, work = _ACCOUNT, Work()
    for action in access.actions:
        asked = Asked(access, action, access.resource, work=work)
        decision = denied_by(principal.rights, asked) or given_by(principal.rights, asked)
        if not decision.allowed:
            return decision
    return decision


def _on_role(access: Access, trust: Policy) -> Decision:
    """Whether a role may be taken on: its trust policy says so, and, unless that names the very
    caller within the account, the caller's own policies as well (IAM user guide, "Cross-account
    policy evaluation logic")."""
    principal = access.principal
    rights = principal.rights
    decision, work = _ACCOUNT, Work()
    for action in access.actions:
        asked = Asked(access, action, access.resource, work=work)
        if rights is not None and (denied := denied_by(rights, asked)) is not None:
            return denied
        stated = judge(trust, asked)
        if stated.effect is not Effect.ALLOW:
            return _not_stated(stated, action, "trust policy")
        decision = _stated(stated, action, "trust policy")
        if rights is None:
            continue
        if principal.canonical_id == access.role_owner and stated.how >= How.ROLE:
            beyond = limited(rights, asked) if stated.how is How.ROLE else None
            if beyond is not None:
                return beyond
            continue
        given = given_by(rights, asked)
        if not given.allowed:
            return given
    return decision


# --- Of buckets ---------------------------------------------------------------------------------


def _is_plain(access: Access, bucket: BucketRecord) -> bool:
    """Whether it is the account that owns the bucket and all that is in question, and no policy has
    a say."""
    principal, object_ = access.principal, access.object
    return (
        principal.rights is None
        and bucket.owner_id == principal.canonical_id
        and not principal.is_anonymous
        and not bucket.document.get(POLICY_MEMBER)
        and (
            object_ is None
            or object_.document.get("owner-id") == bucket.owner_id
            or not acls_count(bucket)
        )
    )


def _of_bucket(access: Access, bucket: BucketRecord) -> Decision:
    """All that is asked for of a bucket, and of one object in it. Who may list a key that is not
    there is told so, in place of a refusal to read it or change it that no policy demands."""
    makes = access.actions[0] == MAKES
    gone = access.object is None or access.object.is_delete_marker
    tells = not makes and access.is_of_object and not _OF_NO_OBJECT.issuperset(access.actions)
    decision, refused, work = _OWNER, None, Work()
    for action in access.actions:
        # What is read to compare it is what is there.
        of_new = makes and action not in _READS
        asked = Asked(access, action, access.resource, of_new, work)
        decision = _one(access, bucket, asked, makes=of_new)
        if decision.allowed:
            continue
        if not (gone and tells) or action in _OF_NO_OBJECT:
            return decision
        if decision.reason.why is Why.POLICY_DENIES:
            return decision
        refused = refused or decision
    if access.actions[0] in _OF_POLICY and access.principal.canonical_id != bucket.owner_id:
        # Whoever allows it (Amazon S3 API reference, PutBucketPolicy).
        return Decision(False, Reason(Why.OWNERS_ONLY, action=access.actions[0]))
    if gone and tells:
        listing = AskedToTell(access, _LIST, arn(access.bucket_name), work=work)
        listed = _one(access, bucket, listing, makes=False)
        if not listed.allowed:
            # He is told the same as if it was there.
            hidden = Decision(False, msgspec.structs.replace(listed.reason, why=Why.HIDDEN))
            return refused or hidden
        if refused is not None:
            return Decision(False, msgspec.structs.replace(refused.reason, why=Why.NO_KEY))
    return decision


def _one(access: Access, bucket: BucketRecord, asked: Asked, *, makes: bool) -> Decision:
    """One action."""
    principal, action = access.principal, asked.action
    rights = principal.rights
    if rights is not None and (denied := denied_by(rights, asked)) is not None:
        return denied
    owner_id, block = _owner_of(access, bucket, action, makes=makes), _block_of(access, bucket)
    stated, why = _said(access, bucket, asked, owner_id, block)
    if stated.effect is Effect.DENY:
        return _not_stated(stated, action, _BUCKET_POLICY)
    is_own = principal.canonical_id == owner_id and not principal.is_anonymous
    if is_own and rights is None:
        return _OWNER
    if is_own and stated.how in (How.ITSELF, How.EVERYBODY):
        return _stated(stated, action, _BUCKET_POLICY)
    grant = None
    if acls_count(bucket):
        grant = _granted(access, bucket, asked, block, makes=makes, is_own=is_own)
    if is_own:
        assert rights is not None
        return _within(rights, asked, stated, grant)
    if stated.effect is not Effect.ALLOW and grant is None:
        return Decision(False, Reason(why, action=action))
    if rights is not None:
        given = given_by(rights, asked)
        if not given.allowed:
            return given
    if stated.effect is Effect.ALLOW:
        return _stated(stated, action, _BUCKET_POLICY)
    assert grant is not None
    return _granted_by(grant, action)


def _said(
    access: Access, bucket: BucketRecord, asked: Asked, owner_id: str, block: PublicBlock
) -> tuple[Verdict, Why]:
    """What the policy of the bucket comes to, of something that ``owner_id`` owns; and why nothing
    is allowed, if nothing else allows it."""
    principal, policy = access.principal, bucket_policy(bucket)
    stated = NOTHING if policy is None else judge(policy, asked)
    if policy is None or stated.effect is Effect.NOTHING:
        return NOTHING, Why.NOTHING_ALLOWS
    is_bucket_owner = principal.canonical_id == bucket.owner_id and not principal.is_anonymous
    if stated.effect is Effect.DENY:
        exempt = is_bucket_owner and principal.rights is None and asked.action in _OF_POLICY
        return (NOTHING if exempt else stated), Why.POLICY_DENIES
    if block.restrict_public_buckets and not is_bucket_owner and remembered(policy, is_public):
        return NOTHING, Why.RESTRICTED
    return (stated if owner_id == bucket.owner_id else NOTHING), Why.NOTHING_ALLOWS


def _within(rights: Rights, asked: Asked, stated: Verdict, grant: str | None) -> Decision:
    """Of a user or session, within the account that owns what it is about. What was given to the
    role is limited as the role's own policies are; a grant to everybody is as good as a policy."""
    if stated.how is How.ROLE:
        return limited(rights, asked) or _stated(stated, asked.action, _BUCKET_POLICY)
    given = given_by(rights, asked)
    if not given.allowed and grant is not None:
        return _granted_by(grant, asked.action)
    return given


def _owner_of(access: Access, bucket: BucketRecord, action: str, *, makes: bool) -> str:
    """Who allows an action: the owner of the object, or of the bucket."""
    object_ = access.object
    if object_ is None or makes or action not in _OF_OBJECT_OWNERS or not acls_count(bucket):
        return bucket.owner_id
    return owner_id_of(bucket, str(object_.document.get("owner-id") or ""))


def _block_of(access: Access, bucket: BucketRecord) -> PublicBlock:
    owner = access.owners.owner(bucket.owner_id)
    block = block_of(bucket.document)
    return block if owner is None else block | owner.block


def _granted(
    access: Access,
    bucket: BucketRecord,
    asked: Asked,
    block: PublicBlock,
    *,
    makes: bool,
    is_own: bool,
) -> str | None:
    """What a list of grants gives: that of the object where there is one and the action is about
    it, else the bucket's. What it gives to the account, its users do not have from it."""
    action = asked.action
    document, owner_id = bucket.document, bucket.owner_id
    given_with = MAKES if makes and action == _LISTS else action
    permission = BUCKET_PERMISSIONS.get(given_with)
    if action in _OF_OBJECT_OWNERS and not makes:
        if action in _READS and _is_public_read(access, bucket) and not block.ignore_public_acls:
            return _PUBLIC_READ
        # Of what is not there nobody has a grant; who may list the bucket is told so.
        permission = BUCKET_PERMISSIONS[_LIST]
        object_ = access.object
        if object_ is not None and not object_.is_delete_marker:
            permission, document = OBJECT_PERMISSIONS.get(action), object_.document
            owner_id = str(document.get("owner-id") or bucket.owner_id)
    if permission is None:
        return None
    if action in _OF_UPLOADS and not _may_have_begun(access):
        return None
    return granted(
        document.get("acl"),
        owner_id,
        bucket.owner_id,
        access.principal,
        permission,
        ignore_public=block.ignore_public_acls,
        of_groups=is_own,
    )


def _may_have_begun(access: Access) -> bool:
    """Whether the caller's account has begun the upload, as far as that is known yet: a grant is
    for nobody else (Amazon S3 user guide, "Multipart upload API and permissions")."""
    if access.initiator is None:
        return True
    principal = access.principal
    return not principal.is_anonymous and principal.canonical_id == access.initiator


def _is_public_read(access: Access, bucket: BucketRecord) -> bool:
    """Whether the operator has opened all objects of the bucket, whose list is public as well."""
    acl = bucket.document.get("acl")
    return (
        bucket.name in access.public_reads
        and isinstance(acl, dict)
        and acl.get("Canned") == "public-read"
    )


def _granted_by(grant: str, action: str) -> Decision:
    return Decision(True, Reason(Why.GRANT_ALLOWS, policy=grant, action=action))


# --- What the policy of a thing says -------------------------------------------------------------


def _stated(stated: Verdict, action: str, policy: str) -> Decision:
    """What the policy of a thing allows."""
    return Decision(
        True, Reason(Why.POLICY_ALLOWS, Layer.RESOURCE, policy, stated.statement, action)
    )


def _not_stated(stated: Verdict, action: str, policy: str) -> Decision:
    """What it denies, or does not allow."""
    if stated.effect is Effect.DENY:
        reason = Reason(Why.POLICY_DENIES, Layer.RESOURCE, policy, stated.statement, action)
    else:
        reason = Reason(Why.NOTHING_ALLOWS, Layer.RESOURCE, action=action)
    return Decision(False, reason)
