"""What a Docker engine leaves on the host when it ends, and how it is taken away."""

from __future__ import annotations

from dataclasses import dataclass

from services.commands import have, run
from services.errors import Unavailable

_WITHIN_S = 30.0
_BRIDGE = "docker0"


@dataclass(frozen=True, slots=True)
class Before:
    """How it was before an engine started."""

    forwards: bool = False
    """Packets between interfaces were let through."""


def now() -> Before:
    return Before(forwards="-P FORWARD ACCEPT" in _iptables("filter", "-S").splitlines())


def forget(before: Before) -> None:
    """Remove the chains, the rules that lead there, and the bridge. No engine may run in this network namespace."""
    for table in ("filter", "nat"):
        rules = _iptables(table, "-S").splitlines()
        for rule in rules:
            if rule.startswith("-A ") and ("DOCKER" in rule or _BRIDGE in rule):
                _iptables(table, "-D", *rule.split()[1:])
        chains = [rule.split()[1] for rule in rules if rule.startswith("-N DOCKER")]
        for chain in chains:
            _iptables(table, "-F", chain)
        for chain in chains:
            _iptables(table, "-X", chain)
    if before.forwards:
        _iptables("filter", "-P", "FORWARD", "ACCEPT")
    try:
        run(have("ip"), "link", "delete", _BRIDGE, within_s=_WITHIN_S)
    except Unavailable:
        pass  # the engine never got so far


def _iptables(table: str, *words: str) -> str:
    return run(have("iptables"), "-w", "10", "-t", table, *words, within_s=_WITHIN_S)
