"""The reasons of a placement as rows and as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Reasons = Mapping[str, Any]
"""What the platform says: `node`, `policy`, `considered`, `refused` (node -> reason, not all), `counts` (reason -> nodes)."""


def placement_text(reasons: Reasons) -> str:
    policy, considered, node = reasons.get("policy"), int(reasons.get("considered") or 0), reasons.get("node")
    if policy is None and node:
        return f"went to node {node}; the reasons are not known any more"
    if policy is None:
        return "has no placement of its own: it is a sequence or a trigger, or ended before it was placed"
    among = "of 1 node" if considered == 1 else f"of {considered:,} nodes"
    if node is None:
        return f"waits: none {among} takes it now (policy {policy})"
    if reasons.get("state") == "queued":
        return f"waits behind others; node {node}, one {among}, could take it (policy {policy})"
    start = reasons.get("start") or ("warm" if reasons.get("warm") else "")
    return f"went to node {node}, one {among} (policy {policy}{', ' + start if start else ''})"


def node_rows(reasons: Reasons) -> list[dict[str, str]]:
    """The node it went to, those that are named as refused, and a row for each reason of how many more there are."""
    refused, counts = dict(reasons.get("refused") or {}), dict(reasons.get("counts") or {})
    node = reasons.get("node")
    outcome = "possible" if reasons.get("state") == "queued" else "chosen"
    rows = [_row(str(node), outcome, "")] if node is not None and reasons.get("policy") is not None else []
    rows += [_row(name, "refused", str(reason)) for name, reason in refused.items()]
    for reason, count in counts.items():
        more = int(count) - sum(_is_of(str(named), reason) for named in refused.values())
        if more > 0:
            rows.append(_row(f"({more:,} more)", "refused", reason))
    others = int(reasons.get("considered") or 0) - sum(map(int, counts.values())) - (node is not None)
    if others > 0:
        rows.append(_row(f"({others:,} more)", "possible", ""))
    return rows


def _row(node: str, outcome: str, reason: str) -> dict[str, str]:
    return {"node": node, "outcome": outcome, "reason": reason}


def _is_of(named: str, reason: str) -> bool:
    """States are counted without the explanation that a named node has after a colon."""
    return named == reason or named.startswith(f"{reason}: ")
