"""What a controller appends in one turn of its event loop, parted into bundles that the bus takes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from upwhisk.common.ids import ControllerId
from upwhisk.common.messages import Bundle, Entry, encode_message

BUNDLE_BYTES = 1024 * 1024
"""Several calls make no larger bundle than this; a larger one goes alone."""

D = TypeVar("D")


@dataclass(frozen=True, slots=True, eq=False)
class Part(Generic[D]):
    """The entries of one call, and whom it concerns. `with_next`: it goes in one bundle with what was appended after it."""

    entries: list[Entry]
    done: D
    with_next: bool = False


def size_of(entries: Sequence[Entry]) -> int:
    """Bytes that they have on the bus."""
    return len(encode_message(Bundle(owner=ControllerId(""), number=0, entries=tuple(entries))))


def parted(
    parts: Sequence[Part[D]], limit: int, size: Callable[[Sequence[Entry]], int] = size_of
) -> Iterator[list[Part[D]]]:
    """The parts of each bundle, in order."""
    groups = list(_groups(parts))
    if len(groups) == 1:
        yield groups[0]
        return
    bundle: list[Part[D]] = []
    held = 0
    for group in groups:
        weight = sum(size(part.entries) for part in group)
        if bundle and held + weight > limit:
            yield bundle
            bundle, held = [], 0
        bundle += group
        held += weight
    if bundle:
        yield bundle


def _groups(parts: Sequence[Part[D]]) -> Iterator[list[Part[D]]]:
    group: list[Part[D]] = []
    for part in parts:
        group.append(part)
        if not part.with_next:
            yield group
            group = []
    if group:
        yield group
