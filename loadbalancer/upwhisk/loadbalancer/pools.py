"""Sets of nodes in the order of their free memory, kept as sorted whole numbers. Pure.

A node's key is its free memory above its seat, so that the order of keys is the order by free memory and, among
equals, the higher seat first. Finding a place among 10,000 such numbers takes half a microsecond, moving one as long
again (they lie side by side in memory, which is what counts); sets whose order does not matter are whole numbers with one bit for each seat.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import TypeAlias

from upwhisk.loadbalancer.node import Node

SEATS = 1 << 20
LAST_SEAT = SEATS - 1
Keys: TypeAlias = "array[int]"
NO_KEYS: Keys = array("q")
_PIECE_BITS = 240
_PIECE = (1 << _PIECE_BITS) - 1


def seat_of(key: int) -> int:
    return LAST_SEAT - (key & LAST_SEAT)


def first_with(free_mb: int) -> int:
    """The lowest key of any node with so much memory free."""
    return free_mb * SEATS


def remove(keys: Keys, key: int) -> None:
    """It is there."""
    del keys[bisect_left(keys, key)]


class Pool:
    """Nodes that take work and have the same runtimes; `kinds` empty: any. `used_mb` and `budget_mb` are their sums."""

    __slots__ = ("budget_mb", "keys", "kinds", "mask", "used_mb")

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.keys: Keys = array("q")
        self.used_mb = 0
        self.budget_mb = 0
        self.mask = 0

    def serves(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds

    def add(self, node: Node) -> None:
        node.pool = self
        self.count(node)
        insort(self.keys, node.key)
        self.mask ^= 1 << node.seat

    def discard(self, node: Node) -> None:
        node.pool = None
        self.used_mb -= node.used_mb
        self.budget_mb -= node.budget_mb
        node.used_mb = node.budget_mb = 0
        remove(self.keys, node.key)
        self.mask ^= 1 << node.seat

    def move(self, node: Node) -> None:
        """Its book says something else than before."""
        old = node.key
        self.count(node)
        if node.key != old:
            remove(self.keys, old)
            insort(self.keys, node.key)

    def count(self, node: Node) -> None:
        """Take over what its book says; `keys` is put in order by the caller."""
        book = node.book
        used_mb, budget_mb = book.used_mb, book.budget_mb
        self.used_mb += used_mb - node.used_mb
        self.budget_mb += budget_mb - node.budget_mb
        node.used_mb, node.budget_mb = used_mb, budget_mb
        free_mb = node.free_mb = book.free_mb
        node.key = free_mb * SEATS + LAST_SEAT - node.seat


class Subset:
    """Some nodes, with the keys they had when they were added, by pool."""

    __slots__ = ("_keys", "_members", "mask")

    def __init__(self) -> None:
        self._keys: dict[Pool, Keys] = {}
        self._members: dict[Node, tuple[Pool, int]] = {}
        self.mask = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, node: Node) -> bool:
        return node in self._members

    def keys(self, pool: Pool) -> Keys:
        return self._keys.get(pool, NO_KEYS)

    def add(self, node: Node) -> None:
        """It is in a pool and not in here."""
        assert node.pool is not None
        self._members[node] = node.pool, node.key
        insort(self._keys.setdefault(node.pool, array("q")), node.key)
        self.mask ^= 1 << node.seat

    def discard(self, node: Node) -> None:
        found = self._members.pop(node, None)
        if found is None:
            return
        pool, key = found
        keys = self._keys[pool]
        remove(keys, key)
        if not keys:
            del self._keys[pool]
        self.mask ^= 1 << node.seat


class Fits:
    """For each size lately asked for, the nodes with so much memory free, as bits. At most `limit` sizes are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._masks: dict[int, int] = {}
        self._sizes: list[int] = []

    def mask(self, memory_mb: int, pools: dict[tuple[str, ...], Pool]) -> int:
        found = self._masks.pop(memory_mb, None)
        if found is None:
            found = _bits(key for pool in pools.values() for key in pool.keys[bisect_left(pool.keys, first_with(memory_mb)) :])
            insort(self._sizes, memory_mb)
        self._masks[memory_mb] = found  # the last one asked for is the last one to go
        if len(self._masks) > self._limit:
            eldest = next(iter(self._masks))
            del self._masks[eldest]
            self._sizes.remove(eldest)
        return found

    def moved(self, seat: int, old_mb: int, new_mb: int) -> None:
        """Its free memory changed; a negative one says that it takes no work."""
        if not self._sizes:
            return
        low, high = (old_mb, new_mb) if old_mb < new_mb else (new_mb, old_mb)
        for index in range(bisect_left(self._sizes, low + 1), bisect_left(self._sizes, high + 1)):
            self._masks[self._sizes[index]] ^= 1 << seat

    def clear(self) -> None:
        self._masks.clear()
        self._sizes.clear()


def _bits(keys: Iterator[int]) -> int:
    digits = bytearray()
    for key in keys:
        seat = seat_of(key)
        if seat >= len(digits):
            digits.extend(b"0" * (seat + 1 - len(digits)))
        digits[seat] = 49
    digits.reverse()
    return int(digits, 2) if digits else 0


def last_outside(keys: Keys, floor: int, inside: Keys) -> int | None:
    """The highest of `keys[floor:]` that is not in `inside`, which is a sorted part of them; None: all are."""
    low, high = 0, len(inside)
    while low < high:  # how many of the highest ones are inside
        middle = (low + high + 1) // 2
        if keys[-middle] == inside[-middle]:
            low = middle
        else:
            high = middle - 1
    index = len(keys) - 1 - low
    return keys[index] if index >= floor else None


def nth_outside(keys: Keys, floor: int, inside: Keys, nth: int) -> int | None:
    """The one of `keys[floor:]` not in `inside` that has `nth` such before it; None if there are not so many."""
    low, high = 0, len(inside)
    while low < high:  # how many of `inside` stand before it
        middle = (low + high) // 2
        before = bisect_left(keys, inside[middle], floor) - floor - middle
        if before <= nth:
            low = middle + 1
        else:
            high = middle
    index = floor + nth + low
    return keys[index] if index < len(keys) else None


def first_seats(mask: int, start: int, most: int) -> list[int]:
    """The first `most` set bits from `start` on, and round. Bits are picked from short pieces: to look at the whole of a
    long number for each costs a microsecond."""
    found: list[int] = []
    for part, at in ((mask >> start, start), (mask & ((1 << start) - 1), 0)):
        while part and len(found) < most:
            piece = part & _PIECE
            if not piece:
                empty = (part & -part).bit_length() - 1
                at += empty
                part >>= empty
                piece = part & _PIECE
            while piece and len(found) < most:
                lowest = piece & -piece
                found.append(at + lowest.bit_length() - 1)
                piece ^= lowest
            part >>= _PIECE_BITS
            at += _PIECE_BITS
    return found
