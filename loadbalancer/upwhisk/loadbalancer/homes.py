"""Home node and probing order by hash. Pure.

OpenWhisk's scheme (`ShardingContainerPoolBalancer`): the home of an action is its hash modulo the number of nodes;
from there nodes are probed with a step that is coprime to their number, so that every node is reached and two
actions with one home part ways.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from math import isqrt


def java_hash(text: str) -> int:
    """`String.hashCode` of Java: 32 bits with a sign, over UTF-16 units."""
    value = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + low + 256 * high) & 0xFFFFFFFF
    return value - 0x100000000 if value >= 0x80000000 else value


@lru_cache(maxsize=8192)
def hash_of(namespace: str, document_id: str) -> int:
    """`document_id` is the action's name with its path, without the version."""
    return abs(java_hash(namespace) ^ java_hash(document_id))


@lru_cache(maxsize=64)
def steps(count: int) -> tuple[int, ...]:
    """Numbers from 1 to `count`, coprime to it and to one another, smallest first: 1 and the primes that do not divide
    it, for a composite number shares a factor with a smaller one of them."""
    return (1, *(prime for prime in _primes(count) if count % prime))


def _primes(count: int) -> list[int]:
    """Those below `count`."""
    sieve = _sieve(1 << max(4, count.bit_length()))
    return sieve[: bisect_left(sieve, count)]


@lru_cache(maxsize=4)
def _sieve(count: int) -> list[int]:
    is_prime = bytearray(b"\x00\x00" + b"\x01" * (count - 2))
    for number in range(2, isqrt(count) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, count, number)))
    return [number for number in range(count) if is_prime[number]]


def walk(hash_: int, count: int) -> tuple[int, int]:
    """Home and step among `count` nodes."""
    possible = steps(count)
    return hash_ % count, possible[hash_ % len(possible)]


def probe_order(hash_: int, count: int) -> Iterator[int]:
    """Every index below `count` once, beginning at the home."""
    if count == 0:
        return
    index, step = walk(hash_, count)
    for _ in range(count):
        yield index
        index = (index + step) % count
