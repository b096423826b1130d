"""IAM's calls about access keys (IAM API reference; each function is the call of its name).

Without a name they are about the keys of who calls: a user's, or the account's own. A secret is
shown once, in the answer that makes the key.
"""

from __future__ import annotations

from typing import Final

from s3front.iam.access_key_changes import create_access_key as created_access_key
from s3front.iam.access_key_changes import delete_access_key as deleted_access_key
from s3front.iam.access_key_changes import new_access_key
from s3front.iam.access_key_changes import update_access_key as updated_access_key
from s3front.iam.identity_checks import the_account, the_user
from s3front.iam.last_used import last_use
from s3front.iam.records import KeyStatus
from s3front.query_api.answer_pages import page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.errors import QueryError
from s3front.query_api.iam_rules import ACCESS_KEY_ID, STATUS
from s3front.query_api.iam_subjects import Record, a_user, iam_call, user_name
from s3front.query_api.shown_identities import shown_iso, shown_key

_ACTIVE: Final[dict[str, KeyStatus]] = {"Active": "Active", "Inactive": "Inactive"}


async def create_access_key(context: CallContext, parameters: Parameters) -> Result:
    name = user_name(context, parameters)
    if name is not None:
        # Before a secret is sealed: of nobody, there is nothing to be kept.
        the_user(context.directory, context.account_id, name)
    prepared = await new_access_key(context.services.keys, context.account_id, name)
    made = await context.change(lambda directory: created_access_key(directory, prepared))
    record = made.record
    return {
        "AccessKey": {
            "UserName": made.user,
            "AccessKeyId": record.id,
            "Status": record.status,
            "SecretAccessKey": made.secret,
            "CreateDate": shown_iso(record.created),
        }
    }


async def list_access_keys(context: CallContext, parameters: Parameters) -> Result:
    directory, name = context.directory, user_name(context, parameters)
    if name is None:
        ids = the_account(directory, context.account_id).access_keys
    else:
        user = the_user(directory, context.account_id, name)
        name, ids = user.name, user.access_keys
    found = (directory.access_key(key_id) for key_id in ids)
    keys = {key.id: key for key in found if key is not None}
    return page_of_map(
        parameters, "AccessKeyMetadata", keys, lambda key_id: shown_key(keys[key_id], name)
    )


async def update_access_key(context: CallContext, parameters: Parameters) -> Result:
    name = user_name(context, parameters)
    key_id = parameters.required("AccessKeyId", ACCESS_KEY_ID)
    status = _ACTIVE[parameters.required("Status", STATUS)]
    await context.change(
        lambda directory: updated_access_key(
            directory, context.account_id, name, key_id, status=status
        )
    )
    return None


async def delete_access_key(context: CallContext, parameters: Parameters) -> Result:
    name = user_name(context, parameters)
    key_id = parameters.required("AccessKeyId", ACCESS_KEY_ID)
    await context.change(
        lambda directory: deleted_access_key(directory, context.account_id, name, key_id)
    )
    return None


# --- Last use -------------------------------------------------------------------------------------


def _its_user(context: CallContext, parameters: Parameters) -> tuple[str, Record | None]:
    """The user whose key is named, or the account."""
    key_id = parameters.required("AccessKeyId", ACCESS_KEY_ID)
    key = context.directory.access_key(key_id)
    if key is None or key.account != context.account_id or key.user_id is None:
        return f"arn:aws:iam::{context.account_id}:user/*", None
    user = context.directory.user_by_id(key.user_id)
    return (f"arn:aws:iam::{context.account_id}:user/*" if user is None else user.arn), user


async def get_access_key_last_used(context: CallContext, parameters: Parameters) -> Result:
    """For keys of other accounts it is as for keys that there are none of."""
    directory = context.directory
    key_id = parameters.required("AccessKeyId", ACCESS_KEY_ID)
    key = directory.access_key(key_id)
    if key is None or key.account != context.account_id:
        raise QueryError("AccessDenied", f"The Access Key with id {key_id} cannot be found.")
    user = None if key.user_id is None else directory.user_by_id(key.user_id)
    use = await last_use(context.services.metadata, key_id, context.request_id)
    told = {"ServiceName": "N/A", "Region": "N/A"}
    if use is not None:
        told = {"LastUsedDate": f"{use.at[:19]}Z", "ServiceName": use.service, "Region": use.region}
    return {"UserName": None if user is None else user.name, "AccessKeyLastUsed": told}


CALLS: Final = table(
    iam_call("CreateAccessKey", create_access_key, a_user),
    iam_call("ListAccessKeys", list_access_keys, a_user),
    iam_call("UpdateAccessKey", update_access_key, a_user),
    iam_call("DeleteAccessKey", delete_access_key, a_user),
    iam_call("GetAccessKeyLastUsed", get_access_key_last_used, _its_user),
)
