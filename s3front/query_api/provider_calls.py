"""IAM's calls about OpenID Connect providers, whose tokens roles may trust (IAM API reference; each
function is the call of its name)."""

from __future__ import annotations

from typing import Final

from s3front.iam.provider_changes import (
    add_client_id,
    add_provider_tags,
    create_provider,
    delete_provider,
    remove_client_id,
    remove_provider_tags,
    the_provider,
    update_thumbprints,
)
from s3front.iam.records import Provider
from s3front.query_api.answer_pages import page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import ARN, THUMBPRINT, URL
from s3front.query_api.iam_subjects import a_new_provider, a_provider, iam_call, providers
from s3front.query_api.shown_identities import shown_provider, shown_tags
from s3front.query_api.tag_parameters import tag_keys_of, tags_of

_ARN_PARAMETER: Final = "OpenIDConnectProviderArn"


def _arn(parameters: Parameters) -> str:
    return parameters.required(_ARN_PARAMETER, ARN)


async def create_open_id_connect_provider(context: CallContext, parameters: Parameters) -> Result:
    url, tags = parameters.required("Url", URL), tags_of(parameters)
    client_ids = parameters.texts("ClientIDList", URL)
    thumbprints = parameters.texts("ThumbprintList", THUMBPRINT)
    provider = await context.change(
        lambda directory: create_provider(
            directory,
            context.account_id,
            url,
            client_ids=client_ids,
            thumbprints=thumbprints,
            tags=tags,
        )
    )
    return {_ARN_PARAMETER: provider.arn, "Tags": shown_tags(provider.tags)}


async def get_open_id_connect_provider(context: CallContext, parameters: Parameters) -> Result:
    arn = _arn(parameters)
    return shown_provider(the_provider(context.directory, context.account_id, arn))


async def list_open_id_connect_providers(context: CallContext, _parameters: Parameters) -> Result:
    found = context.directory.every(Provider, f"oidc/{context.account_id}")
    return {"OpenIDConnectProviderList": [{"Arn": provider.arn} for provider in found]}


async def delete_open_id_connect_provider(context: CallContext, parameters: Parameters) -> Result:
    arn = _arn(parameters)
    await context.change(lambda directory: delete_provider(directory, context.account_id, arn))
    return None


async def add_client_id_to_provider(context: CallContext, parameters: Parameters) -> Result:
    arn, client_id = _arn(parameters), parameters.required("ClientID", URL)
    await context.change(
        lambda directory: add_client_id(directory, context.account_id, arn, client_id)
    )
    return None


async def remove_client_id_from_provider(context: CallContext, parameters: Parameters) -> Result:
    arn, client_id = _arn(parameters), parameters.required("ClientID", URL)
    await context.change(
        lambda directory: remove_client_id(directory, context.account_id, arn, client_id)
    )
    return None


async def update_provider_thumbprint(context: CallContext, parameters: Parameters) -> Result:
    arn, thumbprints = _arn(parameters), parameters.texts("ThumbprintList", THUMBPRINT)
    await context.change(
        lambda directory: update_thumbprints(directory, context.account_id, arn, thumbprints)
    )
    return None


async def tag_open_id_connect_provider(context: CallContext, parameters: Parameters) -> Result:
    arn, tags = _arn(parameters), tags_of(parameters)
    await context.change(
        lambda directory: add_provider_tags(directory, context.account_id, arn, tags)
    )
    return None


async def untag_open_id_connect_provider(context: CallContext, parameters: Parameters) -> Result:
    arn, keys = _arn(parameters), tag_keys_of(parameters)
    await context.change(
        lambda directory: remove_provider_tags(directory, context.account_id, arn, keys)
    )
    return None


async def list_provider_tags(context: CallContext, parameters: Parameters) -> Result:
    tags = the_provider(context.directory, context.account_id, _arn(parameters)).tags
    return page_of_map(parameters, "Tags", tags, lambda key: {"Key": key, "Value": tags[key]})


CALLS: Final = table(
    iam_call("CreateOpenIDConnectProvider", create_open_id_connect_provider, a_new_provider),
    iam_call("GetOpenIDConnectProvider", get_open_id_connect_provider, a_provider),
    iam_call("ListOpenIDConnectProviders", list_open_id_connect_providers, providers),
    iam_call("DeleteOpenIDConnectProvider", delete_open_id_connect_provider, a_provider),
    iam_call("AddClientIDToOpenIDConnectProvider", add_client_id_to_provider, a_provider),
    iam_call("RemoveClientIDFromOpenIDConnectProvider", remove_client_id_from_provider, a_provider),
    iam_call("UpdateOpenIDConnectProviderThumbprint", update_provider_thumbprint, a_provider),
    iam_call("TagOpenIDConnectProvider", tag_open_id_connect_provider, a_provider),
    iam_call("UntagOpenIDConnectProvider", untag_open_id_connect_provider, a_provider),
    iam_call("ListOpenIDConnectProviderTags", list_provider_tags, a_provider),
)
