"""An operator's word that a node takes no new work, as the registry keeps it. Pure."""

from __future__ import annotations

import msgspec

from upwhisk.common.ids import NodeId

DRAINS = "drain/"


class Drain(msgspec.Struct, frozen=True, omit_defaults=True):
    """`until_ms`: when what still runs is ended, ms since the epoch; 0: never."""

    reason: str = ""
    until_ms: int = 0

    def is_over(self, now_ms: int) -> bool:
        return bool(self.until_ms) and now_ms >= self.until_ms


def drain_flag(node: NodeId) -> str:
    return DRAINS + node
