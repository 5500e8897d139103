"""The platform under test is a whole fleet on this machine; the client is that of the other benchmarks."""

from __future__ import annotations

from fleet.fleet import Fleet
from subject import NAMESPACE, Subject


class FleetSubject(Subject):
    """Requests go to the first controller; `urls_of` names an action at all of them."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet

    def start(self) -> None:
        self.fleet.start()
        self.port = int(self.fleet.urls[0].rpartition(":")[2])
        self.key = self.fleet.key

    def end(self) -> None:
        super().end()
        self.fleet.stop()

    def urls_of(self, action: str) -> list[str]:
        """Where a blocking call of it is posted, at each controller."""
        return [f"{url}{NAMESPACE}/actions/{action}?blocking=true" for url in self.fleet.urls]
