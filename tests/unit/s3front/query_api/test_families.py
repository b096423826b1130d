"""The table of calls."""

from __future__ import annotations

from pathlib import Path

from s3front.query_api.families import IAM, SERVICES
from tests.unit.s3front.query_api.query_service import model


def test_every_call_is_one_of_its_service() -> None:
    for service in SERVICES.values():
        known = model(service.name).operation_names
        assert set(service.calls) - set(known) == set()
        assert model(service.name).api_version == service.version
        assert model(service.name).metadata["xmlNamespace"] == service.namespace


def test_every_call_of_iam_asks_for_an_action() -> None:
    assert {call.actions for call in IAM.calls.values()} == {(f"iam:{name}",) for name in IAM.calls}


def test_every_call_of_iam_is_tried_beside_this() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_calls.py"))
    kinds = ("User", "Group", "Role")
    tried = {
        name
        for name in IAM.calls
        if f'"{name}"' in text
        or any(f'"{name.replace(kind, "{kind}")}"' in text for kind in kinds if kind in name)
    }
    assert set(IAM.calls) - tried == set()
