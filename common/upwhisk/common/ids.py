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
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab"


def new_activation_id() -> ActivationId:
    return ActivationId(os.urandom(16).hex())


def new_transaction_id() -> TransactionId:
    return TransactionId("".join([_ALPHABET[b & 63] for b in os.urandom(32)]))


def new_instance_id() -> InstanceId:
    return InstanceId(os.urandom(4).hex())


def incarnation_of(process: str, number: int) -> str:
    """A node's name for one membership: of its process, and how often that joined anew before."""
    return f"{process}.{number}"


def process_of(incarnation: str) -> str:
    return incarnation.partition(".")[0]


def is_activation_id(text: str) -> bool:
    return _ACTIVATION_ID.match(text) is not None
