"""`upwhisk controller`, `upwhisk invoker`, `upwhisk init`: the processes of a fleet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from upwhisk.cli.processes import process_age_s, run_process, startup_errors
from upwhisk.common.logging import configure
from upwhisk.common.settings_file import load_settings
from upwhisk.common.spi.roles import Role

_SETTINGS = """
Settings come from one TOML file and UPWHISK_* variables (docs/settings.md): where CouchDB, Kafka and Consul are
([couchdb], [kafka], [consul]), and the files that hold their passwords.
"""


_FILE = click.Path(dir_okay=False, path_type=Path)


def _with_config(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG",
                        metavar="FILE", help="Settings file (TOML).")(function)


@click.command(epilog="\b\nExamples:\n  upwhisk controller --config fleet.toml\n  upwhisk controller --config fleet.toml --name a --port 3234\n")
@_with_config
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. [default: 3233]")
@click.option("--name", help="This controller's own name. [default: the host's name and the port]")
@click.option("--insecure-http", is_flag=True, help="Allow listening beyond loopback without TLS.")
def controller(config: Path | None, host: str | None, port: int | None, name: str | None, insecure_http: bool) -> None:
    """Run one controller of a fleet: the REST API and the load balancer.

    Several share the nodes between them; what one accepted goes on in another if it dies. Stop it with SIGTERM: callers
    that wait are answered, the rest goes to the others.
    """
    with startup_errors():
        flags = {
            "server.host": host,
            "server.port": port,
            "server.insecure_http": insecure_http or None,
            "controller.name": name,
        }
        settings = load_settings(config, flags=flags)
        configure(settings.log)
        from upwhisk.cli.fleet_controller import ControllerReady, FleetController

        def say(ready: ControllerReady) -> None:
            click.echo(f"controller {ready.name} is ready at {ready.url} ({process_age_s():.1f} s); nodes: {ready.nodes}")
            sys.stdout.flush()

        async def main() -> None:
            await FleetController(settings).run(say)

        run_process(main)


@click.command(epilog="\b\nExamples:\n  upwhisk invoker --config fleet.toml\n  upwhisk invoker --config fleet.toml --name camera-7 --node-kind harvest\n")
@_with_config
@click.option("--name", help="The node's name. [default: the host's name]")
@click.option("--node-kind", type=click.Choice(["dedicated", "harvest"]),
              help="harvest: this machine has an owner; guests get what is left over. [default: dedicated]")
def invoker(config: Path | None, name: str | None, node_kind: str | None) -> None:
    """Run one node of a fleet: takes work and runs it in containers.

    Stop it with SIGTERM: it takes no more work, what runs may finish.
    """
    with startup_errors():
        settings = load_settings(config, flags={"node.name": name, "node.kind": node_kind})
        configure(settings.log)
        from upwhisk.cli.fleet_invoker import FleetInvoker, InvokerReady

        def say(ready: InvokerReady) -> None:
            click.echo(f"node {ready.node} is ready ({process_age_s():.1f} s); guests' network: {ready.network}")
            click.echo(f"  kinds: {', '.join(ready.kinds)}")
            if ready.metrics:
                click.echo(f"  metrics: {ready.metrics}/metrics")
            for finding in ready.findings:
                click.echo(f"  note: {finding}")
            sys.stdout.flush()

        async def main() -> None:
            await FleetInvoker(settings).run(say)

        run_process(main)


@click.command(epilog="\b\nExamples:\n  upwhisk init --config fleet.toml\n  upwhisk init --config fleet.toml --wskprops ~/.wskprops --api http://10.0.0.1:3233\n")
@_with_config
@click.option("--auth-file", type=click.Path(dir_okay=False, path_type=Path),
              help="File with the guest's uuid:key (or set UPWHISK_AUTH). Without it the first call makes one.")
@click.option("--wskprops", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write this file for clients.")
@click.option("--api", metavar="URL", default="http://127.0.0.1:3233", help="The API's address in that file.")
@click.option("--controllers", type=_FILE, metavar="FILE",
              help="The controllers' settings: the logins in it get a controller's rights in each service.")
@click.option("--nodes", type=_FILE, metavar="FILE", help="The nodes' settings, likewise.")
def init(
    config: Path | None,
    auth_file: Path | None,
    wskprops: Path | None,
    api: str,
    controllers: Path | None,
    nodes: Path | None,
) -> None:
    """Make what a fleet needs in its services: databases, views, the first user.

    May be called again at any time: what is there stays. A new release brings its views up to date this way.
    With the settings of controllers and nodes their users, tokens and access rules are made too, each with no more rights
    than it needs; that takes an administrator's login to each service.
    """
    with startup_errors():
        settings = load_settings(config)
        configure(settings.log)
        from upwhisk.cli.fleet_init import initialise

        files: dict[Role, Path | None] = {"controller": controllers, "node": nodes}
        accounts = {role: load_settings(file, {}) for role, file in files.items() if file is not None}
        for line in asyncio.run(initialise(settings, auth_file, wskprops, api, accounts)):
            click.echo(line)
