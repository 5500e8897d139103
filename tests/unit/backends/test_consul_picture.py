"""What Consul says of nodes, read right: dead agents, former agents, other checks of the machine."""

from __future__ import annotations

from typing import Any

from upwhisk.backends.nodes.consul.picture import health_of, picture_of
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport, NodeState

REPORT = NodeReport(node=NodeId("a"), memory_mb=1, cores=1)


def service(*, ttl: str = "passing", serf: str = "passing", disk: str | None = None) -> dict[str, Any]:
    """As /v1/health/service answers, as far as it is read."""
    checks = [
        {"CheckID": "serfHealth", "Status": serf, "ServiceID": ""},
        {"CheckID": "service:upwhisk-invoker-a", "Status": ttl, "ServiceID": "upwhisk-invoker-a"},
    ]
    if disk is not None:
        checks.append({"CheckID": "disk", "Status": disk, "ServiceID": ""})
    return {"Service": {"Meta": {"node": "a", "ttl_s": "3"}}, "Checks": checks}


def shown(*services: dict[str, Any]) -> tuple[NodeState, str]:
    (report,) = picture_of(health_of(list(services)), {NodeId("a"): REPORT}, {}, is_settled=True)
    return report.state, report.reason


def test_a_node_without_a_heartbeat_is_dead() -> None:
    assert shown(service()) == (NodeState.HEALTHY, "")
    assert shown(service(ttl="critical")) == (NodeState.OFFLINE, "no heartbeat for 3 s")


def test_a_node_whose_agent_died_with_its_machine_is_dead_though_its_check_still_passes() -> None:
    state, reason = shown(service(serf="critical"))
    assert state is NodeState.OFFLINE
    assert "agent" in reason


def test_other_checks_of_the_machine_do_not_count() -> None:
    assert shown(service(disk="critical")) == (NodeState.HEALTHY, "")


def test_a_node_that_was_registered_with_another_agent_before_lives() -> None:
    assert shown(service(), service(serf="critical")) == (NodeState.HEALTHY, "")
    assert shown(service(ttl="critical"), service()) == (NodeState.HEALTHY, "")
    assert shown(service(ttl="critical"), service(serf="critical"))[0] is NodeState.OFFLINE
