"""Which process a node is, so that one that starts under the same name sees whether another still lives."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState

log = structlog.get_logger(__name__)

_SLACK_S = 2.0
"""How much later than its lease the registry may take a node for dead."""
_LOOK_S = 0.25
_ENDED = frozenset("ZX")
_HIDDEN = "hidden"


def home() -> str:
    """This process: boot, PID namespace, PID, and when it began (proc(5), field 22 of stat)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}/{os.getpid()}/{_began(os.getpid())}"


def has_ended(other: str) -> bool:
    """Whether that process is certainly no more. One of another machine or PID namespace may live, as far as we know."""
    ours, theirs = home().split("/"), other.split("/")
    if len(theirs) != len(ours) or theirs[:2] != ours[:2] or not theirs[2].isdigit():
        return False
    return _began(int(theirs[2])) not in (theirs[3], _HIDDEN)


def _began(pid: int) -> str:
    """Empty if there is no such process, or only what its parent has not collected yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _HIDDEN if _is_there(pid) else ""
    return "" if fields[0] in _ENDED else fields[19]


def _is_there(pid: int) -> bool:
    """Asked otherwise: `/proc` may hide processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


async def take_name(registry: NodeRegistry, node: NodeId, lease_s: float, clock: Clock) -> None:
    """Return when no other process has this name. One that died without a word is dead after its lease, or at once
    where we can see it. `ConfigurationError`: it lives, so it keeps the name."""
    began = clock.monotonic()
    while (other := await _holder(registry, node)) is not None and not has_ended(other.home):
        if clock.monotonic() >= began + max(lease_s, other.lease_s) + _SLACK_S:
            where = f" at {other.address}" if other.address else ""
            text = f"a node '{node}' is there already{where}; give this one a name of its own (--name), or stop the other"
            raise ConfigurationError("node.name", text)
        log.info("waiting for the name", action="invoker.name", node=node)
        await clock.sleep(_LOOK_S)


async def _holder(registry: NodeRegistry, node: NodeId) -> NodeReport | None:
    nodes = await registry.nodes()
    return next((each for each in nodes if each.node == node and each.state is not NodeState.OFFLINE), None)
