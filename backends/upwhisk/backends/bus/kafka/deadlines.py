"""How long the bus waits for what. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. `start`: until a broker must have answered. `send`: until a message must be durable. `answer`: until a
    broker that does not answer one request counts as dead. `poll`: how long a fetch waits for messages. `probe`:
    between two looks at a silent cluster. `commit`: how long finished deliveries gather for one commit. `flush`: how long
    closing waits for what is under way."""

    start: float = 10.0
    send: float = 5.0
    answer: float = 3.0
    poll: float = 2.0
    probe: float = 1.0
    commit: float = 0.2
    flush: float = 2.0
