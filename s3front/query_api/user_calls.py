"""IAM's calls about users (IAM API reference; each function is the call of its name)."""

from __future__ import annotations

from typing import Final

from s3front.iam.holder_changes import add_tags, remove_tags, set_boundary
from s3front.iam.identity_checks import the_account, the_user
from s3front.iam.records import User, user_key
from s3front.iam.user_changes import create_user as created_user
from s3front.iam.user_changes import delete_user as deleted_user
from s3front.iam.user_changes import update_user as updated_user
from s3front.query_api.answer_pages import in_text, marked, page_of, page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import ARN, PATH_PREFIX, USER_NAME
from s3front.query_api.iam_subjects import (
    a_new_user,
    a_user,
    iam_call,
    user_name,
    users,
    what_is_renamed,
)
from s3front.query_api.shown_identities import shown_root, shown_user
from s3front.query_api.tag_parameters import tag_keys_of, tags_of


async def create_user(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName")
    path, tags = parameters.text("Path"), tags_of(parameters)
    boundary = parameters.text("PermissionsBoundary", ARN)
    user = await context.change(
        lambda directory: created_user(
            directory, context.account_id, name, path=path or "/", tags=tags, boundary=boundary
        )
    )
    return {"User": shown_user(user, whole=True)}


async def get_user(context: CallContext, parameters: Parameters) -> Result:
    name = user_name(context, parameters)
    if name is None:
        return {"User": shown_root(the_account(context.directory, context.account_id))}
    return {"User": shown_user(the_user(context.directory, context.account_id, name), whole=True)}


async def list_users(context: CallContext, parameters: Parameters) -> Result:
    prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
    room, after = f"user/{context.account_id}", marked(parameters)
    begin = after and user_key(context.account_id, after)
    every = context.directory.every(User, room, begin, in_text(prefix))
    found = (user for user in every if user.path.startswith(prefix))
    return page_of(parameters, "Users", found, lambda user: user.name, shown_user)


async def update_user(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName", USER_NAME)
    new_name, new_path = parameters.text("NewUserName"), parameters.text("NewPath")
    await context.change(
        lambda directory: updated_user(
            directory, context.account_id, name, new_name=new_name, new_path=new_path
        )
    )
    return None


async def delete_user(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName", USER_NAME)
    await context.change(lambda directory: deleted_user(directory, context.account_id, name))
    return None


async def tag_user(context: CallContext, parameters: Parameters) -> Result:
    name, tags = parameters.required("UserName", USER_NAME), tags_of(parameters)
    await context.change(
        lambda directory: add_tags(directory, "user", context.account_id, name, tags)
    )
    return None


async def untag_user(context: CallContext, parameters: Parameters) -> Result:
    name, keys = parameters.required("UserName", USER_NAME), tag_keys_of(parameters)
    await context.change(
        lambda directory: remove_tags(directory, "user", context.account_id, name, keys)
    )
    return None


async def list_user_tags(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName", USER_NAME)
    tags = the_user(context.directory, context.account_id, name).tags
    return page_of_map(parameters, "Tags", tags, lambda key: {"Key": key, "Value": tags[key]})


async def put_user_permissions_boundary(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName", USER_NAME)
    arn = parameters.required("PermissionsBoundary", ARN)
    await context.change(
        lambda directory: set_boundary(directory, "user", context.account_id, name, arn)
    )
    return None


async def delete_user_permissions_boundary(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("UserName", USER_NAME)
    await context.change(
        lambda directory: set_boundary(directory, "user", context.account_id, name, None)
    )
    return None


CALLS: Final = table(
    iam_call("CreateUser", create_user, a_new_user),
    iam_call("GetUser", get_user, a_user),
    iam_call("ListUsers", list_users, users),
    iam_call("UpdateUser", update_user, a_user, becomes=what_is_renamed),
    iam_call("DeleteUser", delete_user, a_user),
    iam_call("TagUser", tag_user, a_user),
    iam_call("UntagUser", untag_user, a_user),
    iam_call("ListUserTags", list_user_tags, a_user),
    iam_call("PutUserPermissionsBoundary", put_user_permissions_boundary, a_user),
    iam_call("DeleteUserPermissionsBoundary", delete_user_permissions_boundary, a_user),
)
