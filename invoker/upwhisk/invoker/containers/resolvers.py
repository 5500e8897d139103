"""The name servers that guests may ask."""

from __future__ import annotations

import ipaddress
from pathlib import Path

_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_MOST = 3


def resolvers() -> tuple[str, ...]:
    """This host's IPv4 name servers; a stub on the loopback is replaced by those it asks, where that is known."""
    for file in _FILES:
        try:
            found = parse_resolvers(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found:
            return found
    return ()


def parse_resolvers(text: str) -> tuple[str, ...]:
    """Pure: those of a resolv.conf that a guest could reach."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1])
            except ValueError:
                continue
            if address.version == 4 and not address.is_loopback:
                found.append(words[1])
    return tuple(found[:_MOST])
