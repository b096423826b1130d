"""The workers that there are, a row each."""

from __future__ import annotations

from typing import Final

from s3front.work.deletions import DeletionWorker
from s3front.work.encryption_jobs import STEP_SECONDS_MAX, EncryptionJobWorker
from s3front.work.key_rotation import KeyRotationWorker
from s3front.work.old_periods import refusal_worker, token_worker
from s3front.work.stray_removal import StrayWorker
from s3front.work.tags_elsewhere import TagWorker
from s3front.work.upload_remains import UploadWorker
from s3front.work.worker import Registration

WORKERS: Final = (
    Registration("deletions", DeletionWorker),
    Registration("uploads", UploadWorker),
    Registration("strays", StrayWorker),
    Registration("tags", TagWorker),
    Registration("client-tokens", token_worker),
    Registration("refusals", refusal_worker),
    Registration("key-rotation", KeyRotationWorker),
    Registration("encryption-jobs", EncryptionJobWorker, STEP_SECONDS_MAX),
)
