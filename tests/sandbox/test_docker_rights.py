"""What a platform that is root but for some of its capabilities is told when it starts with Docker containers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox.docker_guests import make_docker_factory, settings_of
from sandbox.docker_kit import DockerKit

from upwhisk.common.errors import ConfinementMissing
from upwhisk.invoker.containers.bounds import GuestBounds

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.external_service,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give away"),
]

ROOT = Path(__file__).resolve().parents[2]
STARTED = "it started"


def _shipped(*files: str) -> str:
    """The bounding set of the shipped unit, as setpriv reads it."""
    text = "\n".join((ROOT / "compose/systemd" / file).read_text() for file in files)
    names = [name for line in re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE) for name in line.split()]
    return ",".join(("-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)))


UNIT, DROP_IN = "upwhisk-invoker.service", "docker.conf"


@pytest.mark.parametrize(
    ("rights", "kind", "expected"),
    [
        (_shipped(UNIT), "dedicated", "CAP_SYS_PTRACE is missing"),
        (_shipped(UNIT), "harvest", "CAP_SYS_NICE is missing"),
        ("-sys_nice", "dedicated", STARTED),
        (_shipped(UNIT, DROP_IN), "harvest", STARTED),
    ],
    ids=["unit", "unit of a harvest node", "what is not needed", "unit with drop-in"],
)
def test_a_right_that_is_missing_is_named_at_the_start(
    docker_kit: DockerKit, rights: str, kind: str, expected: str
) -> None:
    folder, host = str(docker_kit.run_dir), docker_kit.host
    command = ["setpriv", "--inh-caps=-all", f"--bounding-set={rights}", sys.executable, __file__, folder, host, kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert expected in done.stdout, done.stdout + done.stderr


async def start(run_dir: str, host: str, kind: str) -> None:
    try:
        async with make_docker_factory(Path(run_dir), settings_of(host), GuestBounds(idle=kind == "harvest")):
            print(STARTED)
    except ConfinementMissing as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(start(*sys.argv[1:]))
