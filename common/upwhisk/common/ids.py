"""Identifiers as types of their own, so that one cannot be passed for another."""

from __future__ import annotations

import os
import re
from typing import NewType

ActivationId = NewType("ActivationId", str)
"""32 lower-case hexadecimal digits."""
TransactionId = NewType("TransactionId", str)
"""The id of one API request; any printable text a caller sends, else 32 random letters and digits."""
NodeId = NewType("NodeId", str)
ControllerId = NewType("ControllerId", str)
InstanceId = NewType("InstanceId", str)
"""Names one run of one invoker: cgroups, namespaces, rules and labels carry it."""

_ACTIVATION_ID = re.compile(r"\A[0-9a-f]{32}\Z")
_ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab"
_LETTERS = bytes(_ALPHABET[byte & 63] for byte in range(256))


class _Entropy:
    """The kernel's random bytes, fetched many at a time: a call of it costs as much as all else of an id."""

    def __init__(self) -> None:
        self._left = b""
        os.register_at_fork(after_in_child=self._forget)

    def take(self, size: int) -> bytes:
        if len(self._left) < size:
            self._left = os.urandom(4096)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _forget(self) -> None:
        self._left = b""


_entropy = _Entropy()


def new_activation_id() -> ActivationId:
    return ActivationId(_entropy.take(16).hex())


def new_transaction_id() -> TransactionId:
    return TransactionId(_entropy.take(32).translate(_LETTERS).decode("ascii"))


def new_traceparent() -> str:
    """A trace that begins here, sampled: its hops are in the record. Source: W3C Trace Context, section 3.2.2."""
    drawn = _entropy.take(24).hex()
    return f"00-{drawn[:32]}-{drawn[32:]}-01"


def new_instance_id() -> InstanceId:
    return InstanceId(os.urandom(4).hex())


def incarnation_of(process: str, number: int) -> str:
    """A node's name for one membership: of its process, and how often that joined anew before."""
    return f"{process}.{number}"


def process_of(incarnation: str) -> str:
    return incarnation.partition(".")[0]


def is_activation_id(text: str) -> bool:
    return _ACTIVATION_ID.match(text) is not None
