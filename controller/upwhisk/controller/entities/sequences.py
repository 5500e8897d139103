"""Checks of a sequence's components when it is created or updated."""

from __future__ import annotations

from upwhisk.common.errors import BadRequest
from upwhisk.common.model.identity import Identity
from upwhisk.common.names import EntityName, parse_reference
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.entitlement import check_action

TOO_MANY = "Too many actions in the sequence."
CYCLE = "Sequence may not refer to itself."


class SequenceChecker:
    """`longest`: components allowed after nested sequences are flattened."""

    def __init__(self, catalog: Catalog, longest: int) -> None:
        self._catalog = catalog
        self._longest = longest

    async def check(self, identity: Identity, name: EntityName, components: tuple[str, ...]) -> None:
        """`BadRequest` for a sequence that cannot be, `NotAuthorized` for a component the caller may not read."""
        if not components:
            raise BadRequest("No component specified for the sequence.")
        if len(components) > self._longest:
            raise BadRequest(TOO_MANY)
        lengths: dict[EntityName, int] = {}
        total = 0
        for component in components:
            total += await self._length(
                identity, parse_reference(component, identity.namespace), (name,), lengths
            )
            if total > self._longest:
                raise BadRequest(TOO_MANY)

    async def _length(
        self,
        identity: Identity,
        component: EntityName,
        above: tuple[EntityName, ...],
        lengths: dict[EntityName, int],
    ) -> int:
        """Actions in `component` after flattening; `above` are the sequences it stands in."""
        if component in above:
            raise BadRequest(CYCLE)
        if component in lengths:
            return lengths[component]
        if len(above) > self._longest:
            raise BadRequest(TOO_MANY)
        resolved = await self._catalog.resolve(component)
        check_action(identity, component, resolved)
        if resolved is None:
            raise BadRequest("Sequence component does not exist.")
        length = 1
        if resolved.is_sequence:
            parts = [
                await self._length(identity, c, (*above, component), lengths) for c in resolved.components
            ]
            length = sum(parts)
        lengths[component] = length
        return length
