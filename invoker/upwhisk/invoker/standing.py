"""Whether this node is a member of the fleet now, by its own clock, and what it may start. Pure.

The registry takes a node for dead when it has heard nothing for the lease; controllers then hand its work to others. So a
node counts the lease from the moment before each heartbeat that succeeded: while it runs, nobody can have given it up.
Once it has run out the node is another incarnation: it starts nothing that was handed to the former one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto

from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import ActivationId, incarnation_of, process_of
from upwhisk.common.messages import ActivationMessage

REMEMBERED = 50_000


class Take(Enum):
    """What to do with a hand-over. `RETURN`: handed to a former incarnation of this process, which never had it: nobody
    else would say that it will not start. `DROP`: it was had before, or is another process's."""

    RUN = auto()
    RETURN = auto()
    DROP = auto()


class Standing:
    """`now`: seconds that also pass while the machine is suspended. `process`: names this process, used once."""

    def __init__(self, lease_s: float, now: Callable[[], float], process: str) -> None:
        self._lease_s = lease_s
        self.now = now
        self._process = process
        self._memberships = 0
        self._until: float | None = None
        self._was_said = False
        self._open: set[tuple[ActivationId, int]] = set()
        self._finished: OrderedDict[tuple[ActivationId, int], None] = OrderedDict()
        self._changed: Callable[[], None] = lambda: None

    @property
    def incarnation(self) -> str:
        return incarnation_of(self._process, self._memberships)

    @property
    def is_member(self) -> bool:
        return self._until is not None and self.now() < self._until

    def on_change(self, notify: Callable[[], None]) -> None:
        """Called when it may have become a member, or another incarnation."""
        self._changed = notify

    def renewed(self, sent_at: float) -> None:
        """A heartbeat that was sent at `sent_at` has succeeded. If the lease ran out before that was known, the node may
        have been given up before it was heard: then only another incarnation can be a member."""
        if self._until is None or self.is_member:
            self._until = max(self._until or sent_at, sent_at + self._lease_s)
            self._changed()

    def lapse(self) -> bool:
        """Called before each heartbeat: if the node is no member, though it said before that it is there as this incarnation,
        it joins as another one: that may have been heard, and given up since. Whether it does."""
        lapses = self._was_said and not self.is_member
        if lapses:
            self._rejoin()
        self._was_said = True
        return lapses

    def resign(self) -> None:
        """Called before the node leaves: what it has not started by now, it will not."""
        self._rejoin()

    def _rejoin(self) -> None:
        self._memberships += 1
        self._until = None
        self._was_said = False
        self._changed()

    # -- hand-overs -------------------------------------------------------------------------------------------------

    def is_of_now(self, message: ActivationMessage | Unreadable) -> bool:
        return message.incarnation == self.incarnation

    def may_start(self, message: ActivationMessage) -> bool:
        return self.is_of_now(message) and self.is_member

    def take(self, message: ActivationMessage | Unreadable) -> Take:
        """`finished` is to be called at its end, unless it is to be dropped."""
        key = message.activation_id, message.dispatch
        if process_of(message.incarnation) != self._process or key in self._open or key in self._finished:
            return Take.DROP
        self._open.add(key)
        return Take.RUN if self.is_of_now(message) else Take.RETURN

    def finished(self, message: ActivationMessage | Unreadable) -> None:
        """How it ended is safe in the log of its controller."""
        key = message.activation_id, message.dispatch
        self._open.discard(key)
        self._finished[key] = None
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)
