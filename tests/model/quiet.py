"""All faults stop, everybody does what it can until nothing is left to do: then every promise is looked at."""

from __future__ import annotations

from model.controller import Controller
from model.world import World

from upwhisk.common.messages import Bundle, Dispatched
from upwhisk.common.model.activation import Activation, encode_record
from upwhisk.controller.delivery.ledger import Ledger
from upwhisk.loadbalancer.pending import Phase

_ROUNDS = 400


def settle(world: World) -> None:
    """A minute or two of a fleet without faults."""
    world.bus.slow.clear()
    for node in world.nodes:
        node.returns = False
    for controller in world.controllers:
        if not controller.is_up:
            controller.start()
    for _ in range(_ROUNDS):
        _round(world)
        if _is_quiet(world):
            return
    raise AssertionError(f"not quiet: {_left(world)}")


def _round(world: World) -> None:
    world.now += 2.5
    for node in world.nodes:
        node.beat()
        node.heartbeat_is_heard()
        node.heartbeat_is_confirmed()
    for process in set(world.registry.claims.values()) - {each.process for each in world.controllers}:
        for name in world.claims_of(process):
            del world.registry.claims[name]
    _move(world)
    for controller in world.controllers:
        _work(world, controller)
    world.sweep()
    for name in world.orphans():
        world.controllers[0].host(name)
    _move(world)


def _move(world: World) -> None:
    """Until nothing moves by itself."""
    moved = True
    while moved:
        moved = False
        for lane in list(world.bus.on_their_way):
            while lane in world.bus.on_their_way:
                world.bus.carry(lane)
                moved = True
        for controller in world.controllers:
            for host in list(controller.hosts.values()):
                while host.read():
                    moved = True
        for node in world.nodes:
            while node.take():
                moved = True
            for life in list(node.lives):
                moved = node.step(life) or moved


def _work(world: World, controller: Controller) -> None:
    controller.look()
    controller.open_own()
    controller.put()
    controller.stored()
    for pending in list(controller.pending.values()):
        controller.place(pending, "a")
        controller.end(pending)
        controller.remind(pending)
    for id_ in list(controller.sequences):
        controller.finish(id_)
    for host in list(controller.hosts.values()):
        if host.is_open and host.ownership.is_quiet:
            host.state()
        if host.name in world.registry.claims and world.registry.claims[host.name] != controller.process:
            continue
        world.registry.claims[host.name] = controller.process
        controller.retire(host)


def _left(world: World) -> dict[str, object]:
    busy = {c.name: (list(c.pending.values()), list(c.sequences), list(c.unstored)) for c in world.controllers}
    logs = {c.name: {h.name: (h.is_open, list(h.ledger.pending), len(h.holds)) for h in c.hosts.values()} for c in world.controllers}
    return {"busy": busy, "logs": logs, "orphans": world.orphans(), "lives": [n.lives for n in world.nodes]}


def _is_quiet(world: World) -> bool:
    for controller in world.controllers:
        if controller.pending or controller.sequences or controller.unstored or controller.own is None:
            return False
        if any(host is not controller.own or not host.is_idle for host in controller.hosts.values()):
            return False
    return not world.registry.retired and not world.orphans() and not world.bus.on_their_way and not any(node.lives for node in world.nodes)


def check(world: World) -> None:
    _check_records(world)
    for node in world.nodes:
        assert not node.lives
    for controller in world.controllers:
        assert controller.own is not None
        assert len(controller.own.holds) == 0
        assert not [p for p in controller.pending.values() if p.phase is not Phase.ENDING]


def _check_records(world: World) -> None:
    """One record for each id that somebody knows, the one of the log, which everybody reads the same."""
    recorded: dict[str, Activation] = {}
    for _, messages in world.bus.logs():
        ledger, again = Ledger(), Ledger()
        for place, message in enumerate(messages):
            applied = ledger.apply(message, place)
            assert [r.activation_id for r in again.apply(message, place).recorded] == [r.activation_id for r in applied.recorded]
            for record in applied.recorded:
                recorded.setdefault(record.activation_id, record)
    for id_, is_stored in world.accepted.items():
        if is_stored:
            assert id_ in world.store, f"no record of {id_}"
    for id_, record in world.store.items():
        assert _same(recorded[id_], record), f"{id_} has another record than its log says"
    for id_, record in world.answered.items():
        if world.messages[id_].stored:
            assert _same(world.store[id_], record), f"{id_} was answered with another record"
    _check_fences(world)


def _same(one: Activation, other: Activation) -> bool:
    return encode_record(one) == encode_record(other)


def _check_fences(world: World) -> None:
    """A record that a node made is of the last hand-over that its log knew of before."""
    for _, messages in world.bus.logs():
        ledger, last = Ledger(), {}
        for place, message in enumerate(messages):
            applied = ledger.apply(message, place)
            if isinstance(message, Bundle) and applied.results:
                for entry, counted in zip(message.entries, applied.results, strict=True):
                    if isinstance(entry, Dispatched) and counted:
                        last[entry.activation_id] = entry.dispatch
            for record in applied.recorded:
                by = record.response.result.get("by", "") if isinstance(record.response.result, dict) else ""
                if by and record.activation_id in last:
                    assert int(by.split()[1]) == last[record.activation_id], "a fenced answer was recorded"
