"""`upwhisk node ...`: the nodes of a fleet, straight from its registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upwhisk.cli.failure import Failure
from upwhisk.cli.options import Function, command, group
from upwhisk.cli.session import Session

if TYPE_CHECKING:
    from upwhisk.common.spi.nodes import NodeRegistry, NodeReport

node = group("node", "The nodes of a fleet: who they are, how they fare, draining.")
_COLUMNS = ("node", "state", "kind", "memoryMB", "cores", "warm", "version", "reason")


def _with_config(function: Function) -> Function:
    return click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG", metavar="FILE",
                        help="The fleet's settings file (TOML): where its registry is.")(function)


def _with_registry(config: Path | None, work: Callable[[NodeRegistry], Awaitable[Any]]) -> Any:
    from upwhisk.cli.fleet_parts import registry_of
    from upwhisk.common.errors import StartupError, UpwhiskError
    from upwhisk.common.logging import configure
    from upwhisk.common.settings import LogSettings
    from upwhisk.common.settings_file import load_settings

    async def run() -> Any:
        async with registry_of(load_settings(config)) as registry:
            return await work(registry)

    configure(LogSettings(level="error"))
    try:
        return asyncio.run(run())
    except StartupError as error:
        raise Failure(str(error), hint="name the fleet's settings with --config or UPWHISK_CONFIG") from None
    except UpwhiskError as error:
        raise Failure(f"The registry did not answer: {error}") from None


def _row(report: NodeReport) -> dict[str, Any]:
    return {
        "node": report.node,
        "state": report.state.value,
        "kind": report.node_kind,
        "memoryMB": report.memory_mb,
        "cores": report.cores,
        "warm": len(report.warm),
        "version": report.version,
        "reason": report.reason,
    }


async def _known(registry: NodeRegistry, name: str) -> NodeReport:
    nodes = await registry.nodes()
    for each in nodes:
        if each.node == name:
            return each
    known = ", ".join(each.node for each in nodes) or "none"
    raise Failure(f"There is no node '{name}'", hint=f"nodes: {known}")


@command(node, "list", "node list", "node list --output json")
@_with_config
def list_(session: Session, config: Path | None) -> None:
    """Every node, its state and the reason for it."""
    rows = [_row(report) for report in _with_registry(config, lambda registry: registry.nodes())]
    if session.output.form is not None:
        session.output.data(rows)
        return
    if not rows:
        session.output.text("no nodes: start one with 'upwhisk invoker'")
        return
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in _COLUMNS}
    session.output.text("  ".join(f"{name:<{widths[name]}}" for name in _COLUMNS).rstrip())
    for row in rows:
        session.output.text("  ".join(f"{row[name]!s:<{widths[name]}}" for name in _COLUMNS).rstrip())


@command(node, "show", "node show camera-7", "node show camera-7 --output yaml")
@click.argument("name")
@_with_config
def show(session: Session, name: str, config: Path | None) -> None:
    """All that a node says of itself."""
    import msgspec

    report = _with_registry(config, lambda registry: _known(registry, name))
    session.output.data(msgspec.to_builtins(report, str_keys=True))


@command(node, "drain", "node drain camera-7", "node drain camera-7 --deadline 600 --reason 'new disk'")
@click.argument("name")
@click.option("--deadline", type=click.FloatRange(0), metavar="SECONDS", help="After so long what still runs is ended. [default: never]")
@click.option("--reason", default="", metavar="TEXT", help="Shown to who looks at the node.")
@_with_config
def drain(session: Session, name: str, deadline: float | None, reason: str, config: Path | None) -> None:
    """Give a node no new work; what runs there may finish. Holds until 'undrain', also if the node starts again."""
    import time

    import msgspec

    from upwhisk.common.drain import Drain, drain_flag

    until_ms = 0 if deadline is None else int((time.time() + deadline) * 1000)
    text = msgspec.json.encode(Drain(reason=reason, until_ms=until_ms)).decode()

    async def work(registry: NodeRegistry) -> None:
        await registry.put_flag(drain_flag((await _known(registry, name)).node), text)

    _with_registry(config, work)
    session.output.ok(f"node {name} drains", {"node": name, "draining": True, "reason": reason})


@command(node, "undrain", "node undrain camera-7", "node undrain camera-7 --config fleet.toml")
@click.argument("name")
@_with_config
def undrain(session: Session, name: str, config: Path | None) -> None:
    """Let a node take work again."""
    from upwhisk.common.drain import drain_flag
    from upwhisk.common.ids import NodeId

    async def work(registry: NodeRegistry) -> None:
        if await registry.flag(drain_flag(NodeId(name))) is None:
            raise Failure(f"Node '{name}' is not draining")
        await registry.put_flag(drain_flag(NodeId(name)), None)

    _with_registry(config, work)
    session.output.ok(f"node {name} takes work", {"node": name, "draining": False})


@command(node, "remove", "node remove camera-7", "node remove camera-7 --force")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also if it still answers; as long as it runs it comes back.")
@_with_config
def remove(session: Session, name: str, force: bool, config: Path | None) -> None:
    """Forget a node that is gone for good: its registration and its drain; its topic follows.

    One that still answers (--force) keeps its drain: it registers again with its next heartbeat, until it is stopped.
    """
    from upwhisk.common.drain import drain_flag
    from upwhisk.common.ids import NodeId
    from upwhisk.common.spi.nodes import NodeState

    async def work(registry: NodeRegistry) -> bool:
        node, answers = NodeId(name), False
        if await registry.flag(drain_flag(node)) is None or await registry.report(node) is not None:
            report = await _known(registry, name)  # else it was stopped in good order, and only its drain is left
            answers = report.state is not NodeState.OFFLINE
            if answers and not force:
                raise Failure(f"Node '{name}' still answers", hint="stop it first, or use --force")
        await registry.leave(node)
        if not answers:
            await registry.put_flag(drain_flag(node), None)
        return answers

    answers = _with_registry(config, work)
    told = f"removed node {name}" + ("; it still answers, and comes back until it is stopped" if answers else "")
    session.output.ok(told, {"node": name, "removed": True, "answers": answers})
