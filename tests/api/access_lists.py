"""What the tests of access control lists share: who is who, and buckets in which lists count."""

from __future__ import annotations

from typing import Any

from tests.api.support import CANONICAL_ID, new_name

OTHER_ID = CANONICAL_ID[:-1] + "f"
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
OTHER_EMAIL = "sampleaccount2@sampling.com"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

OWNER = {"ID": CANONICAL_ID, "DisplayName": "Bart"}
OTHER = {"ID": OTHER_ID, "DisplayName": "Lisa"}
NOT_SUPPORTED = (400, "AccessControlListNotSupported")
DENIED = (403, "AccessDenied")


def new_bucket(s3: Any, ownership: str = "ObjectWriter", **settings: Any) -> str:
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectOwnership=ownership, **settings)
    return name


def grants(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Grantee and permission of each grant of an answer."""
    return [
        (grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"])
        for grant in found["Grants"]
    ]


def policy(*rows: tuple[str, str], owner: dict[str, str] = OWNER) -> dict[str, Any]:
    """A document of grantees (an ID, a URI or an address) and permissions."""
    return {
        "Owner": owner,
        "Grants": [{"Grantee": _grantee(each), "Permission": name} for each, name in rows],
    }


def _grantee(text: str) -> dict[str, str]:
    if text.startswith("http://acs.amazonaws.com/groups/"):
        return {"Type": "Group", "URI": text}
    if "@" in text:
        return {"Type": "AmazonCustomerByEmail", "EmailAddress": text}
    return {"Type": "CanonicalUser", "ID": text}
