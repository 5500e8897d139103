"""Contract of a feed: a source of events that fires a trigger and goes on where it stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Fire = Callable[[dict[str, Any]], Awaitable[None]]
"""Fires the feed's trigger with this payload; returns when the fire is accepted, raises when it is refused."""
Checkpoint = Callable[[str], Awaitable[None]]
"""Keeps a text from which `run` can go on; durable when it returns."""


class Feed(ABC):
    @abstractmethod
    def validate(self, parameters: Mapping[str, Any]) -> None:
        """`BadRequest` that names the parameter and what would be right."""

    @abstractmethod
    async def run(
        self, parameters: Mapping[str, Any], *, since: str | None, fire: Fire, checkpoint: Checkpoint
    ) -> None:
        """Fire until cancelled or the feed ends. `since` is the last checkpoint, None at first.

        Fires before it checkpoints: an event may be fired twice after a crash, never lost.
        """
