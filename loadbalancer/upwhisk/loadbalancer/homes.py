"""Home node and probing order by hash. Pure.

OpenWhisk's scheme (`ShardingContainerPoolBalancer`): the home of an action is its hash modulo the number of nodes;
from there nodes are probed with a step that is coprime to their number, so that every node is reached and two
actions with one home part ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from zlib import crc32


def hash_of(namespace: str, document_id: str) -> int:
    return crc32(namespace.encode()) ^ crc32(document_id.encode())


@lru_cache(maxsize=64)
def steps(count: int) -> tuple[int, ...]:
    """Numbers from 1 to `count`, coprime to it and to one another, smallest first."""
    chosen: list[int] = []
    for candidate in range(1, count + 1):
        if gcd(candidate, count) == 1 and all(gcd(candidate, other) == 1 for other in chosen):
            chosen.append(candidate)
    return tuple(chosen) or (1,)


def probe_order(hash_: int, count: int) -> Iterator[int]:
    """Every index below `count` once, beginning at the home."""
    if count == 0:
        return
    possible = steps(count)
    step = possible[hash_ % len(possible)]
    index = hash_ % count
    for _ in range(count):
        yield index
        index = (index + step) % count
