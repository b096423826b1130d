"""Servers that give out temporary credentials, and clients that sign with these."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from s3front.auth.sigv4 import AccessKey
from tests.keyrings import encrypting
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY, Cluster, Front, cluster

ACCOUNT_ID: Final = "123456789012"
ACCOUNT: Final = f"arn:aws:iam::{ACCOUNT_ID}"
ROOT: Final = AccessKey(ACCESS_KEY, SECRET_KEY, REGION)


@dataclass
class Stage:
    """Two front-ends that share nothing but the daemon."""

    running: Cluster

    def client(self, service: str, key: AccessKey = ROOT, front: int = 0, **settings: Any) -> Any:
        """boto3's client of a service, at one of the front-ends."""
        return client(self.running.fronts[front], service, key, **settings)

    def user(self, name: str, policy: Any = None) -> AccessKey:
        """A new user, and what she signs with."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKey(made["AccessKeyId"], made["SecretAccessKey"], REGION)

    def role(self, name: str, trust: Any, policy: Any = None) -> str:
        """A new role; its ARN."""
        iam = self.client("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return f"{ACCOUNT}:role/{name}"

    def assume(self, key: AccessKey, role: str, front: int = 0, **more: Any) -> AccessKey:
        """What a session of a role signs with."""
        sts = self.client("sts", key, front)
        return key_of(sts.assume_role(RoleArn=role, RoleSessionName="me", **more))


def client(front: Front, service: str, key: AccessKey, **settings: Any) -> Any:
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, **settings}
    return boto3.client(
        service,
        endpoint_url=front.url,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret,
        aws_session_token=key.session_token,
        region_name=REGION,
        verify=front.verify,
        config=Config(**options),
    )


def key_of(answer: Mapping[str, Any]) -> AccessKey:
    """What an answer of STS gives out."""
    told = answer["Credentials"]
    return AccessKey(told["AccessKeyId"], told["SecretAccessKey"], REGION, told["SessionToken"])


def allows(*actions: str, resource: Any = "*", condition: Any = None) -> dict[str, Any]:
    """A policy that allows these."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def trusts(principal: Any, *actions: str, condition: Any = None) -> dict[str, Any]:
    """A trust policy."""
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": list(actions) or ["sts:AssumeRole"],
    }
    if condition is not None:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


@contextmanager
def stage(folder: Path, **settings: Any) -> Iterator[Stage]:
    """Two front-ends with a master key, as long as the block runs."""
    with_key = {**encrypting(folder / "keys" / "keys.json"), "globalEncryptionEnabled": False}
    with cluster(folder / "cluster", settings={**with_key, **settings}, fronts=2) as running:
        yield Stage(running)
