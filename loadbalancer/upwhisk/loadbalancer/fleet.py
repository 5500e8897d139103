"""All nodes as placement asks for them, kept up as books and reports change. Pure.

Nothing is computed when a permit is taken or returned but that the book changed; the next decision brings what depends
on it up to date. `docs/placement.md` says what is kept, and why a decision costs the same for ten nodes and ten thousand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import attrgetter

from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import Key, NodeBook
from upwhisk.loadbalancer.node import Node
from upwhisk.loadbalancer.pools import Fits, Pool
from upwhisk.loadbalancer.sharing import Shared, Shut
from upwhisk.loadbalancer.trail import Trail

_id_of = attrgetter("node")
_TAKES_NONE_MB = -(1 << 40)
"""Stands for the free memory of a node that takes no work."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a decision looks. `probes`: nodes that `warm` tries from the home on. `choices`: warm nodes it compares.
    `named`: refusals with the node's name. `scanned`: nodes looked at for these, at least as many. `trail_after`: probes after which an
    action gets a trail, `trails` how many have one. `sizes`: memory sizes for which the nodes that fit are kept. `bulk`:
    changed books from which on the pools are sorted anew."""

    probes: int = 32
    choices: int = 4
    named: int = 20
    scanned: int = 64
    trail_after: int = 16
    trails: int = 64
    sizes: int = 32
    bulk: int = 256


_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """The pools that have a runtime, and those that lack it, each in the order of their kinds."""

    pools: tuple[Pool, ...]
    others: tuple[Pool, ...]
    members: frozenset[Pool]


class Fleet:
    def __init__(self, bounds: Bounds = _BOUNDS) -> None:
        self.bounds = bounds
        self.nodes: list[Node] = []
        """Ordered by id."""
        self.by_id: dict[str, Node] = {}
        self.seats: list[Node | None] = []
        self.ids: list[str] = []
        """By seat; of a vacant one whoever sat there last."""
        self.pools: dict[tuple[str, ...], Pool] = {}
        self.refusing: dict[NodeState, list[tuple[str, str]]] = {state: [] for state in NodeState}
        """Nodes that take no work for their state, by id, with the explanation."""
        self.warm: dict[str, int] = {}
        """Key of an action as nodes report it -> bits of the seats that hold warm containers for it."""
        self.fits = Fits(bounds.sizes)
        self.shut = Shut(bounds.sizes)
        self.shared: dict[Key, Shared] = {}
        self.trails: dict[tuple[Key, int], Trail] = {}
        self.log: list[Node] = []
        """Nodes that changed since there are trails."""
        self._vacant: list[int] = []
        self._serving: dict[str, Serving] = {}
        self._dirty: list[NodeBook] = []
        self._placed = False

    # -- members --------------------------------------------------------------------------------------------------

    def put(self, report: NodeReport, book: NodeBook, state: NodeState, reason: str) -> None:
        """A node joined, or something about it is new."""
        node = self.by_id.get(report.node)
        if node is None:
            node = self._join(report, book)
        else:
            self._tell_warm(node, report.warm)
            before, node.report = node.report, report
            if node.state is state and before.kinds == report.kinds:
                self._explain(node, reason)
                return
            self._withdraw(node)
        node.judge(state, reason)
        self._offer(node)
        if self.trails:
            self._changed(node)

    def remove(self, id: str) -> None:
        node = self.by_id.pop(id)
        self._withdraw(node)
        self._tell_warm(node, ())
        node.book.sink = None
        self.seats[node.seat] = None
        heappush(self._vacant, node.seat)
        del self.nodes[bisect_left(self.nodes, id, key=_id_of)]
        self._renumber()

    def _join(self, report: NodeReport, book: NodeBook) -> Node:
        seat = heappop(self._vacant) if self._vacant else len(self.seats)
        node = self.by_id[report.node] = Node(report, book, seat)
        if seat == len(self.seats):
            self.seats.append(node)
            self.ids.append(node.node)
        else:
            self.seats[seat], self.ids[seat] = node, node.node
        book.sink = self._dirty
        if not self.nodes or self.nodes[-1].node < report.node:
            self.nodes.append(node)
        else:
            insort(self.nodes, node, key=_id_of)
        self._tell_warm(node, report.warm, known=False)
        self._renumber()
        return node

    def _renumber(self) -> None:
        """Homes and probing orders are others now."""
        self._placed = False
        self.trails.clear()
        self.log.clear()

    def _tell_warm(self, node: Node, warm: tuple[str, ...], *, known: bool = True) -> None:
        before = node.report.warm if known else ()
        if before == warm:
            return
        for key in {*before} ^ {*warm}:
            mask = self.warm.get(key, 0) ^ (1 << node.seat)
            if mask:
                self.warm[key] = mask
            else:
                del self.warm[key]

    # -- what takes work ------------------------------------------------------------------------------------------

    def _offer(self, node: Node) -> None:
        if node.state is not NodeState.HEALTHY:
            insort(self.refusing[node.state], (node.node, node.text))
            return
        kinds = tuple(sorted(node.report.kinds))
        pool = self.pools.get(kinds)
        if pool is None:
            pool = self.pools[kinds] = Pool(kinds)
            self._serving.clear()
        pool.add(node)
        self.fits.moved(node.seat, _TAKES_NONE_MB, node.free_mb)
        self._tell_parts(node, node.book.shared())

    def _explain(self, node: Node, reason: str) -> None:
        """The state is the same, for another reason."""
        before = node.node, node.text
        node.judge(node.state, reason)
        if node.pool is None:
            texts = self.refusing[node.state]
            texts[bisect_left(texts, before)] = node.node, node.text

    def _withdraw(self, node: Node) -> None:
        pool = node.pool
        if pool is None:
            texts = self.refusing[node.state]
            del texts[bisect_left(texts, (node.node, node.text))]
            return
        self.fits.moved(node.seat, node.free_mb, _TAKES_NONE_MB)
        pool.discard(node)
        if not pool.keys:
            del self.pools[pool.kinds]
            self._serving.clear()
        self._tell_parts(node, {})

    def _tell_parts(self, node: Node, changed: dict[Key, Demand]) -> None:
        """What namespaces and shared containers make of a node whose book or pool is another."""
        is_heavy = bool(node.heavy or node.book.heavy)
        if is_heavy:
            self.shut.tell(node)
        if not changed and not node.open:
            return
        for key, demand in changed.items():
            self._tell_shared(key, demand, node)
        for key in [
            key
            for key, spot in node.open.items()
            if is_heavy or node.pool is None or (spot.memory_mb > node.free_mb) is (spot.refused is None)
        ]:
            self._tell_shared(key, self.shared[key].demand, node)

    def _tell_shared(self, key: Key, demand: Demand, node: Node) -> None:
        shared = self.shared.get(key)
        if shared is None:
            shared = self.shared[key] = Shared(key, demand)
        shared.tell(node)
        if not shared.spots:
            del self.shared[key]

    # -- changes of books -----------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Bring everything up to date with the books that changed since."""
        if not self._dirty:
            return
        bulk = len(self._dirty) > self.bounds.bulk
        if bulk:
            self.fits.clear()
        for book in self._dirty:
            node = self.by_id.get(book.node)
            if node is not None and node.book is book:
                self._refresh(node, bulk)
            book.clean()
        self._dirty.clear()
        if bulk:
            self._sort()

    def _refresh(self, node: Node, bulk: bool) -> None:
        pool = node.pool
        if pool is not None:
            before = node.free_mb
            if bulk:
                pool.count(node)
            else:
                pool.move(node)
                self.fits.moved(node.seat, before, node.free_mb)
            self._tell_parts(node, node.book.changed)
        if self.trails:
            self._changed(node)

    def _sort(self) -> None:
        keys: dict[Pool, list[int]] = {pool: [] for pool in self.pools.values()}
        for node in self.nodes:
            if node.pool is not None:
                keys[node.pool].append(node.key)
        for pool, own in keys.items():
            own.sort()
            pool.keys = array("q", own)

    def _changed(self, node: Node) -> None:
        self.log.append(node)
        if len(self.log) > 4 * len(self.nodes):
            self.trails.clear()
            self.log.clear()

    # -- what decisions ask ---------------------------------------------------------------------------------------

    def serving(self, kind: str) -> Serving:
        found = self._serving.get(kind)
        if found is None:
            ordered = [self.pools[kinds] for kinds in sorted(self.pools)]
            pools = tuple(pool for pool in ordered if pool.serves(kind))
            others = tuple(pool for pool in ordered if not pool.serves(kind))
            found = self._serving[kind] = Serving(pools, others, frozenset(pools))
        return found

    def trail(self, key: tuple[Key, int], home: int, step: int) -> Trail:
        """A new one; the eldest goes if there are too many."""
        if not self._placed:
            for place, node in enumerate(self.nodes):
                node.place = place
            self._placed = True
        if len(self.trails) >= self.bounds.trails:
            del self.trails[next(iter(self.trails))]
        made = self.trails[key] = Trail(home, step, len(self.nodes), len(self.log))
        return made
