"""The texts of policies: how large they are, and what is kept of them."""

from __future__ import annotations

import tracemalloc

import pytest

from s3front.iam import policy_texts, quotas
from s3front.iam.iam_errors import IamError
from s3front.iam.policy_changes import create_policy
from s3front.iam.policy_texts import PolicyTexts, kept_text, policy_size
from s3front.policies.policy import Kind
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin

SHORT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def test_white_space_is_neither_counted_nor_kept() -> None:
    written = SHORT.replace(",", ",\n    ")
    assert policy_size(written) == policy_size(SHORT) == len(SHORT)
    assert kept_text(written) == written
    blank = SHORT.replace("[", "[" + " " * 100_000)
    assert (policy_size(blank), kept_text(blank)) == (len(SHORT), SHORT)


async def test_blanks_that_are_kept_count() -> None:
    blank = SHORT.replace("{", '{"Id":"' + " " * 100_000 + '",', 1)
    assert len(kept_text(blank)) > 100_000
    assert policy_size(blank) > 50_000
    with pytest.raises(IamError) as caught:
        await Front(MetadataTwin()).change(lambda d: create_policy(d, BART_ID, "p", blank))
    assert caught.value.code == "LimitExceeded"
    assert str(quotas.POLICY_SIZE_MAX) in str(caught.value)


def test_what_is_no_document_has_a_size() -> None:
    assert policy_size("{" + " " * 1_000) == 500


def test_a_policy_is_read_once_for_whom_it_means() -> None:
    texts = PolicyTexts()
    assert texts.policy(SHORT) is texts.policy(SHORT)
    meant = texts.policy(SHORT, Kind.TRUST, {"arn": "AIDA1"})
    assert meant is texts.policy(SHORT, Kind.TRUST, {"arn": "AIDA1"})
    assert meant is not texts.policy(SHORT, Kind.TRUST, {"arn": "AIDA2"})


def test_what_is_kept_is_bounded_by_the_memory_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_texts, "KEPT_BYTES_MAX", 1_000_000)
    texts = PolicyTexts()
    values = ",".join(f'"?{number:x}*"' for number in range(1_000))
    tracemalloc.start()
    try:
        for number in range(20):
            condition = f'"Condition":{{"StringLike":{{"aws:{number}":[{values}]}}}}'
            hard = SHORT.replace('"Resource"', condition + ',"Resource"')
            assert texts.policy(hard).compiled.statements
            del hard, condition
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1_500_000
