"""May this action run for this caller, with this payload? One answer for calls, fired rules and components."""

from __future__ import annotations

import contextlib
from typing import Any

from upwhisk.common.errors import BadRequest, Conflict, NotYetAvailable
from upwhisk.common.model.action import BLACKBOX, SEQUENCE
from upwhisk.common.model.identity import UNLIMITED, Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.names import EntityName
from upwhisk.controller.accept import check_final
from upwhisk.controller.catalog import Catalog, ResolvedAction
from upwhisk.controller.entities.action_limits import check_limits
from upwhisk.controller.entities.executable import check_kind_usable
from upwhisk.controller.entitlement import check_action, check_kind
from upwhisk.controller.kinds import KindsPort
from upwhisk.controller.sequence_length import See, SequenceLength, TooLong

_NO_RUNTIME = frozenset({SEQUENCE, BLACKBOX})


class Admission:
    """What has to hold before an action runs. Nothing is accepted here, and nothing counted."""

    def __init__(self, catalog: Catalog, kinds: KindsPort, limits: SystemLimits) -> None:
        self._catalog = catalog
        self._kinds = kinds
        self._limits = limits

    async def check(self, identity: Identity, action: ResolvedAction, payload: Any) -> None:
        """`HttpError`: it must not run. A sequence may run if each of its components may, at any depth."""
        self.check_step(identity, action, payload)
        if action.is_sequence:
            await self._check_components(identity, action)

    def check_step(self, identity: Identity, action: ResolvedAction, payload: Any) -> None:
        """As `check`, of the action alone: components are checked again when their turn comes."""
        check_action(identity, action.name, action)
        if type(payload) is dict:
            check_final(action, payload)
        if action.conductor:
            raise NotYetAvailable("The conductor annotation (compositions)")
        kind = action.action.exec.kind
        check_kind(identity, kind)
        if kind not in _NO_RUNTIME:
            check_kind_usable(kind, self._kinds)

    def limits_problem(self, identity: Identity, action: ResolvedAction) -> str | None:
        """Limits that were allowed when the action was stored may not be any more: such work ends with this text."""
        limits = identity.limits
        if action.is_sequence or limits is UNLIMITED or limits == UNLIMITED:
            return None
        try:
            check_limits(action.action.limits, limits, self._limits)
        except BadRequest as refused:
            return refused.text
        return None

    async def steps(self, action: ResolvedAction) -> int:
        """How many actions it runs, those of nested sequences counted one by one; beyond the longest sequence that is allowed
        (also if it holds itself) just one more than that."""
        if not action.is_sequence:
            return 1
        try:
            return await self._length().of(action.components, (action.name,))
        except TooLong:
            return self._limits.sequence_length + 1

    async def _check_components(self, identity: Identity, sequence: ResolvedAction) -> None:
        def see(name: EntityName, component: ResolvedAction | None) -> None:
            if component is None:  # it ends the sequence when its turn comes
                check_action(identity, name, None)
            else:
                self.check_step(identity, component, None)

        with contextlib.suppress(TooLong):  # likewise
            await self._length(see).of(sequence.components, (sequence.name,))

    def _length(self, see: See = lambda name, component: None) -> SequenceLength:
        return SequenceLength(self._component, self._limits.sequence_length, see)

    async def _component(self, name: EntityName) -> ResolvedAction | None:
        try:
            return await self._catalog.resolve(name)
        except Conflict:
            return None
