"""What is derived from a value that never changes, and remembered beside it. Pure.

Of classes whose instances have a ``__dict__`` (``msgspec.Struct`` with ``dict=True``) and are
changed by nobody. What is remembered is shared: whoever asks for it never changes it. What raises
is asked again. Two threads may both compute it, which is why it costs a fifth of what
``functools.cached_property`` does, which has a lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class derived(Generic[Value]):  # noqa: N801  # a decorator, as ``property`` is
    """A property that is computed when it is first asked for."""

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> Value:
        value = self._function(instance)
        # From now on it is found there, as this is no data descriptor.
        instance.__dict__[self._name] = value
        return value


def remembered(owner: Any, function: Callable[[Any], Value]) -> Value:
    """What a function of such a value gives: it is called once for each."""
    memory: dict[Any, Any] = owner.__dict__
    if function in memory:
        found: Value = memory[function]
        return found
    value = memory[function] = function(owner)
    return value
