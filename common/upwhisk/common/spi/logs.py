"""Contract of the log store: where the output of activations is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from upwhisk.common.ids import ActivationId
from upwhisk.common.resource import Resource


class LogSink(ABC):
    """Collects the lines of one activation. Bounded: what exceeds the limit is cut and a notice ends the log."""

    @abstractmethod
    def append(self, lines: Sequence[str]) -> None: ...

    @abstractmethod
    def close(self) -> tuple[str, ...]:
        """End the log and return what belongs into the record's `logs`."""


class LogStore(Resource):
    @abstractmethod
    def open(self, namespace: str, id: ActivationId, *, limit_bytes: int) -> LogSink:
        """`limit_bytes` 0: nothing is kept."""

    @abstractmethod
    async def read(self, namespace: str, id: ActivationId, recorded: Sequence[str]) -> list[str]:
        """The lines of a finished activation; `recorded` is what its record holds."""
