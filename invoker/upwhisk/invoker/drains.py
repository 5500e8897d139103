"""Whether this node is to take no new work: because it stops, or because an operator said so.

An operator's word is a flag of the registry, so it outlives the node and its operator: a node that starts again under a
drain drains on.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.drain import Drain, drain_flag
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry


class Drains:
    """`open_count`: how many activations the node has. `end_running(why)`: end them, as the deadline has
    passed; `end_running("")`: the drain is lifted."""

    def __init__(
        self,
        registry: NodeRegistry,
        node: NodeId,
        clock: Clock,
        open_count: Callable[[], int],
        end_running: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._node = node
        self._clock = clock
        self._open_count = open_count
        self._end_running = end_running
        self._drain: Drain | None = None
        self._ended = False
        self.stopping = False

    async def look(self) -> None:
        """`UpwhiskError` if the flag cannot be read; the deadline of the drain that was read last counts all the same."""
        try:
            text = await self._registry.flag(drain_flag(self._node))
            self._drain = _read(text) if text is not None else None
        finally:
            self._judge()

    def _judge(self) -> None:
        if self._drain is None:
            if self._ended and not self.stopping:
                self._ended = False
                self._end_running("")
        elif not self._ended and self._drain.is_over(self._clock.now_ms()) and self._open_count():
            self._ended = True
            what = f"drained ({self._drain.reason})" if self._drain.reason else "drained"
            self._end_running(f"node '{self._node}' was {what} and the drain's deadline had passed")

    @property
    def reason(self) -> str | None:
        """Why it takes no new work, None if it does."""
        if self.stopping:
            return "the node is stopping"
        if self._drain is None:
            return None
        left = self._open_count()
        state = f"{left} activations left" if left else "drained"
        return f"{self._drain.reason}: {state}" if self._drain.reason else state


def _read(text: str) -> Drain:
    try:
        return msgspec.json.decode(text, type=Drain)
    except msgspec.DecodeError:
        return Drain(reason="drained by an unreadable flag")
