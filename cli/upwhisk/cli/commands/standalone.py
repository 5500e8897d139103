"""`upwhisk standalone`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from upwhisk.cli.processes import process_age_s, run_process, startup_errors
from upwhisk.cli.standalone import Ready, Standalone
from upwhisk.common.logging import configure
from upwhisk.common.settings import Settings
from upwhisk.common.settings_file import load_settings

EXAMPLES = """\b
Examples:
  upwhisk standalone
  upwhisk standalone --port 8080 --data /srv/upwhisk --node-kind harvest
  upwhisk standalone --containers docker
"""


@click.command(epilog=EXAMPLES)
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. [default: 3233]")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="UPWHISK_DATA",
              help="Folder that keeps everything. [default: ~/.local/share/upwhisk]")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG",
              help="Settings file (TOML).")
@click.option("--auth-file", type=click.Path(dir_okay=False, path_type=Path),
              help="File with the guest's uuid:key (or set UPWHISK_AUTH). Without it the first start makes one.")
@click.option("--node-kind", type=click.Choice(["dedicated", "harvest"]),
              help="harvest: this machine has an owner; guests get what is left over. [default: dedicated]")
@click.option("--containers", type=click.Choice(["auto", "process", "docker"]),
              help="How guests are confined: as processes of this host, by a Docker engine, or (auto) processes where this "
                   "host can, else the engine. [default: auto]")
@click.option("--insecure-http", is_flag=True, help="Allow listening beyond loopback without TLS.")
def standalone(
    host: str | None,
    port: int | None,
    data: Path | None,
    config: Path | None,
    auth_file: Path | None,
    node_kind: str | None,
    containers: str | None,
    insecure_http: bool,
) -> None:
    """Run controller, balancer and one invoker in this process.

    Needs no other service. What was accepted survives a crash. Stop it with Ctrl-C or SIGTERM: what runs may
    finish; a second signal stops at once.
    """
    with startup_errors():
        settings = _override(load_settings(config), host, port, node_kind, insecure_http)
        if containers is not None:
            plugins = msgspec.structs.replace(settings.plugins, containers=containers)
            settings = msgspec.structs.replace(settings, plugins=plugins)
        configure(settings.log)
        folder = data or Path.home() / ".local/share/upwhisk"
        _run(settings, folder.absolute(), auth_file)


def _override(
    settings: Settings, host: str | None, port: int | None, node_kind: str | None, insecure_http: bool
) -> Settings:
    server: dict[str, Any] = {}
    if host is not None:
        server["host"] = host
    if port is not None:
        server["port"] = port
    if insecure_http:
        server["insecure_http"] = True
    node = settings.node if node_kind is None else msgspec.structs.replace(settings.node, kind=node_kind)
    return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, **server), node=node)


def _run(settings: Settings, data: Path, auth_file: Path | None) -> None:
    async def main() -> None:
        await Standalone(settings, data, auth_file=auth_file).run(_say)

    run_process(main)


def _say(ready: Ready) -> None:
    took = process_age_s()
    click.echo(f"upwhisk is ready at {ready.url} ({took:.1f} s); guests' network: {ready.network}")
    for finding in ready.findings:
        click.echo(f"  note: {finding}")
    if ready.key.fresh:
        click.echo(f"  key of 'guest' (shown this once): {ready.key.text}")
    click.echo(f"  use it with: export WSK_CONFIG_FILE={ready.wskprops}")
    sys.stdout.flush()
