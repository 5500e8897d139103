"""Whether this node is a member of the fleet now, by its own clock, and what it may start. Pure.

The registry takes a node for dead when it has heard nothing for the lease; controllers then hand its work to others. So a
node counts the lease from the moment before each heartbeat that succeeded: while it runs, nobody can have given it up.
Once it has run out the node is another incarnation: it starts nothing that was handed to the former one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage

REMEMBERED = 50_000


class Standing:
    """`now`: monotonic seconds that also pass while the machine is suspended. `name`: makes a new incarnation."""

    def __init__(self, lease_s: float, now: Callable[[], float], name: Callable[[], str]) -> None:
        self._lease_s = lease_s
        self.now = now
        self._name = name
        self._until = float("-inf")
        self._taken: OrderedDict[tuple[ActivationId, int], None] = OrderedDict()
        self.incarnation = name()

    def renewed(self, sent_at: float) -> None:
        """A heartbeat that was sent at `sent_at` has succeeded."""
        self._until = max(self._until, sent_at + self._lease_s)

    @property
    def is_member(self) -> bool:
        return self.now() < self._until

    def lapse(self) -> bool:
        """Called before each heartbeat: if the lease has run out, the node joins as another incarnation. Whether it does."""
        if self._until == float("-inf") or self.is_member:
            return False
        self.incarnation = self._name()
        self._until = float("-inf")
        self._taken.clear()
        return True

    def is_of_now(self, message: ActivationMessage) -> bool:
        return message.incarnation == self.incarnation

    def take(self, message: ActivationMessage) -> bool:
        """False for what another incarnation was to do, and for a hand-over that came before."""
        key = (message.activation_id, message.dispatch)
        if not self.is_of_now(message) or key in self._taken:
            return False
        self._taken[key] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return True

    def may_start(self, message: ActivationMessage) -> bool:
        return self.is_of_now(message) and self.is_member
