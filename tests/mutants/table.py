"""The mutants: one wrong line each, in modules where a wrong line would cost data or let somebody
in. ``original`` occurs once in its file; the tests of its kind must fail with ``mutated`` there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One change of a source file."""

    kind: str
    file: str
    original: str
    mutated: str

    def applied(self, text: str) -> str:
        """The text of the file with the error in it."""
        count = text.count(self.original)
        assert count == 1, f"{self.file} has {count} times, and not once: {self.original}"
        return text.replace(self.original, self.mutated)


TESTS = {
    "keys": (
        "tests/unit/s3front/keys/test_account_keys.py",
        "tests/unit/s3front/keys/test_binding.py",
        "tests/unit/s3front/keys/test_data_key_cache.py",
        "tests/unit/s3front/keys/test_file_keyring.py",
        "tests/unit/s3front/keys/test_keepers.py",
        "tests/unit/s3front/keys/test_keyring_file.py",
        "tests/unit/s3front/keys/test_kmip_messages.py",
        "tests/unit/s3front/keys/test_kmip_ttlv.py",
        "tests/unit/s3front/keys/test_moved_keys.py",
        "tests/unit/s3front/keys/test_resilient_keys.py",
        "tests/unit/s3front/keys/test_sealed_text.py",
        "tests/unit/s3front/keys/test_troubles.py",
        "tests/backends/keys/test_hsm.py",
    ),
    "identities": (
        "tests/unit/s3front/iam/test_identity_credentials.py",
        "tests/unit/s3front/iam/test_following.py",
        "tests/unit/s3front/iam/test_store.py",
        "tests/unit/s3front/iam/test_changes.py",
        "tests/unit/s3front/iam/test_callers.py",
        "tests/unit/s3front/iam/test_damaged_records.py",
        "tests/unit/s3front/iam/test_access_key_changes.py",
        "tests/unit/s3front/iam/test_directory.py",
        "tests/unit/s3front/iam/test_identities.py",
        "tests/property/test_identity_history.py",
        "tests/unit/s3front/work/test_secret_rotation.py",
        "tests/unit/dmd/jobs/test_check_encryption.py",
    ),
    "sessions": (
        "tests/unit/s3front/iam/test_sessions.py",
        "tests/unit/s3front/iam/test_session_service.py",
        "tests/unit/s3front/iam/test_web_identity.py",
        "tests/unit/s3front/iam/test_provider_keys.py",
        "tests/unit/s3front/query_api/test_role_sessions.py",
        "tests/unit/s3front/query_api/test_own_sessions.py",
        "tests/unit/s3front/query_api/test_web_identity_sessions.py",
    ),
    "calls": (
        "tests/unit/s3front/query_api/test_call_parameters.py",
        "tests/unit/s3front/query_api/test_call_signature.py",
        "tests/unit/s3front/query_api/test_decided_on.py",
        "tests/unit/s3front/query_api/test_every_call.py",
        "tests/unit/s3front/query_api/test_iam_access.py",
        "tests/unit/s3front/query_api/test_iam_calls.py",
        "tests/unit/s3front/query_api/test_own_sessions.py",
        "tests/unit/s3front/query_api/test_simulation_calls.py",
        "tests/unit/s3front/query_api/test_what_calls_are_about.py",
    ),
    "versioning": (
        "tests/unit/dmd/metadata/test_versioned_writes.py",
        "tests/unit/s3front/objects/test_versioning.py",
        "tests/property/test_version_history.py",
        "tests/property/test_versioned_api.py",
        "tests/api/test_versioned_writes.py",
        "tests/api/test_versioned_reads.py",
        "tests/api/test_versioned_deletes.py",
    ),
    "conditions": (
        "tests/unit/dmd/metadata/test_conditions.py",
        "tests/unit/dmd/metadata/test_metadata_service.py",
        "tests/interop/test_known_buckets.py",
        "tests/property/test_metadata_history.py",
    ),
    "sigv4": (
        "tests/unit/s3front/auth/test_sigv4.py",
        "tests/unit/s3front/auth/test_sigv4_claim.py",
        "tests/property/test_sigv4_botocore.py",
        "tests/api/test_authentication.py",
    ),
    "chunked": (
        "tests/unit/s3front/auth/test_chunked.py",
        "tests/property/test_chunked_splits.py",
        "tests/api/test_payload_forms.py",
        "tests/api/test_checksum_table.py",
    ),
    "access": (
        "tests/unit/s3front/authz/test_decide.py",
        "tests/unit/s3front/authz/test_decision_table.py",
        "tests/unit/s3front/authz/test_bucket_policies.py",
        "tests/unit/s3front/authz/test_layers_of_policies.py",
        "tests/unit/s3front/configurations/test_cors.py",
    ),
    "policies": (
        "tests/unit/s3front/authz/test_bucket_policies.py",
        "tests/unit/s3front/policies/test_conditions.py",
        "tests/unit/s3front/policies/test_hostile_policies.py",
        "tests/unit/s3front/policies/test_identity_grammar.py",
        "tests/unit/s3front/policies/test_judge.py",
        "tests/unit/s3front/policies/test_policy_json.py",
        "tests/unit/s3front/policies/test_policy_variables.py",
        "tests/unit/s3front/policies/test_public.py",
        "tests/unit/s3front/policies/test_resource_grammar.py",
        "tests/unit/s3front/policies/test_wildcards.py",
        "tests/unit/s3front/authz/test_work_of_decisions.py",
        "tests/unit/s3front/authz/test_condition_keys.py",
        "tests/property/test_policies.py",
        "tests/api/test_policies_on_bodies.py",
    ),
    "lists": (
        "tests/unit/s3front/authz/test_acl.py",
        "tests/unit/s3front/authz/test_ownership.py",
        "tests/unit/s3front/authz/test_public_block.py",
        "tests/unit/s3front/configurations/test_acl_document.py",
        "tests/unit/s3front/configurations/test_acl_headers.py",
        "tests/api/test_put_bucket_acl.py",
        "tests/api/test_put_object_acl.py",
        "tests/api/test_object_ownership.py",
        "tests/api/test_public_access_block.py",
        "tests/api/test_bucket_policy.py",
        "tests/api/test_access_races.py",
        "tests/api/test_account_block.py",
        "tests/api/test_actions_of_headers.py",
    ),
    "unread": (
        "tests/unit/s3front/objects/test_put_plan.py",
        "tests/interop/test_known_buckets.py",
        "tests/api/test_unread_puts.py",
        "tests/walks/test_walks.py",
    ),
    "preconditions": (
        "tests/unit/s3front/objects/test_preconditions.py",
        "tests/unit/s3front/objects/test_put_plan.py",
        "tests/api/test_conditional_put.py",
        "tests/api/test_get_object.py",
        "tests/api/test_delete_objects.py",
    ),
    "bodies": (
        "tests/unit/s3front/bodies/test_body_pipelines.py",
        "tests/unit/s3front/bodies/test_upload_body.py",
        "tests/unit/s3front/bodies/test_verified_blob.py",
        "tests/unit/s3front/locations/test_registry.py",
        "tests/unit/s3front/locations/test_local_blobs.py",
        "tests/unit/s3front/locations/test_local_files.py",
        "tests/unit/s3front/bodies/test_stored_files.py",
        "tests/unit/dmd/data/test_sent_blobs.py",
        "tests/unit/shared/records/test_data_locations.py",
        "tests/api/test_dmd_file_store.py",
    ),
    "strays": (
        "tests/unit/s3front/work/test_stray_removal.py",
        "tests/unit/s3front/work/test_deletions.py",
        "tests/unit/s3front/locations/test_resilience.py",
        "tests/backends/aws_s3/test_faults.py",
        "tests/backends/test_native_uploads.py",
    ),
    "jobs": (
        "tests/unit/s3front/work/test_job_pace.py",
        "tests/unit/s3front/work/test_encryption_jobs.py",
        "tests/unit/s3front/work/test_key_rotation.py",
        "tests/unit/s3front/work/test_stored_again.py",
        "tests/unit/s3front/work/test_walked_records.py",
        "tests/api/test_encryption_jobs.py",
        "tests/api/test_key_rotation.py",
    ),
    "encryption": (
        "tests/unit/s3front/encryption/test_choice.py",
        "tests/unit/s3front/encryption/test_told.py",
        "tests/unit/s3front/objects/test_default_encryption.py",
        "tests/unit/s3front/objects/test_put_plan.py",
        "tests/unit/s3front/keys/test_moved_keys.py",
        "tests/api/test_encryption.py",
        "tests/api/test_encrypted_uploads.py",
        "tests/api/test_late_commits.py",
        "tests/api/test_bucket_encryption.py",
        "tests/api/test_foreign_locations.py",
        "tests/backends/test_native_copies.py",
    ),
}
"""What must notice the mutants of a kind, the fastest first."""

_DAEMON = "dmd/metadata/versioned_writes.py"
_FRONT = "s3front/objects/versioning.py"
_CONDITIONS = "dmd/metadata/conditions.py"
_GATEWAY = "s3front/metadata/gateway.py"
_KEPT = "s3front/metadata/bucket_store.py"
_PUT_PLAN = "s3front/objects/put_plan.py"
_SIGV4 = "s3front/auth/sigv4.py"
_CLAIM = "s3front/auth/sigv4_claim.py"
_CHUNKED = "s3front/auth/chunked.py"
_DECIDE = "s3front/authz/decide.py"
_AGAIN = "s3front/operations/decide_again.py"
_CORS = "s3front/configurations/cors.py"
_CHOICE = "s3front/encryption/choice.py"
_PRECONDITIONS = "s3front/objects/preconditions.py"

_JOBS = "s3front/work/encryption_jobs.py"

_CHANGES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("calls", "s3front/query_api/call_signature.py"): (
        ("claim.credential.service != service", "False"),
        ("hashlib.sha256(body).hexdigest()", "hashlib.sha256(b'').hexdigest()"),
        ("if not signatures_equal(", "if False and not signatures_equal("),
        ("claim.credential.date != stamp[:8]", "False"),
        ("if time - now > _SKEW:", "if False:"),
        ("if now - time > good_for:", "if False:"),
        ('if "host" not in signed:', "if False:"),
        (
            "    if missing:\n        raise _mismatch(_unsigned",
            "    if False:\n        raise _mismatch(_unsigned",
        ),
        ("> PRESIGN_SECONDS_MAX", "> 10 * PRESIGN_SECONDS_MAX"),
    ),
    ("calls", "s3front/query_api/answering.py"): (
        ("told.identity is UNSIGNED and not call.anonymous", "False"),
        ("    if call.actions:\n", "    if False:\n"),
        ("        _refuse_own_sessions(told.identity.principal)\n", "        pass\n"),
        ("            verify_call(tried, claim, sent.body, signer.secret)\n", "            pass\n"),
        ("        if length > most:\n", "        if False:\n"),
        ("found is None or found.user_id != identity.principal.user_id", "found is None"),
    ),
    ("calls", "s3front/query_api/iam_subjects.py"): (
        ('(f"iam:{action or name}",)', '("iam:GetUser",)'),
        ('policy.account not in (context.account_id, "aws")', "False"),
        ("account_id != context.account_id", "False"),
        ("return user.arn, user\n", "return EVERYTHING, user\n"),
        ('parameters.text("Path") or "/", name)', '"/", name)'),
        ("(arn, becomes(record, parameters) or arn)", "(arn,)"),
        ("(arn, None) if provider is None else (provider.arn, provider)", "(arn, provider)"),
        (
            'provider_url(parameters.required("Url", URL))',
            'parameters.required("Url", URL).removeprefix("https://")',
        ),
    ),
    ("calls", "s3front/query_api/call_parameters.py"): (
        ("        if name in values:\n", "        if False:\n"),
        ("elif len(value) > rule.maximum:", "elif False:"),
        ("for number, value in sorted(items):", "for number, value in items:"),
    ),
    ("calls", "s3front/query_api/call.py"): (
        ("(self.decided_on, self.again)", "None"),
        ("CallKeys(keys_of_call(", "CallKeys(ConditionKeys("),
        ("self.said.get(key.lower())", "self.said.get(key)"),
    ),
    ("calls", "s3front/query_api/access_key_calls.py"): (
        (
            "    if key is None or key.account != context.account_id:\n",
            "    if key is None:\n",
        ),
    ),
    ("calls", "s3front/query_api/simulation_calls.py"): (
        ("if account_id != context.account_id:", "if False:"),
    ),
    ("identities", "s3front/iam/identity_credentials.py"): (
        ("record is None or record.status != ACTIVE", "record is None"),
        ("return record if self._clock() < _expires(record) else None", "return record"),
        ("self._clock() < kept.expires else None", "True else None"),
        ("identities.text(key) is not text for key", "False for key"),
        (
            "        await self._directory.ready()\n        found = ",
            "        found = ",
        ),
        ("            await self._directory.refresh()\n", ""),
        ("directory.identities.text(record.key) is text:", "True:"),
        ("user is not None and record.id in user.access_keys", "user is not None"),
        ("opened is not None and opened.record is text", "opened is not None"),
        (
            "account is not None and record.id in account.access_keys",
            "account is not None",
        ),
    ),
    ("identities", "s3front/iam/following.py"): (
        ("self._connection == self._metadata.connection", "True"),
        ("self._clock() - self._told_at < FRESH_SECONDS", "True"),
        ("changed.previous != previous", "False"),
        ("version_of(at[0]) != version", "False"),
        ("keys is None or not await self._metadata.is_atomic()", "keys is None"),
        ("requires = [still(revision), *requires]", "requires = [*requires]"),
        ("        await asyncio.wait((asking,))\n", ""),
        ("come_at = self._clock() - SILENCE_SECONDS_MAX", "come_at = self._clock()"),
        ("last = max(come_at, self._asked_at, self._heard_at)", "last = come_at"),
    ),
    ("identities", "s3front/iam/directory.py"): (
        ("stored is None or stored.from_file", "stored is None"),
        ("ALL_DENIED if version is None else", "ALL_DENIED if version is not None else"),
        ('policies.append(NamedPolicy(f"group/{group_id}", ALL_DENIED))', "pass"),
        ('unknown.append((group_id, ""))', "pass"),
        ('        status="active",\n', ""),
        ("            self.rights_of_user(user),\n", "            None,\n"),
    ),
    ("identities", "s3front/iam/access_key_changes.py"): (
        ("if directory.knows_access_key(record.id):", "if False:"),
        ("if key_id in owner.access_keys else None", "if owner else None"),
    ),
    ("identities", "s3front/iam/policy_changes.py"): (
        (
            "directory.identities.attached_to(arn) or directory.identities.bounded_by(arn)",
            "directory.identities.attached_to(arn)",
        ),
        ("if version_id == policy.default:", "if False:"),
    ),
    ("identities", "s3front/iam/identity_checks.py"): (
        ('found.account not in (account_id, "aws")', "False"),
        ("in directory.identities.unreadable_of(account_id):", "in ():"),
        ("    if holder.arn != arn:\n", "    if False:\n"),
    ),
    ("identities", "s3front/iam/store.py"): (
        ("record is not None and directory.identities.hides(record)", "False"),
    ),
    ("identities", "s3front/iam/user_changes.py"): (
        (
            "directory.identities.text(user_key(account_id, name)) is not None",
            "directory.user(account_id, name) is not None",
        ),
    ),
    ("identities", "s3front/work/secret_rotation.py"): (
        ("[still(revision), *requires]", "[*requires]"),
        ("            keys.append(SESSIONS_KEY)\n", "            pass\n"),
        ("                    await self._note(holder", "                    (holder"),
    ),
    ("jobs", _JOBS): (
        ("except (S3Error, ChangedError, LeaseLostError, Un", "except (BaseException, Un"),
        ("except (S3Error, ChangedError, LeaseLostError, Un", "except (S3Error, ChangedError, Un"),
        ("            pace.require_in_time()\n", ""),
        ("if its_job is None or its_job[1] != page.revision:", "if its_job is None:"),
        ("Plan(released, plan.requires), page.requirement)", "Plan(released, plan.requires))"),
        ("if entry is None or entry.revision != page.revision:", "if entry is None:"),
        ("page.counts.without_failures().added_to", "page.counts.added_to"),
        ("            if self._clock() >= leave_at:\n                break\n", ""),
        ("names[done - 1] if done else job.after", "names[-1] if done else job.after"),
        ("found.next is None and done == len(names)", "found.next is None"),
        ("            if error.trouble is KeyTrouble.AWAY:\n                raise\n", ""),
        ("page.job.failed + page.counts.failed <=", "page.counts.failed <="),
    ),
    ("jobs", "s3front/work/job_pace.py"): (
        ("max(rate, 2 * size / self.seconds_max)", "rate"),
        ("        await self._look()\n", ""),
        ("max(elapsed, whole) <= seconds_max", "elapsed <= seconds_max"),
        ("max(elapsed, whole) <= seconds_max", "whole <= seconds_max or self._done == self._size"),
        ("if elapsed <= _PROVEN_SHARE * seconds_max:", "if not elapsed:"),
    ),
    ("jobs", "s3front/work/stored_again.py"): (
        ("if md5 is None and _is_without_tag(location):", "if False:"),
        ("        if is_uncertain(record, location):\n", "        if False:\n"),
        ("if md5 is not None and digest.hexdigest() != md5:", "if False:"),
    ),
    ("jobs", "s3front/work/key_rotation.py"): (
        ("if progress.failed + failed <= OF_ONE_JOB_MAX:", "if failed <= OF_ONE_JOB_MAX:"),
        ("            part=behind.part,\n", ""),
    ),
    ("jobs", "s3front/work/walked_records.py"): (
        ("at.part if at.part.startswith(upload) else upload", "at.part or upload"),
        ("before, found[-1][0])", 'before, "")'),
        ("            left -= len(found)\n", ""),
    ),
    ("keys", "s3front/keys/data_key_cache.py"): (
        ("if _names_object(context) or not", "if not"),
        ("                made.uses_left -= 1\n", ""),
        ("self._clock() - found[0] >= self._seconds", "False"),
        ('wanted = ("open", key_id, wrapped, _hashable(context))', 'wanted = ("open", wrapped)'),
        ("            self._opened.drop(wanted)\n", ""),
        ("        except AwayError:\n            raise\n        except", "        except"),
        (
            "self._opened.age(wanted) > FRESH_SECONDS and wanted not in self._asking:\n"
            "            self._start(wanted, lambda: self._open(",
            "False:\n            self._start(wanted, lambda: self._open(",
        ),
        ("while len(self._held) > self._most:", "while False:"),
        ("return await asyncio.shield(task)", "return await task"),
        ("raise failure.again()", "raise failure"),
    ),
    ("keys", "s3front/keys/resilient_keys.py"): (
        ("if is_repeatable:", "if True:"),
        ("if error.has_answered:", "if True:"),
        ("seconds = max(min(self._seconds / 2,", "seconds = max(min(self._seconds * 60,"),
        ("            self._breaker.abandoned(leave)\n            raise", "            raise"),
    ),
    ("keys", "s3front/keys/binding.py"): (
        ("+ canonical(context)", ""),
        (", sort_keys=True", ""),
    ),
    ("keys", "s3front/keys/kmip_ttlv.py"): (
        ("if depth > DEPTH_MAX or begins > len(data):", "if begins > len(data):"),
        ("    if filled > len(data):", "    if False:"),
        ("    if end != len(data):", "    if False:"),
    ),
    ("keys", "s3front/keys/hsm.py"): (
        ("if pin == self._refused_pin:", "if False:"),
        ("if self._waiting >= _WAITING_MAX:", "if False:"),
        ("        if found is None:\n            # Who", "        if False:\n            # Who"),
    ),
    ("encryption", _CHOICE): (
        ("        _let_customer(bucket)\n", ""),
        (
            "_by_server(headers, bucket) or default_of(bucket, settings)",
            "_by_server(headers, bucket)",
        ),
        ("return _SSE_S3 if settings.encrypts_all else None", "return None"),
        ("if wanted.algorithm not in ALGORITHMS:", "if False:"),
        ("if not secure and not settings.customer_keys_over_http:", "if False:"),
        ("not secure and not settings", "not settings"),
        ("if not secret or (len(secret) != _KEY_BYTES and not reads):", "if not secret:"),
        ("if not hmac.compare_digest(given", "if False and not hmac.compare_digest(given"),
        ("if prefix == _CUSTOMER and ENCRYPTION in headers:", "if False:"),
        ("if algorithm != AES256:", "if False:"),
        ("_customer_key(headers, _OF_SOURCE,", "_customer_key(headers, _CUSTOMER,"),
    ),
    ("encryption", "s3front/encryption/told.py"): (
        ("key_id=shown_key_id(document.get(KEY_ID_MEMBER)),", "key_id=None,"),
        ("if algorithm in (KMS, DSSE):\n        key_id", "if algorithm:\n        key_id"),
        ("    CUSTOMER_CHECK_MEMBER,\n)", ")"),
        ("    CONTEXT_MEMBER,\n    CUSTOMER_CHECK_MEMBER,\n)", "    CUSTOMER_CHECK_MEMBER,\n)"),
    ),
    ("encryption", "s3front/objects/default_encryption.py"): (
        ("or _MASTER_KEY.search(key_id) is not None", ""),
        ('"mandatory": True,', '"mandatory": False,'),
        ('{**kept, "mandatory": False}', "kept"),
    ),
    ("encryption", "s3front/objects/protection.py"): (
        ("bucket.demands_encryption and not record.is_encrypted", "False"),
    ),
    ("encryption", "s3front/keys/sealing.py"): (
        ("blob_key = _blob_key(members, by, before)", "blob_key = _blob_key(members, by, after)"),
        (
            "wrapped_members(blob_key, wrapping, after, number)",
            "wrapped_members(blob_key, wrapping, before, number)",
        ),
        ('wrap(b"", by, after, FOR_CHECK)', 'wrap(b"", by, before, FOR_CHECK)'),
        ("        self.check_customer(document, before, customer_key)\n", ""),
    ),
    ("encryption", "s3front/operations/encrypted_uploads.py"): (
        (
            "    if protection is None:",
            "    if not bucket.demands_encryption or protection is None:",
        ),
        ("        over=part,\n", ""),
        ("        check_age(context, stored.complete_at)\n", ""),
        (
            "        context.services.keys.check_customer(document, _bound(context), key)\n",
            "        pass\n",
        ),
        ("if said is not None and said !=", "if said is not None and said =="),
    ),
    ("encryption", "s3front/operations/upload_part.py"): (
        ("plain_in=part.bucket if part.protection is None else None,", ""),
        ("    return replace(made, checksums=stored.checksums)", "    return made"),
    ),
    ("encryption", "s3front/metadata/upload_store.py"): (
        ("                bucket_requirement(part.plain_in),\n", ""),
    ),
    ("encryption", "s3front/operations/complete_upload.py"): (
        ("upload = await as_demanded(context, bucket.record, upload)\n", "pass\n"),
        ("members=members)", "members=entry.members)"),
        ("encryption=kept_members(document),", ""),
    ),
    ("encryption", "s3front/operations/put_object.py"): (
        ("if wanted_protection(context, headers) != wanted.protection:", "if False:"),
        (
            "        protection=wanted_protection(context, headers),\n    )\n    if stored.carried",
            "    )\n    if stored.carried",
        ),
    ),
    ("encryption", "s3front/operations/get_object.py"): (
        ("        let_read(context, record, key)\n", ""),
    ),
    ("encryption", "s3front/operations/object_attributes.py"): (
        ("    let_read(context, record, key)\n", ""),
    ),
    ("encryption", "s3front/operations/place_copies.py"): (
        ("if wanted.protection is not None:", "if False:"),
    ),
    ("encryption", "s3front/operations/copy_source.py"): (
        ("    let_read(source, record, customer_key)\n", ""),
    ),
    ("strays", "s3front/metadata/strays.py"): (
        ("[*requires, *written]", "[*requires]"),
        ("[*_deleted(notes), *operations], [", "[*_deleted(()), *operations], ["),
        ("if error.index < len(requires):", "if True:"),
    ),
    ("strays", "s3front/locations/resilience.py"): (
        ("in _MAY_HAVE_DONE and marks and not await marks.renew()", "in _MAY_HAVE_DONE and False"),
    ),
    ("strays", "s3front/locations/s3_writing.py"): (
        ("isinstance(error, PlaceError) and is_undone(error)", "False"),
    ),
    ("strays", "s3front/work/stray_removal.py"): (("if not item.condemned:", "if False:"),),
    ("strays", "s3front/work/outbox_worker.py"): (
        ("return replace(moved, requirements=[unchanged])", "return moved"),
    ),
    ("strays", "s3front/work/deletions.py"): ((" if PART_OF not in (each.members or ())]", "]"),),
    ("strays", "s3front/work/place_failures.py"): (
        ("if error.status != _AWAY or", "if True or"),
        (
            "if not isinstance(error, PlaceError) or error.trouble is not Trouble.REFUSED:",
            "if True:",
        ),
    ),
    ("strays", "s3front/metadata/upload_store.py"): (
        ("release = not write.record.locations", "release = True"),
        ("gateway.delete(level, key, release=True))", "gateway.delete(level, key))"),
    ),
    ("strays", "s3front/operations/place_uploads.py"): (
        ("if document[_COMPLETES] != wanted:", "if False:"),
    ),
    ("access", _DECIDE): (
        ("    if principal.suspended:\n", "    if False:\n"),
        ("            if expected != account:\n", "            if False:\n"),
        ("        principal.rights is None\n        and bucket", "        bucket"),
        (
            "        and not principal.is_anonymous\n        and not bucket",
            "        and not bucket",
        ),
        ("        and not bucket.document.get(POLICY_MEMBER)\n", ""),
        (
            "            object_ is None\n            or object_.document",
            "            True\n            or object_.document",
        ),
        ("of_new = makes and action not in _READS", "of_new = makes"),
        (
            "        if not (gone and tells) or action in _OF_NO_OBJECT:",
            "        if not (gone and tells):",
        ),
        ("        if decision.reason.why is Why.POLICY_DENIES:", "        if False:"),
        ("        if refused is not None:\n", "        if False:\n"),
        ("            return refused or hidden\n", "            return hidden\n"),
        ("    if access.actions[0] in _OF_POLICY and access", "    if False and access"),
        ("    if gone and tells:\n", "    if False:\n"),
        (
            "    if rights is not None and (denied := denied_by(rights, asked)) is not None:\n"
            "        return denied\n    owner_id",
            "    owner_id",
        ),
        (
            "    if stated.effect is Effect.DENY:\n"
            "        return _not_stated(stated, action, _BUCKET_POLICY)\n    is_own",
            "    is_own",
        ),
        ("canonical_id == owner_id and not principal.is_anonymous", "canonical_id == owner_id"),
        ("stated.how in (How.ITSELF, How.EVERYBODY)", "stated.how >= How.ACCOUNT"),
        (
            "    if rights is not None:\n        given = given_by(rights, asked)\n",
            "    if False:\n        given = given_by(rights, asked)\n",
        ),
        ("principal.rights is None and asked.action in _OF_POLICY", "asked.action in _OF_POLICY"),
        ("exempt = is_bucket_owner and", "exempt = False and"),
        ("if block.restrict_public_buckets and", "if False and"),
        ("return (stated if owner_id == bucket.owner_id else NOTHING)", "return stated"),
        ("return limited(rights, asked) or _stated(stated", "return _stated(stated"),
        ("return block if owner is None else block | owner.block", "return block"),
    ),
    ("access", "s3front/authz/own_policies.py"): (
        ("(Layer.BOUNDARY, boundary),", ""),
        ("        (Layer.SESSION, rights.session or ()),\n", ""),
        ("    if beyond is not None:\n        return beyond\n", ""),
        ("boundary is not None and _allowing((boundary,), asked) is None", "False"),
        ("session is not None and _allowing(session, asked) is None", "False"),
    ),
    ("lists", "s3front/authz/acl.py"): (
        ("    if not principal.is_anonymous:\n        names.add(ALL_ACCOUNTS)\n", ""),
        ("        names -= PUBLIC_GROUPS\n", "        pass\n"),
        ("elif owner_id != bucket_owner_id:", "else:"),
        ("wanted = (permission, FULL_CONTROL)", "wanted = (permission,)"),
        ("frozenset((ALL_USERS, ALL_ACCOUNTS))\n", "frozenset((ALL_USERS,))\n"),
    ),
    ("lists", "s3front/authz/acl_limits.py"): (
        ("if not acls_count(bucket) and not _gives", "if not _gives"),
        ("    require_unblocked(bucket, acl, block)\n", ""),
        ("(block | block_of(bucket.document))", "block_of(bucket.document)"),
        ("(block | block_of(bucket.document))", "block"),
        ("if ownership == ENFORCED and not", "if False and not"),
    ),
    ("lists", "s3front/authz/ownership.py"): (
        ("found if found in OWNERSHIPS else ENFORCED", "found"),
        ("setting == PREFERRED and canned == OWNER", "canned == OWNER"),
        (' or writer.id in ("", ALL_USERS)', ""),
        (
            'if object_owner_id in ("", ALL_USERS) or not acls_count(bucket):',
            "if not object_owner_id:",
        ),
        ("return None if acls_count(bucket) else owner_of_bucket(bucket)", "return None"),
    ),
    ("lists", "s3front/operations/granting.py"): (
        (
            "    check_acl(context, bucket, acl)\n    owner = owner_of(context, bucket, acl)\n",
            "    owner = owner_of(context, bucket, acl)\n",
        ),
        (
            "        require_unblocked(bucket, acl, account_block(context, bucket))\n",
            "        pass\n",
        ),
        ('if document.owner_id not in ("", owner_id):', "if False:"),
        ('        if body:\n            raise S3Error("UnexpectedContent")\n', ""),
    ),
    ("lists", "s3front/operations/put_object.py"): (
        ("record if its is made_for else owned_again(context, its, record, wanted.acl)", "record"),
        ("owner_id=owner.id", "owner_id=context.principal.canonical_id"),
    ),
    ("lists", "s3front/operations/object_acl.py"): (
        ("if not acls_count(bucket) or not document", "if not document"),
        ("        check_acl(context, bucket.record, wanted.acl)\n", ""),
        ("        require_owner(wanted, _owner_of(bucket.record, record).id)\n", ""),
    ),
    ("lists", "s3front/operations/bucket_acl.py"): (
        ("        check_acl(context, record, wanted.acl)\n", ""),
        ("        require_owner(wanted, record.owner_id)\n", ""),
    ),
    ("lists", "s3front/operations/bucket_policy.py"): (
        ("        _require_unblocked(context, record, policy)\n", ""),
        ("        if not confirmed:\n            _require_repairable(context, changed)\n", ""),
        ("    if unknown is not None:\n", "    if False:\n"),
    ),
    ("lists", "s3front/operations/account_block.py"): (
        ("    if account_id != principal.account_id:\n", "    if False:\n"),
        ("    authorize(access)\n", ""),
    ),
    ("lists", "s3front/authz/new_buckets.py"): (
        ("    require_fits_ownership(acl, record.owner_id, setting)\n", "    pass\n"),
        ("        require_unblocked(record, acl, account)\n", ""),
        ("if ownership is not None or setting != WRITER:", "if setting != WRITER:"),
    ),
    ("policies", "s3front/policies/judge.py"): (
        ("        return _not_judged(statements[0], NOTHING)\n", "        pass\n"),
        ("            return _not_judged(statement, best)\n", "            continue\n"),
        ("if best is NOTHING or how > best.how:", "if best is NOTHING:"),
        ("        if statement.deny:\n", "        if False:\n"),
        ("            if how is How.ITSELF:\n", "            if True:\n"),
    ),
    ("policies", "s3front/policies/statements.py"): (
        ('deny = written.get("Effect") != "Allow"', 'deny = written.get("Effect") == "Deny"'),
        ("if tests is None or not (deny or understood):", "if tests is None:"),
        ("and not written.keys() - ELEMENTS", ""),
        ("return not covered and (covered is not None or self.deny)", "return not covered"),
        ("        return covered is True\n", "        return covered is not False\n"),
        ("principals.whole(names) if self.deny else", "principals.whole(names) if True else"),
        (
            "        if deny and not known and not but:\n"
            "            return Principals(everybody=True), False, False\n",
            "",
        ),
        ("if not texts or not (understood or but):", "if not texts:"),
        ("key=lambda statement: not statement.deny", "key=lambda statement: statement.deny"),
        ("[text.lower() for text in texts]", "texts"),
        ('        return f"{arn}:*"\n', "        return arn\n"),
    ),
    ("policies", "s3front/policies/statement_principals.py"): (
        ("if not named.isdisjoint(names.own):", "if not named.isdisjoint(names.labels):"),
        ("        if named.isdisjoint(names.of_account):\n            return False\n", ""),
        ("if names.role_arn is not None and named.isdisjoint(names.role):", "if False:"),
        (
            "return not named.isdisjoint(names.itself) or _ROOT.match(names.arn) is not None",
            "return True",
        ),
        (
            "named.add(found if unique_id is None else label_of_id(found, unique_id))",
            "named.add(found)",
        ),
        ('return bool(entry) and "*" not in entry', "return bool(entry)"),
        (
            '"arn:aws:(?:iam::[0-9]{12}:(?:user|role)/[^*?]+',
            '"arn:aws:(?:iam::[0-9]{12}:(?:user|role)/.+',
        ),
    ),
    ("policies", "s3front/policies/question.py"): (
        ("        if self.account_id is None:\n            return ()\n", ""),
        ('return name if kind == "AWS" else f"{kind} {name}"', "return name"),
    ),
    ("policies", "s3front/policies/work.py"): (
        ("if self.left < 0:", "if False:"),
        ("return PIECE + scanned * (3 + alike // 5)", "return 0"),
    ),
    ("policies", "s3front/policies/wildcards.py"): (
        ("    if position > end:\n        return False\n", ""),
        (
            "return size == first.length and first.at(text, 0, work)",
            "return first.at(text, 0, work)",
        ),
        ("if end < first.length or not first.at(text, 0, work)", "if not first.at(text, 0, work)"),
        ("        position = found + len(part)\n", "        position = found\n"),
        ("elif not any(parts[1:])", "elif True"),
    ),
    ("policies", "s3front/policies/policy_variables.py"): (
        ("return found[0] if len(found) == 1 else None", "return found[0]"),
        ("                    return None\n", '                    value = ""\n'),
        ("            if found is None:\n                answer = None\n", ""),
        ("        if inside in _ESCAPED:", "        if False:"),
    ),
    ("policies", "s3front/policies/condition_block.py"): (
        (
            "            if not values:\n                return missing\n"
            "            if len(values) == 1:",
            "            if not values:\n                return True\n"
            "            if len(values) == 1:",
        ),
        (
            "            return deny if answer is None else not answer\n",
            "            return not answer\n",
        ),
        ("        return deny or None not in answers\n", "        return True\n"),
        (
            "deny: bool) -> bool:\n    return deny if answer is None else",
            "deny: bool) -> bool:\n    return",
        ),
        ('("false" if question.values(key) else "true") in wanted', "question.values(key) is None"),
        ("return [] if deny else None", "return []"),
        (
            "                if not deny:\n                    return None\n",
            "                continue\n",
        ),
    ),
    ("policies", "s3front/policies/condition_operators.py"): (
        ("known = address if mapped is None else mapped", "known = address"),
        ("if number & mask == network and version == of_version:", "if number & mask == network:"),
        ("        if found is False:\n            return False\n", ""),
        ("        if found is None:\n            answer = None\n    return", "    return"),
    ),
    ("policies", "s3front/policies/public.py"): (
        ('if operator.endswith("IfExists") or', "if"),
        ('or operator.startswith("ForAllValues:")', ""),
        ('return condition.base == "IpAddress" and all(', "return all("),
        ("return found.prefixlen >= _PREFIX", "return found.prefixlen > 0 or _PREFIX"),
        ("    return all(_is_fixed(key, value) for value in values)\n", "    return True\n"),
        ('    if "NotPrincipal" not in statement:\n', "    if True:\n"),
    ),
    ("policies", "s3front/policies/policy_json.py"): (
        ("        if name in members:\n", "        if False:\n"),
        ("if _depth(text) > DEPTH_MAX:", "if False:"),
    ),
    ("policies", "s3front/policies/resource_grammar.py"): (
        ("    if applied and not all(about):", "    if False:"),
        ("if applied and knowing not in seen:", "if False:"),
        ('or ("${" not in arn[1] and not _is_bucket(arn[1], bucket))', ""),
        ('    if but and statement["Effect"] == "Allow":\n', "    if False:\n"),
    ),
    ("policies", "s3front/authz/condition_keys.py"): (
        ("named=named, unread=frozenset())", "named=named)"),
        (
            "is_anonymous:\n            return None\n        if self._by_header",
            "is_anonymous:\n            pass\n        if self._by_header",
        ),
        ('return decode(path).removeprefix("/")', "return path"),
        ("text.partition(_VERSION)[0]", "text"),
        ("            raise BodyUnreadError(key)\n", "            pass\n"),
        ("str(math.ceil(", "str(int("),
    ),
    ("policies", "s3front/operations/body_keys.py"): (
        ("    if context.undecided:\n        authorize(access)\n", ""),
    ),
    ("policies", "s3front/operations/told_by_upload.py"): (
        ("        said[_ACL] = canned\n", "        pass\n"),
        (
            "    if upload is None:\n        return with_said(context, {})\n",
            "    if upload is None:\n        return context\n",
        ),
    ),
    ("policies", "s3front/operations/object_tagging.py"): (
        ("    if not context.undecided:\n", "    if True:\n"),
    ),
    ("access", _AGAIN): (
        (
            "    authorize(access.on(bucket, None if current is None else current.record))\n",
            "",
        ),
    ),
    ("access", "s3front/routes.py"): (
        ("self.version_actions if version.is_specific else self.actions", "self.actions"),
        ("action for name in besides if name in headers for action in besides[name]", ""),
    ),
    ("access", _CORS): (
        ("method in rule.methods\n            and ", ""),
        ("            and text.endswith(after)\n", ""),
        ("            and text.startswith(before)\n", ""),
        ("            and len(text) >= len(before) + len(after)\n", ""),
        ("if _ANY not in rule.origins:", "if True:"),
        ("raise TypeError(", "return list(texts or "),
    ),
    ("bodies", "s3front/bodies/object_reader.py"): (
        ("if location.start + start != reached:", "if False:"),
        ("if reached != part.end + 1:", "if False:"),
        ("            if location.is_encrypted:\n", "            if False:\n"),
        ("if digests.length != self.size:", "if False:"),
    ),
    ("bodies", "s3front/bodies/digested_body.py"): (
        ("if length == size:", "if length < 0:"),
        ("if self._size is not None and digests.length > self._size:", "if False:"),
    ),
    ("bodies", "s3front/bodies/object_writer.py"): (
        ("            await delete_blob(context, destination.store, blob)\n", "            pass\n"),
    ),
    ("bodies", "s3front/bodies/stored_body.py"): (
        ("        start += size\n", ""),
        ("{**members, STORED_SIZE: blob.size}", "{STORED_SIZE: blob.size}"),
        ("members=members or None,", "members=None,"),
    ),
    ("bodies", "s3front/locations/registry.py"): (
        ("if store is not None and store.type == kind:", "if store is not None:"),
        ("if kind == self._daemon.type:", "if kind == self._daemon.type and name == '':"),
    ),
    ("bodies", "s3front/locations/dmd_file.py"): (
        ("not (whole or _is_part(response, blob))", "False"),
        ("response.length != length or", ""),
    ),
    ("bodies", "s3front/locations/local_blobs.py"): (
        ("data is not None and whole and crc32(data) != checksum", "False"),
        ("os.fstat(descriptor).st_size != blob.size:", "False:"),
        ("self._serves = theirs == ours", "self._serves = True"),
        ("if not (whole or blob.size > UNVERIFIED_BYTES_MIN):", "if False:"),
    ),
    ("bodies", "s3front/locations/local_files.py"): (
        ("if not os.path.samestat(os.stat(self.folder), self._found):", "if False:"),
        (" or os.geteuid() != found.st_uid", ""),
        (" or not offer.holds()", ""),
        ("                    sync_directory(self.folder)\n", ""),
        ("self._checksum = crc32(piece, self._checksum)", "self._checksum = crc32(piece)"),
    ),
    ("bodies", "shared/packed_reader.py"): (
        ("record.state is not State.LIVE or ", ""),
        (" or crc32(content) != record.checksum", ""),
        ("record is None or record.key != key:", "record is None:"),
    ),
    ("bodies", "dmd/data/file_blob.py"): (
        ("        if offset != self._sent:\n            self._close_pipe()\n", ""),
        ("        checksum.advance(value, end)\n        self._check(checksum)\n", ""),
        ("        self._close_window()\n        try:\n", "        try:\n"),
    ),
    ("versioning", _DAEMON): (
        (
            "is None or header.version_id >= version_id:",
            "is None or header.version_id > version_id:",
        ),
        ("if request.delete_null_key:", "if not request.delete_null_key:"),
        ("if request.is_null is True and not header.is_null:", "if request.is_null is True:"),
        ("if request.is_null is not True:", "if request.is_null is not False:"),
        ("header.is_null and not header.is_null2 and master_id", "header.is_null and master_id"),
        ("null_id = infinite", "null_id = request.version_id"),
        ('{"isNull2": True, "isNull": True}', '{"isNull": True}'),
        ('return _with(request.record, {"nullVersionId": null_id})', "return request.record"),
        ("version_key(key, null_id) < place:", "version_key(key, null_id) > place:"),
        ("== version_id or is_placeholder(master):", "== version_id:"),
        (
            "if place == version_key(key, NULL):\n        changes[place] = None",
            "if place == version_key(key, NULL):\n        pass",
        ),
        ("        if place in without:\n            continue\n", ""),
    ),
    ("versioning", _FRONT): (
        ("if master is None or not master.is_null_version:", "if master is None:"),
        ("null_id = master.version_id or oldest_id", "null_id = oldest_id"),
        ("return Plan((step,), Requires.NO_NULL_MASTER)", "return Plan((step,), Requires.NOTHING)"),
        ('{"versionId": "", "deleteNullKey": True}', '{"versionId": "", "deleteNullKey": False}'),
        ("Requires.UNCHANGED if judged else Requires.NOTHING", "Requires.NOTHING"),
        (" or versioning is Versioning.ENABLED\n", "\n"),
        ("if record is None or record.is_null_version:", "if record is None:"),
        ('Step(record.changed({"isNull": True}), options', "Step(record, options"),
        (
            "if record.version_id is None or record.is_null_version:",
            "if record.version_id is None:",
        ),
        (
            "master.version_id if master.is_null_version else master.null_version_id",
            "master.null_version_id",
        ),
        ("if record.is_null_version and not versioned:", "if record.is_null_version:"),
    ),
    ("conditions", _CONDITIONS): (
        (".revision == self.revision", ".revision >= self.revision"),
        ("is not None) is self.present", "is not None) or not self.present"),
        (
            "if value is None:\n            return True\n        found",
            "if value is None:\n            return False\n        found",
        ),
        (
            "if value is None:\n            return True\n        entry",
            "if value is None:\n            return False\n        entry",
        ),
        ("not found.version_id or found.is_null or", "found.is_null or"),
        ("not found.version_id or found.is_null or", "not found.version_id or"),
        ("or found.is_placeholder:", ":"),
        ("return _NULL_VERSION_NAME not in entry.record", "return True"),
        ("found.version_id is not None and not found.is_null", "not found.is_null"),
        ("found.version_id is not None and not found.is_null", "found.version_id is not None"),
        ("reader.range(self.lower, self.upper)", "reader.range(self.lower, self.lower)"),
        ("if len(stated) != 1:", "if len(stated) < 1:"),
        ("if type(value) is int else", "if isinstance(value, int) else"),
        ("present=False)", "present=True)"),
        ("isinstance(key, str) and (made", "(made"),
    ),
    ("conditions", _GATEWAY): (
        ("known is not None and known.connection == connection:", "known is not None:"),
        ("address[IF_REVISION_NOT] =", "(addresses or [address])[0][IF_REVISION_NOT] ="),
    ),
    ("unread", _GATEWAY): (
        (
            "            and known.connection == client.connections\n            and",
            "            and",
        ),
        ("            and client.extends(NULL_VERSION_EXTENSION)\n", ""),
    ),
    ("unread", _KEPT): (
        ("kept is None or kept.reads_first or", "kept is None or"),
        ("finally:\n            self._kept.forget(name)", "finally:\n            pass"),
    ),
    ("unread", _PUT_PLAN): (
        ("    if is_conditional_write(headers):\n        return False\n", ""),
        ("    if is_enabled(bucket.document):\n        return False\n", ""),
        ("return bucket.versioning is not Versioning.SUSPENDED", "return True"),
    ),
    ("unread", "s3front/metadata/object_store.py"): (
        ("gateway.names_no_null_version(", "gateway.is_no_null_version("),
    ),
    ("unread", "s3front/app.py"): (
        ("if decide(context.access).allowed:", "if True:"),
        ('or "origin" in request.headers:', ":"),
        ("told, context = context, await read_now(context)", "told = context"),
        ("if request.body.received or context.bucket == told.bucket:", "if True:"),
    ),
    ("unread", _AGAIN): (
        (
            "        services.buckets.read_first(bucket)\n        return None\n",
            "        return None\n",
        ),
    ),
    ("unread", "s3front/operations/uploads.py"): (
        ("bucket = allowed_again(told_by(context, upload).access, found, None)", "pass"),
    ),
    ("unread", "s3front/operations/delete_objects.py"): (
        ("is_plain(headers, bucket) and IF_MATCH_TIME", "IF_MATCH_TIME"),
        ("headers and IF_MATCH_SIZE not in headers", "headers"),
        (
            "plan_write_unread(versioning, _delete_marker(context, entry.key))",
            'plan_write(versioning, None, _delete_marker(context, entry.key), "")',
        ),
    ),
    ("unread", "s3front/operations/put_object.py"): (
        ("if chosen_location(context, headers) != wanted.location:", "if False:"),
        ("    await give_up(context, stored)\n    return made", "    return made"),
        ("context = await read_now(context)\n", "pass\n"),
    ),
    ("conditions", _KEPT): (
        (
            "return kept.bucket, entries\n        if first is None:",
            "return None, entries\n        if first is None:",
        ),
        (
            "            known = Known(revision, connection)",
            "            known = Known(0, connection)",
        ),
    ),
    ("sigv4", _SIGV4): (
        ('text = text.strip(" ")', "text = text"),
        ("    pairs.sort()\n", ""),
        ('value = value.replace("=", "%3D")', "value = value"),
        ('if presigned and name == "X-Amz-Signature":', 'if name == "X-Amz-Signature":'),
        ('if "%2F" in path:', 'if "%2f" in path:'),
        ('"\\nx-amz-" not in', '"\\nx-amz-meta-" not in'),
        ('missing.append("host")', "missing.extend(())"),
        ('name.startswith("x-amz-") and', 'name.startswith("x-amz-meta-") and'),
        ('query.get("X-Amz-Content-Sha256", value)', "value"),
        ("parameters.setdefault(name, value)", "parameters[name] = value"),
        ('text.replace("+", " ") if form else text', 'text.replace("+", " ")'),
    ),
    ("sigv4", _CLAIM): (
        ("abs(now - time) > _SKEW_MAX", "now - time > _SKEW_MAX"),
        (
            "credential.date != timestamp[:8]:\n        raise _malformed(",
            "credential.date > timestamp[:8]:\n        raise _malformed(",
        ),
        ("if now > expires:", "if now >= expires:"),
        ("if time - now > _SKEW_MAX:", "if time - now > 2 * _SKEW_MAX:"),
        ("int(text) > PRESIGN_SECONDS_MAX", "int(text) >= PRESIGN_SECONDS_MAX"),
        ('if service != "s3":', "if not service:"),
        ("len(components) != 3:", "len(components) < 3:"),
    ),
    ("chunked", _CHUNKED): (
        ("self._signature = ours", "pass"),
        (
            "self._chunk_bytes < self._body.chunk_bytes_min",
            "self._chunk_bytes <= self._body.chunk_bytes_min",
        ),
        ("if self._chunks > 1 and", "if self._chunks > 2 and"),
        ("if size > CHUNK_BYTES_MAX and", "if size >= CHUNK_BYTES_MAX and"),
        ("            self._verify_chunk(EMPTY_SHA256)\n", ""),
        (
            "            self._require_length(self._decoded_bytes)\n            self._state",
            "            self._state",
        ),
        (
            "if self._decoded_bytes > self._body.decoded_bytes:",
            "if self._decoded_bytes > 2 * self._body.decoded_bytes:",
        ),
        ('not section.endswith(b"\\r\\n\\r\\n")', 'not section.endswith(b"\\r\\n")'),
        ("name.strip().lower() != _TRAILER_SIGNATURE.encode():", "not name:"),
        ("if not colon or name in trailers:", "if not colon:"),
        ("trailers.keys() != self._body.trailers", "trailers.keys() - self._body.trailers"),
        ('if not b"\\r\\n".startswith(self._held):', "if len(self._held) > 2:"),
        ('if not line.endswith(b"\\r\\n"):', 'if not line.endswith(b"\\n"):'),
        ('if section != b"\\r\\n":', 'if section.startswith(b"\\n"):'),
    ),
    ("preconditions", _PUT_PLAN): (
        ("return depending(plan) if is_conditional_write(headers) else plan", "return plan"),
        ("    check_put(headers, master)\n    require", "    require"),
        ("    require_encryption(bucket, record)\n    plan", "    plan"),
        ("_locked(record, bucket), oldest_id", "record, oldest_id"),
        ("None if master is None or master.is_delete_marker", "None if master is None"),
        ("record if lock == wanted else record.changed(lock.members())", "record"),
    ),
    ("preconditions", _PRECONDITIONS): (
        (
            "last_modified.replace(microsecond=0) > since:",
            "last_modified.replace(microsecond=0) >= since:",
        ),
        (
            "        return not _matches(if_none_match, etag)\n",
            "        if not _matches(if_none_match, etag):\n            return True\n",
        ),
        (" or since > clock()", ""),
        ("None and last_modified.replace(microsecond=0) >", "None and last_modified >"),
        ("None or last_modified.replace(microsecond=0) >", "None or last_modified >"),
        ("return if_range == f'\"{etag}\"'", "return _matches(if_range, etag)"),
        ("return if_range == etag or _date", "return _date"),
        ('if if_none_match.strip() != "*":', 'if "*" not in if_none_match:'),
        (
            'if current_etag is None:\n            raise S3Error("NoSuchKey")',
            'if current_etag is None:\n            raise _failed("If-Match")',
        ),
        ("if current is None or current.is_delete_marker:", "if current is None:"),
        (
            "self.modified != current.modified.replace(microsecond=0)",
            "self.modified != current.modified",
        ),
        ("self.size != current.size", "self.size < current.size"),
        ("\n            and self.size is None", ""),
        ('.removeprefix("W/")', ""),
        ('header.split(",")', "[header]"),
    ),
    ("sessions", "s3front/iam/sessions.py"): (
        ("return head + access_key.encode", "return head or access_key.encode"),
        ("if head[1 : 1 + _ID_BYTES].hex() != by.key_id:", "if not head:"),
        ("_PURPOSE + head[1 + _ID_BYTES :]", "_PURPOSE"),
        ("os.urandom(_SALT_BYTES)\n    text", "bytes(_SALT_BYTES)\n    text"),
        ('if urlsafe_b64encode(raw).rstrip(b"=").decode() != token:', "if not raw:"),
        ("len(token) > TOKEN_CHARACTERS_MAX or not", "not"),
        ("if not stream.eof or stream.unused_data:", "if not text:"),
        (
            "return -(-len(packed) * 100 // PACKED_BYTES_MAX)",
            "return len(packed) * 100 // PACKED_BYTES_MAX",
        ),
    ),
    ("sessions", "s3front/iam/session_service.py"): (
        ("if known is None or known.access_key != access_key:", "if known is None:"),
        ("elif not self.sealing.has(known.key_id):", "elif not known.key_id:"),
        ("if self._clock() >= known.session.expires:", "if self._clock() > known.session.expires:"),
        ("if known.generation != generation:", "if known.generation < 0:"),
        ("            await self.directory.refresh()\n            signer", "            signer"),
        ("if len(token) > TOKEN_CHARACTERS_MAX:", "if len(token) > 2 * TOKEN_CHARACTERS_MAX:"),
        ("KeptSigners(TOKENS_MAX, ", "KeptSigners(TOKENS_MAX + 1, "),
    ),
    ("sessions", "s3front/iam/session_principals.py"): (
        (
            "role.id != session.entity_id or _is_revoked(role, session)",
            "_is_revoked(role, session)",
        ),
        (" or _is_revoked(role, session)", ""),
        ("if user is None or user.id != session.entity_id:", "if user is None:"),
        ("< role.revoked_before", "<= role.revoked_before"),
        ("    if passed.limits:\n        rights", "    if passed.policy:\n        rights"),
        ("return replace(whose, keys=_keys(session))", "return whose"),
        ("return {**remaining_tags(tags, list(passed)), **passed}", "return {**passed, **tags}"),
        (
            "    rights = bounded(replace(rights, session=_session_policies(directory, passed)))\n"
            "    ret",
            "    ret",
        ),
        ("transitive_tags=passed.transitive", "transitive_tags=()"),
    ),
    ("sessions", "s3front/iam/directory.py"): (("role_arn=role.arn,", "role_arn=None,"),),
    ("sessions", "s3front/iam/sealing_keys.py"): (
        ("if record is None or end_sessions else", "if record is None else"),
        ("newer > at - LONGEST_SESSION", "newer > at + LONGEST_SESSION"),
        ("len(kept) < KEPT_MAX and ", ""),
        (
            "if directory.identities.text(SESSIONS_KEY) is not None:",
            "if directory.identities is None:",
        ),
        ('raise S3Error("ServiceUnavailable") from error', "raise"),
    ),
    ("sessions", "s3front/iam/web_identity.py"): (
        (
            "not isinstance(algorithm, str) or algorithm not in _TYPES",
            "not isinstance(algorithm, str)",
        ),
        ("if not isinstance(key_id, str) or not key_id:", "if key_id is None:"),
        ('if "crit" in header:', "if not header:"),
        ("if place_of(said.issuer) != provider.place:", "if not said.issuer:"),
        (
            'if key.get("kty") != kind or key.get("alg", algorithm) != algorithm:',
            'if key.get("kty") != kind:',
        ),
        ('if curve is not None and key.get("crv") != curve:', "if not kind:"),
        ("if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:", "if not RSA_BITS_MIN <= bits:"),
        ("RSA_BITS_MIN <= bits <= RSA_BITS_MAX", "bits <= RSA_BITS_MAX"),
        ("if now >= expires + LEEWAY_SECONDS:", "if now >= expires + 2 * LEEWAY_SECONDS:"),
        ("if now >= expires + LEEWAY_SECONDS:", "if now >= expires:"),
        ("if max(issued, begins) > now + LEEWAY_SECONDS:", "if issued > now + LEEWAY_SECONDS:"),
        ("if max(issued, begins) > now + LEEWAY_SECONDS:", "if begins > now + LEEWAY_SECONDS:"),
        (
            "for audience in (party,) if party is not None else audiences:",
            "for audience in (party, *audiences):",
        ),
        ("        if audience in client_ids:\n", "        if audience:\n"),
        ('key.get("use", "sig") == "sig" and isinstance', "isinstance"),
        (' and "verify" in uses', ""),
        ("or len(keys) > KEYS_MAX", "or not document"),
        ("isinstance(value, bool) or ", ""),
    ),
    ("sessions", "s3front/iam/provider_keys.py"): (
        (
            "if known.keys is not None and fresh and key_id in known.keys:",
            "if known.keys is not None and fresh:",
        ),
        (
            "if known.keys is not None and fresh and key_id in known.keys:",
            "if known.keys is not None and key_id in known.keys:",
        ),
        ("if asking is None and known.may_ask(self._clock()):", "if asking is None:"),
        ("known.failures += 1", "known.failures = 1"),
        ("or self._clock() - known.read_at >= STALE_SECONDS_MAX", ""),
        ("await asyncio.shield(asking)", "await asking"),
        (
            "if place_of(said.issuer) != provider.place:",
            "if not said.issuer:",
        ),
    ),
    ("sessions", "s3front/query_api/role_sessions.py"): (
        ("replace(context.principal, federated=None)", "replace(context.principal)"),
        ('if caller.kind == "FederatedUser":', "if not caller.kind:"),
        ("or role.arn != arn:", "or not arn:"),
        ("if account.is_suspended:", "if not account.id:"),
        ("if own and asked and own != asked:", "if not own and not asked and own:"),
        (
            "if chained and seconds > CHAINED_SECONDS_MAX:",
            "if chained and seconds > 2 * CHAINED_SECONDS_MAX:",
        ),
        ("if seconds > role.max_session_seconds:", "if seconds > ROLE_SECONDS_MAX:"),
        ("trust=trust, role_owner=account.canonical_id", "trust=trust"),
    ),
    ("sessions", "s3front/query_api/sts_common.py"): (
        ("    if tags:\n        actions", "    if not tags:\n        actions"),
        (
            "    if source_identity:\n        actions",
            "    if not source_identity:\n        actions",
        ),
        ("if caller.is_temporary:", "if caller.role_arn:"),
    ),
    ("sessions", "s3front/query_api/sts_parameters.py"): (
        ("if any(key.lower() in names for key in tags):", "if any(key in names for key in tags):"),
        (
            "return {**inherited, **tags}, (*inherited, *transitive)",
            "return {**inherited, **tags}, tuple(transitive)",
        ),
        ('if found is None or found.account not in (account_id, "aws"):', "if found is None:"),
        ("if percent > 100:", "if percent > 1000:"),
        ("if any(key not in tags for key in keys):", "if not tags and keys and not keys[0]:"),
    ),
    ("sessions", "s3front/query_api/own_sessions.py"): (
        ("in (Why.POLICY_DENIES, Why.SUSPENDED)", "in (Why.SUSPENDED,)"),
        ("min(seconds, ROOT_SECONDS_MAX) if caller.rights is None else seconds", "seconds"),
        ('caller.user_id if caller.user_name else ""', '""'),
        ("    authorize(Access(caller, actions, arn, keys))\n", ""),
    ),
    ("sessions", "s3front/query_api/answering.py"): (
        (
            "if principal.is_temporary and principal.role_arn is None:",
            "if principal.role_arn and not principal.arn:",
        ),
    ),
}

MUTANTS = [
    Mutant(kind, file, original, mutated)
    for (kind, file), changes in _CHANGES.items()
    for original, mutated in changes
]
