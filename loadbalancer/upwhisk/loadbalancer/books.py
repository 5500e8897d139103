"""What one controller has booked on each node, as permits that are returned exactly once. Pure."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.common.messages import ActivationMessage, Demand

Key = tuple[str, str, str]
"""Namespace, document id and revision: activations that may share a container. All of one key have one demand."""

NO_PERMIT = "no permit free"
AT_SHARE = "namespace holds its share"


def key_of(message: ActivationMessage) -> Key:
    return message.namespace, message.action.document_id, message.action.revision


class Permit:
    """The right to run one activation on one node. `release` may be called more than once; once counts."""

    __slots__ = ("_book", "_demand", "_key", "_released")

    def __init__(self, book: NodeBook, key: Key, demand: Demand) -> None:
        self._book = book
        self._key = key
        self._demand = demand
        self._released = False

    @property
    def node(self) -> str:
        return self._book.node

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._book.give_back(self._key, self._demand)


class NodeBook:
    """One controller's part of one node's memory, MB.

    `memory_mb` is the node's, `budget_mb` an equal part of it for each of `controllers`; a node this controller has
    nothing on takes one container of any size that the node has memory for, so that small nodes of many controllers
    are of use. A budget that shrinks below `used_mb` refuses until enough permits are back.

    Activations of one action share a container up to their concurrency, which books its memory once. One namespace may
    hold at most `share` of the budget, so that a burst of one leaves room for others; a budget too small for that is
    shared first come, first served.

    Who keeps figures over many books sets `sink`: a book that changes puts itself there, once until `clean`.
    `on_take` is called before `take` gives a permit.
    """

    __slots__ = (
        "_by_namespace",
        "_heavy_mb",
        "_limit",
        "_reserve",
        "_share",
        "_shared",
        "budget_mb",
        "changed",
        "controllers",
        "dirty",
        "heavy",
        "memory_mb",
        "node",
        "on_take",
        "permits",
        "sink",
        "used_mb",
    )

    def __init__(self, node: str, memory_mb: int, *, share: float = 0.875, controllers: int = 1) -> None:
        self.node = node
        self.used_mb = 0
        self.permits = 0
        self.dirty = False
        self.sink: list[NodeBook] | None = None
        self.changed: dict[Key, Demand] = {}
        """Actions with a concurrency above 1 whose containers changed since `clean`."""
        self.heavy: set[str] = set()
        """Namespaces that hold so much that `at_share` may be true of them."""
        self.on_take: Callable[[], None] | None = None
        self._share = share
        self._by_namespace: dict[str, int] = {}
        self._shared: dict[Key, tuple[Demand, list[int]]] = {}
        self.resize(memory_mb, controllers)

    def resize(self, memory_mb: int, controllers: int) -> None:
        """Other figures of the node, or another number of controllers that share it."""
        self.memory_mb = memory_mb
        self.controllers = controllers
        self.budget_mb = memory_mb // controllers
        self._limit = self.budget_mb * self._share
        self._reserve = self.budget_mb - self._limit
        self._heavy_mb = self._limit - self._reserve
        self.heavy = {namespace for namespace, held in self._by_namespace.items() if held > self._heavy_mb}
        self._mark()

    @property
    def free_mb(self) -> int:
        """The largest container there is room for; negative while more is booked than the budget."""
        return self.budget_mb - self.used_mb if self.used_mb else self.memory_mb

    # -- may it? --------------------------------------------------------------------------------------------------

    def refusal(self, key: Key, demand: Demand) -> str | None:
        """Why `take` would refuse, or None."""
        return self._refused(key[0], self._needed(key, demand))

    def refusal_of_new(self, key: Key, demand: Demand) -> str | None:
        """The same if it had to be a container of its own."""
        return self._refused(key[0], demand.memory_mb)

    def _refused(self, namespace: str, needed: int) -> str | None:
        if needed == 0:
            return None
        if needed > self.free_mb:
            return NO_PERMIT
        return AT_SHARE if self.at_share(namespace, needed) else None

    def at_share(self, namespace: str, needed: int) -> bool:
        """Its share alone keeps `namespace` from `needed` MB more."""
        mine = self._by_namespace.get(namespace, 0)
        return mine > 0 and mine + needed > self._limit and self._reserve >= needed

    def open_slots(self, key: Key) -> int | None:
        """How many activations of `key` run in its containers, if one of these can take another; else None."""
        shared = self._shared.get(key)
        if shared is None:
            return None
        demand, (running, containers) = shared
        return running if running < containers * demand.concurrency else None

    def shared(self) -> dict[Key, Demand]:
        """Actions with a concurrency above 1 that have containers here."""
        return {key: demand for key, (demand, _) in self._shared.items()}

    # -- permits --------------------------------------------------------------------------------------------------

    def take(self, key: Key, demand: Demand) -> Permit | None:
        needed = self._needed(key, demand)
        if self._refused(key[0], needed) is not None:
            return None
        if self.on_take is not None:
            self.on_take()
        return self._permit(key, demand, needed)

    def force(self, key: Key, demand: Demand) -> Permit:
        """A permit for work that is on the node already, whatever the books say: its controller died."""
        return self._permit(key, demand, self._needed(key, demand))

    def _permit(self, key: Key, demand: Demand, needed: int) -> Permit:
        self.permits += 1
        if needed:
            self._book(key[0], needed)
        if demand.concurrency > 1:
            entry = self._shared.setdefault(key, (demand, [0, 0]))[1]
            entry[0] += 1
            entry[1] += 1 if needed else 0
            self.changed[key] = demand
        self._mark()
        return Permit(self, key, demand)

    def give_back(self, key: Key, demand: Demand) -> None:
        """Called by permits only."""
        self.permits -= 1
        if demand.concurrency == 1:
            self._book(key[0], -demand.memory_mb)
        else:
            entry = self._shared[key][1]
            entry[0] -= 1
            if entry[0] <= (entry[1] - 1) * demand.concurrency:
                entry[1] -= 1
                self._book(key[0], -demand.memory_mb)
            if entry[0] == 0:
                del self._shared[key]
            self.changed[key] = demand
        self._mark()

    def _needed(self, key: Key, demand: Demand) -> int:
        shared = self._shared.get(key) if demand.concurrency > 1 else None
        if shared is not None and shared[1][0] < shared[1][1] * demand.concurrency:
            return 0
        return demand.memory_mb

    def _book(self, namespace: str, memory_mb: int) -> None:
        self.used_mb += memory_mb
        held = self._by_namespace.get(namespace, 0) + memory_mb
        if held:
            self._by_namespace[namespace] = held
        else:
            del self._by_namespace[namespace]
        if held > self._heavy_mb and held:
            self.heavy.add(namespace)
        elif self.heavy:
            self.heavy.discard(namespace)

    # -- for those who keep figures over many books ---------------------------------------------------------------

    def _mark(self) -> None:
        if self.sink is not None and not self.dirty:
            self.dirty = True
            self.sink.append(self)

    def clean(self) -> None:
        self.dirty = False
        self.changed.clear()
