"""IAM's calls about roles (IAM API reference; each function is the call of its name)."""

from __future__ import annotations

from typing import Final

from s3front.iam.holder_changes import add_tags, remove_tags, set_boundary
from s3front.iam.identity_checks import the_role
from s3front.iam.quotas import SESSION_SECONDS_MAX, SESSION_SECONDS_MIN
from s3front.iam.records import Role, role_key
from s3front.iam.role_changes import create_role as created_role
from s3front.iam.role_changes import delete_role as deleted_role
from s3front.iam.role_changes import update_role as updated_role
from s3front.iam.role_changes import update_trust
from s3front.query_api.answer_pages import in_text, marked, page_of, page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import ARN, DESCRIPTION, DOCUMENT, PATH_PREFIX, ROLE_NAME
from s3front.query_api.iam_subjects import a_new_role, a_role, iam_call, roles
from s3front.query_api.shown_identities import shown_role
from s3front.query_api.tag_parameters import tag_keys_of, tags_of


def _session_seconds(parameters: Parameters) -> int | None:
    return parameters.integer("MaxSessionDuration", SESSION_SECONDS_MIN, SESSION_SECONDS_MAX)


async def create_role(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName")
    trust = parameters.required("AssumeRolePolicyDocument", DOCUMENT)
    path, tags = parameters.text("Path") or "/", tags_of(parameters)
    description = parameters.text("Description", DESCRIPTION) or ""
    seconds = _session_seconds(parameters) or SESSION_SECONDS_MIN
    boundary = parameters.text("PermissionsBoundary", ARN)
    role = await context.change(
        lambda directory: created_role(
            directory,
            context.account_id,
            name,
            trust,
            path=path,
            description=description,
            max_session_seconds=seconds,
            tags=tags,
            boundary=boundary,
        )
    )
    return {"Role": shown_role(role, context.directory, whole=True)}


async def get_role(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    role = the_role(context.directory, context.account_id, name)
    return {"Role": shown_role(role, context.directory, whole=True)}


async def list_roles(context: CallContext, parameters: Parameters) -> Result:
    prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
    room, after = f"role/{context.account_id}", marked(parameters)
    begin = after and role_key(context.account_id, after)
    every = context.directory.every(Role, room, begin, in_text(prefix))
    found = (role for role in every if role.path.startswith(prefix))
    return page_of(
        parameters,
        "Roles",
        found,
        lambda role: role.name,
        lambda role: shown_role(role, context.directory),
    )


async def update_role(context: CallContext, parameters: Parameters) -> Result:
    await _update(context, parameters)
    return {}


async def update_role_description(context: CallContext, parameters: Parameters) -> Result:
    parameters.required("Description", DESCRIPTION)
    role = await _update(context, parameters)
    return {"Role": shown_role(role, context.directory, whole=True)}


async def _update(context: CallContext, parameters: Parameters) -> Role:
    name = parameters.required("RoleName", ROLE_NAME)
    description = parameters.text("Description", DESCRIPTION)
    seconds = _session_seconds(parameters)
    return await context.change(
        lambda directory: updated_role(
            directory,
            context.account_id,
            name,
            description=description,
            max_session_seconds=seconds,
        )
    )


async def update_assume_role_policy(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    trust = parameters.required("PolicyDocument", DOCUMENT)
    await context.change(lambda directory: update_trust(directory, context.account_id, name, trust))
    return None


async def delete_role(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    await context.change(lambda directory: deleted_role(directory, context.account_id, name))
    return None


async def tag_role(context: CallContext, parameters: Parameters) -> Result:
    name, tags = parameters.required("RoleName", ROLE_NAME), tags_of(parameters)
    await context.change(
        lambda directory: add_tags(directory, "role", context.account_id, name, tags)
    )
    return None


async def untag_role(context: CallContext, parameters: Parameters) -> Result:
    name, keys = parameters.required("RoleName", ROLE_NAME), tag_keys_of(parameters)
    await context.change(
        lambda directory: remove_tags(directory, "role", context.account_id, name, keys)
    )
    return None


async def list_role_tags(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    tags = the_role(context.directory, context.account_id, name).tags
    return page_of_map(parameters, "Tags", tags, lambda key: {"Key": key, "Value": tags[key]})


async def put_role_permissions_boundary(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    arn = parameters.required("PermissionsBoundary", ARN)
    await context.change(
        lambda directory: set_boundary(directory, "role", context.account_id, name, arn)
    )
    return None


async def delete_role_permissions_boundary(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("RoleName", ROLE_NAME)
    await context.change(
        lambda directory: set_boundary(directory, "role", context.account_id, name, None)
    )
    return None


CALLS: Final = table(
    iam_call("CreateRole", create_role, a_new_role),
    iam_call("GetRole", get_role, a_role),
    iam_call("ListRoles", list_roles, roles),
    iam_call("UpdateRole", update_role, a_role),
    iam_call("UpdateRoleDescription", update_role_description, a_role),
    iam_call("UpdateAssumeRolePolicy", update_assume_role_policy, a_role),
    iam_call("DeleteRole", delete_role, a_role),
    iam_call("TagRole", tag_role, a_role),
    iam_call("UntagRole", untag_role, a_role),
    iam_call("ListRoleTags", list_role_tags, a_role),
    iam_call("PutRolePermissionsBoundary", put_role_permissions_boundary, a_role),
    iam_call("DeleteRolePermissionsBoundary", delete_role_permissions_boundary, a_role),
)
