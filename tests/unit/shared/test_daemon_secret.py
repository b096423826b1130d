"""The secret of the daemons' ports: who is let in, and what a log shows of it."""

from __future__ import annotations

import pytest

from shared.daemon_secret import DaemonSecret, without_payload

OLD, NEW = "old-secret-of-daemons", "new-secret-of-daemons"
NONE = DaemonSecret()
BOTH = DaemonSecret((NEW, OLD))


def test_without_a_secret_everybody_is_let_in() -> None:
    assert not NONE.required
    assert (NONE.payload, NONE.authorization) == (None, None)
    for given in (None, {}, {"secret": "any"}):
        assert NONE.admits_payload(given)
    for header in (None, "", "Bearer any"):
        assert NONE.admits_authorization(header)


def test_the_first_secret_is_sent_and_all_are_accepted() -> None:
    assert BOTH.payload == {"secret": NEW}
    assert BOTH.authorization == f"Bearer {NEW}"
    for secret in (NEW, OLD):
        assert BOTH.admits_payload({"secret": secret})
        assert BOTH.admits_authorization(f"Bearer {secret}")


@pytest.mark.parametrize(
    "payload",
    [None, {}, "", NEW, [NEW], {"secret": None}, {"secret": ""}, {"secret": [NEW]},
     {"secret": NEW[:-1]}, {"secret": NEW + "x"}, {"secret": NEW.upper()}, {"token": NEW},
     {"secret": "\ud800"}, {"secret": "ü" * 21}],
)  # fmt: skip
def test_a_payload_that_is_refused(payload: object) -> None:
    assert not BOTH.admits_payload(payload)


@pytest.mark.parametrize(
    "header",
    [None, "", NEW, f"Basic {NEW}", "Bearer", "Bearer ", f"bearer {NEW}", f"Bearer  {NEW}",
     f"Bearer {NEW} ", f"Bearer {NEW},{OLD}", "Bearer \udcff"],
)  # fmt: skip
def test_a_header_that_is_refused(header: str | None) -> None:
    assert not BOTH.admits_authorization(header)


def test_no_repr_holds_a_secret() -> None:
    assert NEW not in repr(BOTH)
    assert OLD not in repr(BOTH)


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        ('0/MDFile/metadata,{"secret":"s"}', "0/MDFile/metadata,{…}"),
        ('40/MDFile/metadata,{"secret":"s"}', "40/MDFile/metadata,{…}"),
        ('0{"secret":\n"s"}', "0{…}"),
        ('0/MDFile/metadata,"s"', "0/MDFile/metadata,{…}"),
        ('0/MDFile/metadata,["s"]', "0/MDFile/metadata,{…}"),
        ("0/MDFile/metadata,", "0/MDFile/metadata,"),
        ('2/MDFile/metadata,1["call",{}]', '2/MDFile/metadata,1["call",{}]'),
        ('42/MDFile/metadata,0["call",{}]', '42/MDFile/metadata,0["call",{}]'),
        ("", ""),
    ],
)
def test_a_frame_is_shown_without_what_authenticates(frame: str, shown: str) -> None:
    assert without_payload(frame) == shown
