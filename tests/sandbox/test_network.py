"""What a guest reaches: nothing, the platform's API alone, or the outside world without the host's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sandbox.guests import make_factory, run, spec
from sandbox.kits import Kit

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.spi.containers import Container, ContainerFactory, Network
from upwhisk.invoker.containers.bounds import NetworkSettings

pytestmark = pytest.mark.sandbox

TRY = """
import socket
result = []
for host, port in {targets!r}:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(1.0)
        try:
            s.connect((host, port))
            result.append("connected")
        except OSError as error:
            result.append(type(error).__name__)
"""


def _own_addresses() -> list[str]:
    found = ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"]
    listing = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return found + listing


@asynccontextmanager
async def _api(**where: object) -> AsyncIterator[asyncio.Server]:
    """An API that answers with what it was sent, upside down."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(data[::-1])
        await writer.drain()
        writer.close()

    if "path" in where:
        server = await asyncio.start_unix_server(answer, where["path"])  # type: ignore[arg-type]
    else:
        server = await asyncio.start_server(answer, **where)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()


async def _attempts(container: Container, targets: list[tuple[str, int]]) -> list[str]:
    outcomes: list[str] = await run(container, TRY.format(targets=targets))
    return outcomes


@pytest.mark.parametrize("network", [Network.NONE, Network.API])
async def test_the_hosts_ports_are_out_of_reach(factory: ContainerFactory, network: Network) -> None:
    guest = await factory.create(spec(network=network))
    with socket.create_server(("", 0)) as everywhere:
        port = everywhere.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        outcomes = await _attempts(guest, [(address, port) for address in _own_addresses()])
    assert "connected" not in outcomes


@pytest.mark.parametrize("network", [Network.NONE, Network.API])
async def test_nothing_else_is_in_reach_either(factory: ContainerFactory, network: Network) -> None:
    guest = await factory.create(spec(network=network))
    targets = [("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 80), ("2606:4700:4700::1111", 53)]
    assert "connected" not in await _attempts(guest, targets)
    links = await run(guest, "import socket; result = [name for _, name in socket.if_nameindex()]")
    assert [name for name in links if not name.startswith(("lo", "ifb", "tunl", "sit", "ip6", "gre"))] == []


async def test_with_none_nothing_listens(factory: ContainerFactory) -> None:
    guest = await factory.create(spec())
    assert await _attempts(guest, [("127.0.0.1", 3233)]) != ["connected"]
    assert "__OW_API_HOST" in await run(guest, "import os; result = dict(os.environ)"), "every container has it"


_ASK = """
import os, socket
host, port = os.environ["__OW_API_HOST"].removeprefix("http://").split(":")
with socket.create_connection((host, int(port)), timeout=5) as s:
    s.sendall({data})
    s.shutdown(socket.SHUT_WR)
    received = b""
    while part := s.recv(1 << 16):
        received += part
result = [len(received), received[:8].decode()]
"""


async def test_the_api_is_reached_through_a_unix_socket(kit: Kit) -> None:
    path = str(kit.run_dir / "api")
    async with (
        _api(path=path),
        kit.make(network=NetworkSettings(api=path, outbound=False)) as factory,
    ):
        guest = await factory.create(spec(network=Network.API))
        assert await run(guest, _ASK.format(data="b'hello'")) == [5, "olleh"]
        assert await run(guest, _ASK.format(data="b'y' + b'x' * 5_000_000")) == [5_000_001, "xxxxxxxx"]


async def test_the_api_is_reached_through_tcp(kit: Kit) -> None:
    async with _api(host="127.0.0.1", port=0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = NetworkSettings(api=f"127.0.0.1:{port}", outbound=False)
        async with kit.make(network=settings) as factory:
            guest = await factory.create(spec(network=Network.API))
            assert await run(guest, _ASK.format(data="b'hello'")) == [5, "olleh"]
            assert await _attempts(guest, [("127.0.0.1", port)]) != ["connected"]


async def test_an_api_that_is_away_is_a_closed_connection(kit: Kit) -> None:
    settings = NetworkSettings(api=str(kit.run_dir / "nobody"), outbound=False)
    async with kit.make(network=settings) as factory:
        guest = await factory.create(spec(network=Network.API))
        outcome = await run(
            guest,
            """
            import socket
            try:
                with socket.create_connection(("127.0.0.1", 3233), timeout=5) as s:
                    result = s.recv(10).decode()
            except ConnectionError:
                result = ""
            """,
        )
        assert outcome == ""


async def test_outbound_is_refused_where_it_is_missing(factory: ContainerFactory) -> None:
    assert Network.OUTBOUND not in factory.abilities.networks
    with pytest.raises(ContainerCreateFailed, match="outbound"):
        await factory.create(spec(network=Network.OUTBOUND))


async def test_an_ordinary_user_is_told_why_there_is_no_outbound(run_dir: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("about ordinary users")
    async with make_factory(run_dir, network=NetworkSettings()) as factory:
        assert factory.abilities.networks == {Network.NONE, Network.API}
        assert any("needs root" in finding for finding in factory.findings())


needs_tools = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("ip"),
    reason="outbound needs root, nft and ip",
)


def _in_a_host_of_its_own(kit: Kit, *arguments: str) -> dict[str, object]:
    """Run `outbound_world.py` in a network namespace that plays the host, so that the real one stays as it is."""
    script = Path(__file__).resolve().parent / "outbound_world.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    engine = kit.host or "none"
    command = ["unshare", "--net", sys.executable, str(script), str(kit.run_dir), engine, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@needs_tools
def test_outbound_reaches_the_world_and_not_the_host(kit: Kit) -> None:
    found = _in_a_host_of_its_own(kit)
    assert found["findings"] == []
    assert found["reached"] == {
        "outside": True,
        "outside, udp 53 of another": False,
        "a service of the platform": False,
        "a service among the allowed": False,
        "resolver, tcp 53": True,
        "resolver, another port": False,
        "allowed private": True,
        "private": False,
        "host, bridge": False,
        "host, public": False,
        "host, private": False,
        "host, loopback": False,
        "host, v6": False,
        "other guest": False,
        "metadata": False,
        "api": True,
    }
    assert found["seen as"] == "203.0.113.1"
    assert found["left"] == {"tables": "", "links": []}


@needs_tools
def test_outbound_gets_past_a_forward_chain_that_drops(kit: Kit) -> None:
    found = _in_a_host_of_its_own(kit, "docker")
    assert found["findings"] == []
    assert found["reached"]["outside"] is True  # type: ignore[index]
    assert found["reached"]["private"] is False  # type: ignore[index]
    assert "upwhisk" not in str(found["left"])


@needs_tools
def test_a_firewall_that_drops_is_found_by_the_trial(kit: Kit) -> None:
    found = _in_a_host_of_its_own(kit, "firewall")
    assert any("firewall" in finding for finding in found["findings"])  # type: ignore[attr-defined]
    assert found["networks"] == ["api", "none"]
    assert "upwhisk" not in str(found["left"])


@needs_tools
def test_forwarding_is_not_switched_on_silently(kit: Kit) -> None:
    found = _in_a_host_of_its_own(kit, "noforward")
    assert any("ip_forward" in finding for finding in found["findings"])  # type: ignore[attr-defined]
    assert found["forwarding"] == "0"
    assert found["networks"] == ["api", "none"]


@needs_tools
def test_what_a_dead_instance_laid_out_is_removed(kit: Kit) -> None:
    found = _in_a_host_of_its_own(kit, "killed")
    assert found["before"] != {"tables": "", "links": []}
    assert found["left"] == {"tables": "", "links": []}
