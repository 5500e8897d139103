"""What was sent to a log and has not come back: its writers are told when it counts, or that it is not known to in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upwhisk.common.errors import StoreUnavailable, Unconfirmed
from upwhisk.controller.delivery.bundles import Part

READ_BACK_S = 15.0
"""How long an entry may take to come back; it may still count afterwards."""

Results = asyncio.Future[list[bool]]


@dataclass(slots=True)
class Sent:
    """`at`: when, by the clock that ownership is measured by."""

    parts: list[Part[Results]]
    at: float
    deadline: float

    def counted(self, results: list[bool]) -> None:
        """Of each entry, in order."""
        each = iter(results)
        for part in self.parts:
            of_part = [next(each) for _ in part.entries]
            if not part.done.done():
                part.done.set_result(of_part)


class Awaited:
    """Bundles by their numbers. `now`: seconds that also pass while the machine is suspended."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sent: dict[int, Sent] = {}
        self._expiry: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, number: int, parts: list[Part[Results]]) -> None:
        loop = asyncio.get_running_loop()
        self._sent[number] = Sent(parts, self._now(), loop.time() + READ_BACK_S)
        if self._expiry is None:
            self._expiry = loop.call_later(READ_BACK_S, self._expire)

    def take(self, number: int) -> Sent | None:
        """It came back; None if its writers were told before that it is not kept."""
        return self._sent.pop(number, None)

    def fail(self, number: int, reason: str) -> None:
        """It may come back, or have counted."""
        for part in self._parts(number):
            refuse(part.done, reason, error=Unconfirmed)

    def discount(self, number: int, reason: str) -> None:
        """It came back and does not count."""
        for part in self._parts(number):
            refuse(part.done, reason)

    def _parts(self, number: int) -> Sequence[Part[Results]]:
        sent = self._sent.pop(number, None)
        return sent.parts if sent is not None else ()

    def fail_all(self, reason: str) -> None:
        for number in list(self._sent):
            self.fail(number, reason)
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expire(self) -> None:
        """Those whose time is up; the first of the others sets the clock for the next look."""
        self._expiry, loop = None, asyncio.get_running_loop()
        for number, sent in list(self._sent.items()):
            if sent.deadline > loop.time():
                self._expiry = loop.call_at(sent.deadline, self._expire)
                return
            self.fail(number, f"the message bus did not give it back within {READ_BACK_S:.0f} s")


def refuse(done: Results, reason: str, *, error: type[StoreUnavailable] = StoreUnavailable) -> None:
    if not done.done():
        done.set_exception(error.because(f"the log of accepted work is not available, {reason}"))
        done.exception()  # not every writer waits
