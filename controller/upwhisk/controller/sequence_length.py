"""How many actions a sequence runs, those of nested sequences counted one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from upwhisk.common.errors import BadRequest
from upwhisk.common.names import EntityName
from upwhisk.controller.resolved import ResolvedAction

TOO_MANY = "Too many actions in the sequence."
CYCLE = "Sequence may not refer to itself."
Resolve = Callable[[EntityName], Awaitable[ResolvedAction | None]]
See = Callable[[EntityName, ResolvedAction | None], None]


class TooLong(BadRequest):
    """It has more actions than are allowed, or holds itself."""


class SequenceLength:
    """`longest`: actions that are allowed. `see` is called with each component that is met, and may raise."""

    def __init__(self, resolve: Resolve, longest: int, see: See = lambda name, component: None) -> None:
        self._resolve = resolve
        self._longest = longest
        self._see = see

    async def of(self, components: Iterable[EntityName], above: tuple[EntityName, ...]) -> int:
        """`above`: the sequences that these stand in. `TooLong` as soon as they are too many, or one holds itself."""
        length = 0
        for name in components:
            length += await self._of_one(name, above)
            if length > self._longest:
                raise TooLong(TOO_MANY)
        return length

    async def _of_one(self, name: EntityName, above: tuple[EntityName, ...]) -> int:
        if name in above:
            raise TooLong(CYCLE)
        if len(above) > self._longest:
            raise TooLong(TOO_MANY)
        component = await self._resolve(name)
        self._see(name, component)
        if component is None or not component.is_sequence:
            return 1
        return await self.of(component.components, (*above, name))
