"""What the factory has to be told beside the runtimes: the bounds of its guests, and where they may connect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuestBounds:
    """What one guest may use at most. `cores` 0: all; `idle`: only what the node's owner leaves over."""

    scratch_mb: int = 128
    scratch_files: int = 32768
    processes: int = 1024
    open_files: int = 1024
    cores: float = 0.0
    idle: bool = False


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`api`: where the platform's API listens, a path of a Unix socket or `host:port`; empty: guests that ask for it
    find a closed connection. `allow`: private networks (CIDR) that outbound guests may reach. `closed`: addresses (IPv4)
    that they may not, wherever they lie: the platform's own services. `resolvers`: their name servers (IPv4); none: this
    host's."""

    api: str = ""
    allow: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    outbound: bool = True
    forwarding: bool = False
    """Allow switching the kernel's IP forwarding on where it is off."""
