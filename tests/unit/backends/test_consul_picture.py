"""What Consul says of nodes, read right: dead agents, former agents, other checks of the machine."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.backends.nodes.consul.picture import health_of, picture_of
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport, NodeState

REPORT = NodeReport(node=NodeId("a"), memory_mb=1, cores=1)


def service(
    *, ttl: str = "passing", serf: str = "passing", disk: str | None = None, of: str | None = None
) -> dict[str, Any]:
    """As /v1/health/service answers, as far as it is read."""
    checks = [
        {"CheckID": "serfHealth", "Status": serf, "ServiceID": ""},
        {"CheckID": "service:upwhisk-invoker-a", "Status": ttl, "ServiceID": "upwhisk-invoker-a"},
    ]
    if disk is not None:
        checks.append({"CheckID": "disk", "Status": disk, "ServiceID": ""})
    meta = {"node": "a", "ttl_s": "3"} if of is None else {"node": "a", "ttl_s": "3", "incarnation": of}
    return {"Service": {"Meta": meta}, "Checks": checks}


def shown(*services: dict[str, Any], incarnation: str = "", before: str | None = None) -> tuple[NodeState, str]:
    report = pictured(*services, incarnation=incarnation, before=before)
    return report.state, report.reason


def pictured(*services: dict[str, Any], incarnation: str, before: str | None = None) -> NodeReport:
    """`before`: the incarnation that was shown."""
    told = msgspec.structs.replace(REPORT, incarnation=incarnation)
    last: dict[str, NodeReport] = {} if before is None else {NodeId("a"): msgspec.structs.replace(REPORT, incarnation=before)}
    (report,) = picture_of(health_of(list(services)), {NodeId("a"): told}, last, is_settled=True)
    return report


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


def test_a_report_is_believed_only_with_a_check_of_its_own_incarnation() -> None:
    """Else the check of the process before lapses while a new one works, and its work is taken for lost."""
    assert shown(service(of="new.0"), incarnation="new.0") == (NodeState.HEALTHY, "")
    assert shown(service(of="old.0"), incarnation="new.0") == (NodeState.OFFLINE, "it starts anew")
    assert shown(service(of="old.0", ttl="critical"), incarnation="new.0") == (NodeState.OFFLINE, "it starts anew")
    assert shown(service(of="new.0"), incarnation="old.0") == (NodeState.OFFLINE, "it starts anew")
    assert shown(service(of="new.0", ttl="critical"), incarnation="new.0") == (NodeState.OFFLINE, "no heartbeat for 3 s")


def test_of_several_agents_those_count_that_know_the_incarnation() -> None:
    assert shown(service(of="old.0"), service(of="new.0"), incarnation="new.0") == (NodeState.HEALTHY, "")
    dead = shown(service(of="old.0"), service(of="new.0", ttl="critical"), incarnation="new.0")
    assert dead == (NodeState.OFFLINE, "no heartbeat for 3 s")


def test_what_a_release_registered_that_named_no_incarnation_counts_for_all() -> None:
    assert shown(service(), incarnation="new.0") == (NodeState.HEALTHY, "")
    assert shown(service(ttl="critical"), incarnation="new.0")[0] is NodeState.OFFLINE


def test_a_process_that_goes_on_is_not_lost_between_two_incarnations() -> None:
    """Its membership lapsed for a moment: what was shown stands until report and check agree."""
    for check, told in (("p.1", "p.0"), ("p.0", "p.1")):
        report = pictured(service(of=check), incarnation=told, before="p.0")
        assert (report.state, report.incarnation) == (NodeState.HEALTHY, "p.0")
        dead = pictured(service(of=check, ttl="critical"), incarnation=told, before="p.0")
        assert (dead.state, dead.incarnation) == (NodeState.OFFLINE, "p.0")
        assert shown(service(of=check), incarnation=told) == (NodeState.OFFLINE, "it starts anew")
        assert shown(service(of=check), incarnation=told, before="q.4") == (NodeState.OFFLINE, "it starts anew")
    report = pictured(service(of="p.1"), incarnation="p.1", before="p.0")
    assert (report.state, report.incarnation) == (NodeState.HEALTHY, "p.1")
