"""All work that a balancer answers for, by id: in line, on a node, or about to be ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from upwhisk.common.ids import ActivationId
from upwhisk.loadbalancer.pending import Pending, Phase, Stopping


class UnderWay:
    """`elsewhere`: called with work of which nothing is done when we stop, where other controllers can be asked; None: there are
    none."""

    def __init__(self) -> None:
        self._by_id: dict[ActivationId, Pending] = {}
        self.elsewhere: Callable[[Pending], None] | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Pending]:
        """Over a copy: work may end meanwhile."""
        return iter(list(self._by_id.values()))

    def add(self, pending: Pending) -> None:
        self._by_id[pending.message.activation_id] = pending

    def drop(self, pending: Pending) -> None:
        self._by_id.pop(pending.message.activation_id, None)

    def find(self, id: ActivationId) -> Pending | None:
        return self._by_id.get(id)

    def ids(self) -> list[ActivationId]:
        return list(self._by_id)

    def holds(self, pending: Pending) -> bool:
        """Whether it is under way still, and not another life of the same id."""
        return self.find(pending.message.activation_id) is pending

    def handed_to(self, node: str) -> list[Pending]:
        return [p for p in self._by_id.values() if p.phase is Phase.HANDED and p.message.node == node]

    def release_waiting(self) -> None:
        """Tell every blocking caller whose work has no permit yet that the platform stops (`Stopping`), or that another
        controller may be asked."""
        for pending in self:
            if pending.phase is not Phase.QUEUED:
                continue
            if self.elsewhere is not None and pending.is_untouched:
                self.elsewhere(pending)
            else:
                pending.fail(Stopping())

    async def wait_answered(self, timeout_s: float) -> bool:
        """Wait for the outcomes of what nodes run for blocking callers; whether all came."""
        waited = [p.done for p in self if p.message.blocking and p.phase is Phase.HANDED]
        if not waited:
            return True
        _, late = await asyncio.wait(waited, timeout=timeout_s)
        return not late
