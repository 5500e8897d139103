"""What the factory has to be told: the runtimes of this node, and the bounds of its guests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Family = Literal["python", "nodejs", "native"]


@dataclass(frozen=True, slots=True)
class RuntimeInstallation:
    """One kind that this node can run.

    * `python`: `proxy` is a module file with `serve(listen_fd)` (and, if it likes, `PRELOAD`, module names);
      `interpreter` loads it once and forks.
    * `nodejs`: `interpreter` is executed with `arguments` and then `proxy`.
    * `native`: like `python`, in a root that has a shell and the usual small tools beside it.

    `library`: a folder of installed packages that guests may import; None: the standard library alone.
    """

    kind: str
    family: Family
    interpreter: Path
    proxy: Path
    preload: tuple[str, ...] = ()
    library: Path | None = None
    arguments: tuple[str, ...] = ()


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
    find a closed connection. `allow`: private networks (CIDR) that outbound guests may reach."""

    api: str = ""
    allow: tuple[str, ...] = ()
    outbound: bool = True
    forwarding: bool = False
    """Allow switching the kernel's IP forwarding on where it is off."""
