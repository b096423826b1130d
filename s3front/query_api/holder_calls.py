"""IAM's calls that give policies to users, groups and roles: the same seven of each kind.

Attach, Detach, ListAttached…: managed policies; Put, Get, Delete, List…: inline ones (IAM API
reference, such as AttachUserPolicy and PutUserPolicy).
"""

from __future__ import annotations

from typing import Final

from s3front.iam.holder_changes import attach, delete_inline, detach, inline_policy, put_inline
from s3front.iam.identity_checks import HolderKind, the_holder
from s3front.iam.records import Holder
from s3front.query_api.answer_pages import page_of_map, page_of_names
from s3front.query_api.call import Call, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters, Rule
from s3front.query_api.iam_rules import (
    ARN,
    DOCUMENT,
    GROUP_NAME,
    PATH_PREFIX,
    POLICY_NAME,
    ROLE_NAME,
    USER_NAME,
)
from s3front.query_api.iam_subjects import SUBJECTS, iam_call
from s3front.query_api.shown_identities import shown_attached, shown_document

_NAMES: Final[dict[HolderKind, tuple[str, Rule]]] = {
    "user": ("UserName", USER_NAME),
    "group": ("GroupName", GROUP_NAME),
    "role": ("RoleName", ROLE_NAME),
}


class _Calls:
    """Those about one kind."""

    def __init__(self, kind: HolderKind) -> None:
        self._kind: HolderKind = kind
        self._parameter, self._rule = _NAMES[kind]

    def calls(self) -> list[Call]:
        word, subject = self._kind.capitalize(), SUBJECTS[self._kind]
        handlers = {
            f"Attach{word}Policy": self.attach,
            f"Detach{word}Policy": self.detach,
            f"ListAttached{word}Policies": self.list_attached,
            f"Put{word}Policy": self.put,
            f"Get{word}Policy": self.get,
            f"Delete{word}Policy": self.delete,
            f"List{word}Policies": self.list_inline,
        }
        return [iam_call(name, handler, subject) for name, handler in handlers.items()]

    async def attach(self, context: CallContext, parameters: Parameters) -> Result:
        name, arn = self._name(parameters), parameters.required("PolicyArn", ARN)
        await context.change(
            lambda directory: attach(directory, self._kind, context.account_id, name, arn)
        )
        return None

    async def detach(self, context: CallContext, parameters: Parameters) -> Result:
        name, arn = self._name(parameters), parameters.required("PolicyArn", ARN)
        await context.change(
            lambda directory: detach(directory, self._kind, context.account_id, name, arn)
        )
        return None

    async def list_attached(self, context: CallContext, parameters: Parameters) -> Result:
        prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
        # By their names, of which AWS's own may have the same. The path is in the ARN as well.
        attached = {
            f"{arn.rpartition('/')[2]} {arn}": arn
            for arn in self._holder(context, parameters).attached
            if arn.partition(":policy")[2].startswith(prefix)
        }
        return page_of_map(
            parameters,
            "AttachedPolicies",
            attached,
            lambda place: shown_attached([attached[place]])[0],
        )

    async def put(self, context: CallContext, parameters: Parameters) -> Result:
        name, policy_name = self._name(parameters), parameters.required("PolicyName", POLICY_NAME)
        policy = policy_name, parameters.required("PolicyDocument", DOCUMENT)
        await context.change(
            lambda directory: put_inline(directory, self._kind, context.account_id, name, policy)
        )
        return None

    async def get(self, context: CallContext, parameters: Parameters) -> Result:
        policy_name = parameters.required("PolicyName", POLICY_NAME)
        holder = self._holder(context, parameters)
        text = inline_policy(self._kind, holder, policy_name)
        return {
            self._parameter: holder.name,
            "PolicyName": policy_name,
            "PolicyDocument": shown_document(text),
        }

    async def delete(self, context: CallContext, parameters: Parameters) -> Result:
        name, policy_name = self._name(parameters), parameters.required("PolicyName", POLICY_NAME)
        await context.change(
            lambda directory: delete_inline(
                directory, self._kind, context.account_id, name, policy_name
            )
        )
        return None

    async def list_inline(self, context: CallContext, parameters: Parameters) -> Result:
        return page_of_names(parameters, "PolicyNames", self._holder(context, parameters).inline)

    def _name(self, parameters: Parameters) -> str:
        return parameters.required(self._parameter, self._rule)

    def _holder(self, context: CallContext, parameters: Parameters) -> Holder:
        """Who is named. Raises NoSuchEntity."""
        name = self._name(parameters)
        return the_holder(context.directory, self._kind, context.account_id, name)


CALLS: Final = table(*(call for kind in _NAMES for call in _Calls(kind).calls()))
