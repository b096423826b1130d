"""Master keys in a token with a PKCS#11 library: an HSM, or SoftHSM.

The token encrypts data keys, which are made here, by AES-GCM with the context authenticated, or,
where it has no such mechanism, by AES-CBC (PKCS #11 3.0, "Current mechanisms": CKM_AES_GCM,
CKM_AES_CBC_PAD); ``binding`` holds a data key to its context in both. A master key is called by its
label.

The library blocks, so a thread of its own asks it, one thing after the other. Its session is made
on first use, in the process that uses it, and again when it has failed. A PIN that was refused is
not tried again until there is another one: tokens lock themselves after a few.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from s3front.encryption.key_wrapping import KEY_BYTES, WrappingKey
from s3front.keys.base import AwayError, KeeperError, KeyContext, why_unusable
from s3front.keys.binding import bound_secret, canonical
from s3front.keys.one_thread import OneThread
from s3front.keys.sealed_data_key import IV_BYTES, TAG_BYTES, Mode, Sealed, packed, unpacked
from s3front.keys.troubles import denied, not_found, refused
from shared.config.encryption import Pkcs11
from shared.config.errors import ConfigError

NAME: Final = "pkcs11"

_LABEL_CHARACTERS_MAX: Final = 256
_WAITING_MAX: Final = 32
"""So many may wait for the thread; a token that hangs takes no more."""

_CLOSE_SECONDS_MAX: Final = 2.0

_REFUSALS: Final = frozenset({
    "DataInvalid", "DataLenRange", "EncryptedDataInvalid", "EncryptedDataLenRange",
})  # fmt: skip
_MAY_BE_DATA: Final = frozenset({"DeviceError", "FunctionFailed", "GeneralError"})
"""Some tokens say one of these where what is to be opened was altered."""

_DENIALS: Final = frozenset({
    "FunctionNotSupported", "KeyTypeInconsistent", "KeySizeRange", "MechanismInvalid",
    "MechanismParamInvalid",
})  # fmt: skip
_SETTINGS: Final = frozenset({
    "NoSuchToken", "MultipleTokensReturned", "PinExpired", "PinIncorrect", "PinInvalid",
    "PinLenRange", "PinLocked", "UserPinNotInitialized", "SlotIDInvalid",
})  # fmt: skip
"""What the operator has to mend."""

T = TypeVar("T")


class HsmKeys:
    """A ``ServiceKeys`` that asks once; see the module."""

    name = NAME

    def __init__(self, settings: Pkcs11) -> None:
        self._settings = settings
        self._thread = OneThread("pkcs11")
        self._waiting = 0
        self._session: Any = None
        self._mode = Mode.GCM
        self._refused_pin: str | None = None

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        label = self._settings.key if key_id is None else key_id
        _check(label)
        data_key = os.urandom(KEY_BYTES)
        sealed = await self._run(lambda: self._seal(label, data_key, canonical(context)))
        return WrappingKey(f"{NAME}:{label}", bound_secret(data_key, context), packed(sealed))

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        _check(key_id)
        try:
            sealed = unpacked(wrapped)
        except ValueError:
            sealed = None
        if sealed is None:
            raise refused("the record has no data key as it is kept for a token")
        found = sealed
        data_key = await self._run(lambda: self._open(key_id, found, canonical(context)))
        return bound_secret(data_key, context)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        raise refused("CloudServer has no keys in tokens")

    async def create(self, description: str) -> str:
        """An AES key that never leaves the token, with the label that is configured, or, where
        there is one, with today's date behind it."""
        return await self._run(self._create)

    async def rotate(self, description: str) -> str:
        return await self.create(description)

    async def look(self) -> str | None:
        """Seals a data key, and opens it."""
        return await why_unusable(self)

    async def close(self) -> None:
        await asyncio.wait([self._thread.run(self._end)], timeout=_CLOSE_SECONDS_MAX)
        self._thread.end()

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something in the thread."""
        if self._waiting >= _WAITING_MAX:
            raise AwayError("the token is busy, and others wait for it")
        self._waiting += 1
        done = self._thread.run(lambda: self._guarded(work))
        # It may be given up here, and goes on there.
        done.add_done_callback(self._ended)
        return await asyncio.shield(done)

    def _ended(self, done: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()

    # -- In the thread ----------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], T]) -> T:
        """Raises KeeperError."""
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415  # on first use

        try:
            return work()
        except KeeperError:
            raise
        except PKCS11Error as error:
            failure = self._failure(type(error).__name__, str(error))
        except OSError as error:
            failure = AwayError(f"the token: {error}", has_answered=True)
        raise failure

    def _failure(self, name: str, text: str) -> KeeperError:
        reason = f"the token answers {name}{f' ({text})' if text else ''}"
        if name in _REFUSALS:
            return refused(reason)
        if name in _DENIALS:
            return denied(reason)
        self._end()
        return AwayError(reason, has_answered=name in _SETTINGS)

    def _end(self) -> None:
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415  # on first use

        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except PKCS11Error:
                return

    def _opened_session(self) -> Any:
        """The session, logged in."""
        if self._session is not None:
            return self._session
        import pkcs11  # noqa: PLC0415  # on first use

        settings, pin = self._settings, self._pin()
        if pin == self._refused_pin:
            raise AwayError("the token has refused this PIN before", has_answered=True)
        library = pkcs11.lib(str(settings.library))
        if settings.token is not None:
            token = library.get_token(token_label=settings.token)
        else:
            slots = [slot for slot in library.get_slots() if slot.slot_id == settings.slot]
            if not slots:
                raise AwayError(f"there is no slot {settings.slot}", has_answered=True)
            token = slots[0].get_token()
        can = token.slot.get_mechanisms()
        self._mode = Mode.GCM if pkcs11.Mechanism.AES_GCM in can else Mode.CBC
        try:
            self._session = token.open(user_pin=pin, rw=True)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            # By a keeper that this one has replaced: a process is logged in as a whole.
            self._session = token.open(rw=True)
        except (pkcs11.exceptions.PinIncorrect, pkcs11.exceptions.PinLocked):
            self._refused_pin = pin
            raise
        return self._session

    def _pin(self) -> str:
        if self._settings.pin_file is not None:
            return self._settings.pin_file.read_text("utf-8").strip()
        assert self._settings.pin is not None
        return self._settings.pin.reveal()

    def _key(self, label: str) -> Any:
        found = None if self._session is None else self._found(label)
        if found is None:
            # Who is not logged in any more sees no keys: another keeper of this process has ended.
            self._end()
            found = self._found(label)
        if found is None:
            raise not_found(label)
        return found

    def _found(self, label: str) -> Any:
        """The key of this label; None where there is none."""
        import pkcs11  # noqa: PLC0415  # on first use

        session = self._opened_session()
        try:
            return session.get_key(
                label=label,
                object_class=pkcs11.ObjectClass.SECRET_KEY,
                key_type=pkcs11.KeyType.AES,
            )
        except pkcs11.exceptions.NoSuchKey:
            return None
        except pkcs11.exceptions.MultipleObjectsReturned:
            pass
        raise AwayError(f"the token has several keys {label!r}", has_answered=True)

    def _seal(self, label: str, data_key: bytes, context: bytes) -> Sealed:
        key = self._key(label)
        iv = os.urandom(IV_BYTES[self._mode])
        data = key.encrypt(data_key, **_mechanism(self._mode, iv, context))
        if self._mode is Mode.CBC:
            return Sealed(Mode.CBC, iv, b"", data)
        return Sealed(Mode.GCM, iv, data[-TAG_BYTES:], data[:-TAG_BYTES])

    def _open(self, label: str, sealed: Sealed, context: bytes) -> bytes:
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415  # on first use

        key = self._key(label)
        try:
            data = key.decrypt(
                sealed.data + sealed.tag, **_mechanism(sealed.mode, sealed.iv, context)
            )
        except PKCS11Error as error:
            name = type(error).__name__
            if name not in _MAY_BE_DATA:
                raise
            self._seal(label, bytes(KEY_BYTES), context)  # raises where it is not the data
            raise refused(f"the token answers {name}, and uses the key for others") from None
        if len(data) != KEY_BYTES:
            raise refused("what the token opens is no data key")
        return bytes(data)

    def _create(self) -> str:
        import pkcs11  # noqa: PLC0415  # on first use

        session = self._opened_session()
        label = self._settings.key
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.Attribute.LABEL: label,
        }
        if next(iter(session.get_objects(wanted)), None) is not None:
            label = f"{label}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        session.generate_key(
            pkcs11.KeyType.AES,
            KEY_BYTES * 8,
            label=label,
            store=True,
            capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
            template={pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True},
        )
        return label


def make_hsm(settings: Pkcs11, file: str) -> HsmKeys:
    """The keeper that ``encryption.pkcs11`` describes. Raises ConfigError."""
    if find_spec("pkcs11") is None:
        reason = "needs python-pkcs11: pip install twofold[pkcs11]"
        raise ConfigError(file, "encryption.pkcs11", reason)
    return HsmKeys(settings)


def _mechanism(mode: Mode, iv: bytes, context: bytes) -> dict[str, Any]:
    import pkcs11  # noqa: PLC0415  # on first use

    if mode is Mode.CBC:
        return {"mechanism": pkcs11.Mechanism.AES_CBC_PAD, "mechanism_param": iv}
    parameters = pkcs11.GCMParams(iv, context, TAG_BYTES * 8)
    return {"mechanism": pkcs11.Mechanism.AES_GCM, "mechanism_param": parameters}


def _check(label: str) -> None:
    """Raises KMS.NotFoundException for what cannot be a label."""
    if not 1 <= len(label) <= _LABEL_CHARACTERS_MAX or not label.isprintable():
        raise not_found(label)
