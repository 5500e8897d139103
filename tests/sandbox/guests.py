"""What the tests of guests share: a factory with the probe runtime, and a way to run Python inside a guest."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upwhisk.common.ids import new_instance_id
from upwhisk.common.spi.containers import Container, ContainerSpec, Network
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.process import ProcessFactory
from upwhisk.runtimes.installation import RuntimeInstallation

KIND = "python:probe"
PROBE = Path(__file__).resolve().parent / "runtime" / "probe_proxy.py"
INTERPRETER = Path(os.path.realpath(sys.executable))
CGROUPS = Path("/sys/fs/cgroup")
INSTANCES: set[str] = set()
"""Those that the tests of this process have made; what others run on this host is none of our business."""


def probe() -> RuntimeInstallation:
    return RuntimeInstallation(KIND, "python", INTERPRETER, PROBE, (str(INTERPRETER), str(PROBE)))


def make_factory(
    run_dir: Path, bounds: GuestBounds | None = None, network: NetworkSettings | None = None
) -> ProcessFactory:
    installations = [probe()]
    instance = new_instance_id()
    INSTANCES.add(instance)
    return ProcessFactory(
        instance, run_dir, installations, bounds or GuestBounds(), network or NetworkSettings(outbound=False)
    )


def spec(memory_mb: int = 128, network: Network = Network.NONE) -> ContainerSpec:
    return ContainerSpec(KIND, memory_mb, network)


async def call(container: Container, code: str, timeout_s: float = 20.0) -> dict[str, Any]:
    body = json.dumps({"code": textwrap.dedent(code)}).encode()
    answer = await container.post("/run", body, timeout_s=timeout_s, max_answer=1 << 20)
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


async def run(container: Container, code: str, timeout_s: float = 20.0) -> Any:
    """The variable `result` after `code` ran in the guest."""
    answer = await call(container, code, timeout_s)
    assert "error" not in answer, answer["trace"]
    return answer["result"]


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def groups(name: str) -> list[Path]:
    """The cgroup folders of that name, in every hierarchy."""
    return [Path(path) for path, folders, _ in os.walk(CGROUPS) if os.path.basename(path) == name]


def members(folder: Path) -> set[int]:
    """The host's ids of all processes at and below `folder`."""
    found: set[int] = set()
    for path, _, files in os.walk(folder):
        if "cgroup.procs" in files:
            found |= {int(pid) for pid in Path(path, "cgroup.procs").read_text(encoding="ascii").split()}
    return found


def instance_members(instance: str) -> set[int]:
    folders = groups(f"upwhisk-{instance}")
    assert folders
    return set().union(*(members(folder) for folder in folders))


def guest_members(instance: str, guest: Container) -> set[int]:
    folders = [g for g in groups(guest.id) if g.parent.name == f"upwhisk-{instance}"]
    assert folders
    return set().union(*(members(folder) for folder in folders))


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def leftovers() -> dict[str, list[str]]:
    """Everything on this host that guests of our instances could have left behind."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    found = {
        "cgroups": [path for path, _, _ in os.walk(CGROUPS) if _is_ours(path)],
        "mounts": [line for line in mounts if _is_ours(line) or "/tmp/uw" in line],
        "links": [name for name in os.listdir("/sys/class/net") if _is_ours(name)],
    }
    if os.geteuid() == 0 and shutil.which("nft"):
        listing = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found["tables"] = [line for line in listing.splitlines() if _is_ours(line)]
    return {kind: names for kind, names in found.items() if names}


def _is_ours(text: str) -> bool:
    return any(instance in text for instance in INSTANCES)


@contextmanager
def short_folder() -> Iterator[Path]:
    """Unix sockets need short names; pytest's folders are long."""
    folder = Path(tempfile.mkdtemp(prefix="uw"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
