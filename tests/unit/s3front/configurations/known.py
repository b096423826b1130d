"""Two accounts, for lists that name them."""

from __future__ import annotations

from s3front.iam.directory import Directory
from shared.config import Account, Accounts

BART = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
LISA = "f" * 64

ACCOUNTS = Directory(
    Accounts(
        [
            Account("Bart", "bart@example.com", "arn:aws:iam::1" + "1" * 11, BART, "1" * 12),
            Account("Lisa", "lisa@example.com", "arn:aws:iam::2" + "2" * 11, LISA, "2" * 12),
        ],
        [],
    )
)
