"""A steady load of calls whose failures are kept."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self

_CALL_S = 75.0
"""Longer than any client of ours waits for an answer."""


class Invoking(Protocol):
    def invoke(self, name: str, arguments: Any = None) -> tuple[int, Any]:
        """Status and answer of a blocking call."""
        ...


class Load:
    """`callers` threads that invoke `name` one call after the other; `failures` are all answers but 200."""

    def __init__(self, api: Invoking, name: str, callers: int = 4) -> None:
        self._api = api
        self._name = name
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(callers)]
        self._lock = threading.Lock()
        self.answered = 0
        self.failures: list[tuple[float, int, Any]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_CALL_S)

    @property
    def said(self) -> list[str]:
        """The failures, for people."""
        return [f"{when:.3f}: {status} {json.dumps(answer)[:1500]}" for when, status, answer in self.failures]

    def wait_answered(self, more: int, deadline_s: float = 60.0) -> None:
        """Until so many more calls were answered well."""
        wanted = self.answered + more
        deadline = time.monotonic() + deadline_s
        while self.answered < wanted:
            assert time.monotonic() < deadline, (self.answered, wanted, self.failures[-3:])
            time.sleep(0.05)

    def _go_on(self) -> None:
        while not self._over.is_set():
            status, answer = self._api.invoke(self._name, {"n": 1})
            with self._lock:
                if status == 200:
                    self.answered += 1
                else:
                    self.failures.append((time.time(), status, answer))
