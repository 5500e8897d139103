"""What the flag of a log says, and which logs have nobody who answers for them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

LEFT = "left"
"""What the flag of a log says whose host has left it to others; else it names its controller."""
RETIRED = "retired "
"""How the flag of a log begins in which all has ended. Its topic goes later (`sweep.py`)."""
_LOOKS = 4
"""A host that lost its claim to an outage of the registry claims again at its next look, so others look several times."""


class Orphans:
    def __init__(self) -> None:
        self._alone: dict[str, int] = {}
        self.unreadable: dict[str, str] = {}
        """Logs of a newer release, and why they cannot be read: they wait for a controller of that release."""

    def look(self, flags: Mapping[str, str], held: Collection[str]) -> list[str]:
        """`flags`: of all logs, by name; `held`: the names somebody hosts. Those that may be taken over."""
        open_ = [name for name, text in flags.items() if not text.startswith(RETIRED)]
        alone = {name: self._alone.get(name, 0) + 1 for name in open_ if name not in held}
        self._alone = alone
        self.unreadable = {name: why for name, why in self.unreadable.items() if name in alone}
        ours = [name for name in alone if name not in self.unreadable]
        return [name for name in ours if alone[name] >= _LOOKS or flags[name] == LEFT]
