"""A caller who does what the proxy before a fleet does: where one controller takes nothing, the next one is asked."""

from __future__ import annotations

import itertools
import threading
import urllib.error
from collections import Counter
from collections.abc import Iterable
from typing import Any

from cluster.calls import at, node_of
from fleet.fleet import Fleet

_EDGE_MS = 2
"""Times in records are whole milliseconds."""


class Proxied:
    """`records`: of all blocking calls that were answered with one. With `every`, each so many-th call does not wait;
    `accepted` are the ids of these."""

    def __init__(self, fleet: Fleet, every: int = 0) -> None:
        self._clients = [at(fleet, number) for number in range(len(fleet.urls))]
        self._every = every
        self._turns = itertools.count(1)
        self._lock = threading.Lock()
        self.records: list[dict[str, Any]] = []
        self.accepted: list[str] = []

    def invoke(self, name: str, arguments: Any = None) -> tuple[int, Any]:
        turn = next(self._turns)
        waits = not self._every or turn % self._every != 0
        status, answer = self._asked(turn, name, arguments, "blocking=true" if waits else "blocking=false")
        with self._lock:
            if waits and status == 200:
                self.records.append(answer)
            elif not waits and status == 202:
                self.accepted.append(answer["activationId"])
                return 200, answer
        return status, answer

    def _asked(self, turn: int, name: str, arguments: Any, query: str) -> tuple[int, Any]:
        """Nothing was accepted where nobody listens or the answer is 503: another may be asked."""
        status, answer = 0, None
        for number in range(len(self._clients)):
            client = self._clients[(turn + number) % len(self._clients)]
            try:
                status, answer = client.invoke(name, arguments, query)
            except urllib.error.URLError as error:
                status, answer = 0, str(error)
                if isinstance(error.reason, ConnectionRefusedError):
                    continue
            except OSError as error:
                status, answer = 0, repr(error)
            if status != 503:
                break
        return status, answer


def most_at_once(records: Iterable[dict[str, Any]]) -> Counter[str]:
    """Node -> how many activations ran there at the same time, by the times in their records."""
    edges: list[tuple[int, int, str]] = []
    for record in records:
        node, start = node_of(record), record["start"]
        edges += [(start + _EDGE_MS, 1, node), (max(start + _EDGE_MS, start + record["duration"] - _EDGE_MS), -1, node)]
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for _, step, node in sorted(edges):
        now[node] += step
        most[node] = max(most[node], now[node])
    return most
