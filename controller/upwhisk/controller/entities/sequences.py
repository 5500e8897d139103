"""Checks of a sequence's components when it is created or updated."""

from __future__ import annotations

from upwhisk.common.errors import BadRequest
from upwhisk.common.model.identity import Identity
from upwhisk.common.names import EntityName, parse_reference
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.entitlement import check_action
from upwhisk.controller.resolved import ResolvedAction
from upwhisk.controller.sequence_length import TOO_MANY, SequenceLength, TooLong


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
            raise TooLong(TOO_MANY)

        def see(component: EntityName, found: ResolvedAction | None) -> None:
            check_action(identity, component, found)
            if found is None:
                raise BadRequest("Sequence component does not exist.")

        names = [parse_reference(component, identity.namespace) for component in components]
        await SequenceLength(self._catalog.resolve, self._longest, see).of(names, (name,))
