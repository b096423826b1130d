"""IAM's calls about what is never there: passwords, devices, certificates, instance profiles.

Programs ask for them before they remove a user or role, and are answered as AWS answers of one who
has none. What would make such a thing is no call here.
"""

from __future__ import annotations

from typing import Final

from s3front.iam.identity_checks import the_account, the_role, the_user
from s3front.query_api.call import Call, CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.errors import QueryError
from s3front.query_api.iam_rules import ROLE_NAME, USER_NAME
from s3front.query_api.iam_subjects import Subject, a_role, a_user, iam_call, nothing, user_name


def _none_of(name: str, members: str, subject: Subject, *, paged: bool = True) -> Call:
    """A call that lists nothing, once the user or role that it names was found."""

    async def listed(context: CallContext, parameters: Parameters) -> Result:
        if subject is a_role:
            role = parameters.required("RoleName", ROLE_NAME)
            the_role(context.directory, context.account_id, role)
        elif subject is a_user:
            user = user_name(context, parameters)
            if user is None:
                the_account(context.directory, context.account_id)
            else:
                the_user(context.directory, context.account_id, user)
        return {members: [], "IsTruncated": False if paged else None}

    return iam_call(name, listed, subject)


async def no_login_profile(context: CallContext, parameters: Parameters) -> Result:
    """GetLoginProfile, DeleteLoginProfile: nobody has a password."""
    name = parameters.required("UserName", USER_NAME)
    the_user(context.directory, context.account_id, name)
    raise QueryError("NoSuchEntity", f"Login Profile for User {name} cannot be found.")


async def no_password_policy(context: CallContext, _parameters: Parameters) -> Result:
    """GetAccountPasswordPolicy, DeleteAccountPasswordPolicy."""
    raise QueryError(
        "NoSuchEntity",
        f"The Password Policy with domain name {context.account_id} cannot be found.",
    )


async def no_instance_profile(_context: CallContext, parameters: Parameters) -> Result:
    """GetInstanceProfile, and what would change one."""
    name = parameters.required("InstanceProfileName", USER_NAME)
    raise QueryError("NoSuchEntity", f"Instance Profile {name} cannot be found.")


async def no_saml_provider(_context: CallContext, parameters: Parameters) -> Result:
    """GetSAMLProvider."""
    raise QueryError(
        "NoSuchEntity", f"Manifest not found for arn {parameters.required('SAMLProviderArn')}"
    )


async def no_server_certificate(_context: CallContext, parameters: Parameters) -> Result:
    """GetServerCertificate."""
    name = parameters.required("ServerCertificateName", USER_NAME)
    raise QueryError("NoSuchEntity", f"The Server Certificate with name {name} cannot be found.")


CALLS: Final = table(
    iam_call("DeleteAccountPasswordPolicy", no_password_policy, nothing),
    iam_call("DeleteInstanceProfile", no_instance_profile, nothing),
    iam_call("DeleteLoginProfile", no_login_profile, a_user),
    iam_call("GetAccountPasswordPolicy", no_password_policy, nothing),
    iam_call("GetInstanceProfile", no_instance_profile, nothing),
    iam_call("GetLoginProfile", no_login_profile, a_user),
    iam_call("GetSAMLProvider", no_saml_provider, nothing),
    iam_call("GetServerCertificate", no_server_certificate, nothing),
    iam_call("RemoveRoleFromInstanceProfile", no_instance_profile, nothing),
    _none_of("ListInstanceProfiles", "InstanceProfiles", nothing),
    _none_of("ListInstanceProfilesForRole", "InstanceProfiles", a_role),
    _none_of("ListMFADevices", "MFADevices", a_user),
    _none_of("ListSAMLProviders", "SAMLProviderList", nothing, paged=False),
    _none_of("ListSSHPublicKeys", "SSHPublicKeys", a_user),
    _none_of("ListServerCertificates", "ServerCertificateMetadataList", nothing),
    _none_of("ListServiceSpecificCredentials", "ServiceSpecificCredentials", a_user, paged=False),
    _none_of("ListSigningCertificates", "Certificates", a_user),
    _none_of("ListVirtualMFADevices", "VirtualMFADevices", nothing),
)
