"""A name and a user id for each guest, nobody else's while it lives."""

from __future__ import annotations

import os
import zlib

from upwhisk.common.errors import ContainerCreateFailed

_FIRST_UID = 1_879_048_192
_BLOCK = 4096
_BLOCKS = 65_535
"""Systemd's table of user ids leaves 1879048192 to 2147483647 unused; each instance takes one block of it."""


class Slot:
    """`uid` is 0 for ordinary users, who have no other id to give away: the kernel keeps their guests apart by
    namespaces alone."""

    def __init__(self, owner: Slots, number: int, uid: int) -> None:
        self.name = f"{number:x}"
        self.uid = uid
        self._number = number
        self._owner = owner

    def release(self) -> None:
        self._owner.give_back(self._number)


class Slots:
    def __init__(self, instance: str) -> None:
        block = zlib.crc32(instance.encode()) % _BLOCKS
        self._first_uid = _FIRST_UID + block * _BLOCK
        self._taken: set[int] = set()
        self._last = 0

    def take(self) -> Slot:
        """Whoever takes a slot releases it."""
        if len(self._taken) >= _BLOCK - 1:
            raise ContainerCreateFailed(f"this node runs {_BLOCK - 1} guests already")
        self._last = self._last % (_BLOCK - 1) + 1
        while self._last in self._taken:
            self._last = self._last % (_BLOCK - 1) + 1
        self._taken.add(self._last)
        return Slot(self, self._last, self._first_uid + self._last if os.geteuid() == 0 else 0)

    def give_back(self, number: int) -> None:
        self._taken.discard(number)
