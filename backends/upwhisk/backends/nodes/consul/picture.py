"""From Consul's answers to the reports of all nodes. Pure.

A node without a heartbeat is critical. After an outage of Consul itself (its own restart begins with checks that nobody has
renewed) that says nothing until the node has had its time to live: so long the last picture stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from upwhisk.common.ids import NodeId, process_of
from upwhisk.common.spi.nodes import NodeReport, NodeState

_AGENT_CHECK = "serfHealth"
_ANEW = "it starts anew"

_decode = msgspec.json.Decoder(NodeReport).decode


class _Head(msgspec.Struct):
    """What a report of any release says."""

    node: NodeId
    version: str = ""
    incarnation: str = ""


_decode_head = msgspec.json.Decoder(_Head).decode


class Health(msgspec.Struct, frozen=True):
    """What Consul says of one node. `reason`: why it is taken for dead, empty if it is not. `incarnation`: whose check that is;
    empty: a release registered it that did not say so."""

    reason: str
    ttl_s: float
    incarnation: str = ""

    @property
    def is_passing(self) -> bool:
        return not self.reason


def health_of(services: list[dict[str, Any]]) -> dict[str, tuple[Health, ...]]:
    """By name of the node; from an answer of /v1/health/service. Several for one that once was registered with another agent."""
    found: dict[str, tuple[Health, ...]] = {}
    for each in services:
        meta = each["Service"].get("Meta") or {}
        node, ttl_s = meta.get("node", ""), float(meta.get("ttl_s", "0"))
        one = Health(_why_dead(each["Checks"], ttl_s), ttl_s, meta.get("incarnation", ""))
        found[node] = (*found.get(node, ()), one)
    return found


def _why_dead(checks: list[dict[str, Any]], ttl_s: float) -> str:
    """An agent that died with its machine lets no check lapse any more; the other agents find out (`serfHealth`). Checks that
    an operator added to the machine say nothing about its node."""
    if any(check["CheckID"] == _AGENT_CHECK and check["Status"] != "passing" for check in checks):
        return "the Consul agent that it was registered with does not answer"
    own = [check for check in checks if check.get("ServiceID")]
    is_passing = bool(own) and all(check["Status"] == "passing" for check in own)
    return "" if is_passing else f"no heartbeat for {ttl_s:g} s"


def reports_of(entries: list[dict[str, Any]] | None) -> dict[str, NodeReport]:
    """By name of the node; from an answer of /v1/kv. What is no report is left out."""
    found: dict[str, NodeReport] = {}
    for entry in entries or ():
        report = _report_in(entry["Value"] or b"")
        if report is not None:
            found[report.node] = report
    return found


def _report_in(text: bytes) -> NodeReport | None:
    """A node whose report another release wrote in a way that this one cannot read is there all the same: it is given no
    work, and what it has is not taken for lost."""
    try:
        return _decode(text)
    except msgspec.DecodeError as error:
        reason = str(error)
    try:
        head = _decode_head(text)
    except msgspec.DecodeError:
        return None
    return NodeReport(
        node=head.node,
        memory_mb=0,
        cores=0.0,
        state=NodeState.UNHEALTHY,
        reason=f"what it says of itself cannot be read by this release ({reason}); the node has version {head.version or 'unknown'}",
        version=head.version,
        incarnation=head.incarnation,
    )


def _seen(
    report: NodeReport, health: tuple[Health, ...], before: NodeReport | None
) -> tuple[NodeReport, Health]:
    """The report that there is a check for, and that check. A node lives if one of the agents that know it says so. The check of
    another process says that the one of the report has ended, or has not begun. Where a process that goes on is between two
    incarnations, the one that was shown stands until report and check agree."""
    process = process_of(report.incarnation)
    own = [each for each in health if not each.incarnation or process_of(each.incarnation) == process]
    if not own:
        return report, Health(_ANEW, health[0].ttl_s)
    state = next((each for each in own if each.is_passing), own[0])
    if state.incarnation in ("", report.incarnation):
        return report, state
    if before is None or process_of(before.incarnation) != process:
        return report, Health(_ANEW, state.ttl_s)
    return before, state


def picture_of(
    health: Mapping[str, tuple[Health, ...]],
    reports: Mapping[str, NodeReport],
    before: Mapping[str, NodeReport],
    *,
    is_settled: bool,
) -> tuple[NodeReport, ...]:
    """`before`: the last picture; it stands for nodes that are not passing while Consul is not settled."""
    shown: list[NodeReport] = []
    for node in sorted(reports):
        known = health.get(node)
        if known is None:
            if not is_settled and node in before:
                shown.append(before[node])
            continue
        report, state = _seen(reports[node], known, before.get(node))
        if state.is_passing:
            shown.append(report)
        elif not is_settled and node in before and before[node].state is not NodeState.OFFLINE:
            shown.append(before[node])
        else:
            shown.append(msgspec.structs.replace(report, state=NodeState.OFFLINE, reason=state.reason))
    return tuple(shown)
