"""What this machine can do for guests, found out by trying: `upwhisk doctor`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from upwhisk.cli.container_choice import engine_finding
from upwhisk.common.errors import ConfinementMissing, ContainerError, StartupError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.settings_file import load_settings
from upwhisk.common.spi.containers import Container, ContainerSpec, Network
from upwhisk.invoker.containers import host_check
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.cgroup_choice import choose_tree
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.image_build import list_runtime_images
from upwhisk.invoker.containers.docker.image_names import REMEDY
from upwhisk.invoker.containers.orphans import default_run_dir
from upwhisk.invoker.containers.process import ProcessFactory
from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest

Mark = Literal["ok", "note", "bad"]
_CACHE: Final = "interpreters.json"
_TRIAL_S: Final = 20.0
_MEMORY_MB: Final = 256
_MAX_ANSWER: Final = 4096
_CODE: Final = {
    "python": "def main(args):\n    return {'ok': True}\n",
    "nodejs": "function main(args) { return {ok: true} }\n",
    "native": "#!/bin/sh\necho '{\"ok\": true}'\n",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `bad`: guests cannot run; `note`: something is not there that could be."""

    topic: str
    mark: Mark
    text: str


def diagnose(manifest_file: str = "") -> list[Finding]:
    """Look and try; takes a few seconds at most and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="uwdoc") as folder:
        run_dir = Path(folder)
        _take_cache(run_dir)
        manifest = Manifest.load(Path(manifest_file) if manifest_file else None).on(discover(run_dir / _CACHE))
        installations = list(manifest.installations().values())
        findings = [*_host(), *_cgroups(), *_interpreters(manifest, installations), *_engine()]
        return findings + asyncio.run(_trial(run_dir, installations))


def as_data(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def _take_cache(run_dir: Path) -> None:
    """What starts have remembered of this host's interpreters spares running each of them again."""
    with contextlib.suppress(OSError):
        shutil.copy(default_run_dir() / _CACHE, run_dir)


def _host() -> list[Finding]:
    cores = len(os.sched_getaffinity(0))
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    return [Finding("host", "ok", f"{system}; {cores} cores, {memory_mb} MB; as {user}")]


def _cgroups() -> list[Finding]:
    try:
        tree = choose_tree()
    except ConfinementMissing as error:
        return [Finding("cgroups", "bad", text) for text in error.missing]
    version = "v1" if type(tree).__name__.endswith("V1") else "v2"
    return [Finding("cgroups", "ok", f"memory, processes and CPU are limited by cgroup {version}")]


def _interpreters(manifest: Manifest, installations: Sequence[RuntimeInstallation]) -> list[Finding]:
    found = [Finding("runtimes", "ok", f"{one.kind}: {one.interpreter}") for one in installations]
    families = {one.family for one in installations}
    # A platform needs no kind of each version, but one without Python or Node surprises people.
    wanted = {"python": "apt install python3", "nodejs": "apt install nodejs (20 or later)"}
    found += [
        Finding("runtimes", "note", f"no {family}: {remedy}") for family, remedy in wanted.items() if family not in families
    ]
    absent = [kind for kind in manifest.all_missing() if kind.partition(":")[0] in wanted]
    if absent:
        found.append(Finding("runtimes", "note", f"not here, so their actions are refused: {', '.join(absent)}"))
    return found


def _engine() -> list[Finding]:
    """Nobody needs one; whoever has one should know what it could do."""
    try:
        settings = load_settings().docker
    except StartupError as error:
        return [Finding("engine", "note", str(error))]
    why = engine_finding(settings)
    if why:
        return [Finding("engine", "note", f"{why}; needed for --containers docker and images of your own alone")]
    try:
        images, notes = list_runtime_images(endpoint_of(settings, os.environ), settings.image_prefix)
    except StartupError as error:
        return [Finding("engine", "note", str(error))]
    found = [Finding("engine", "note", text) for text in notes]
    if not images:
        return [*found, Finding("engine", "note", f"the container engine answers and has no images of runtimes: {REMEDY}")]
    return [*found, Finding("engine", "ok", f"the container engine has the images of {', '.join(sorted(images))}")]


async def _trial(run_dir: Path, installations: Sequence[RuntimeInstallation]) -> list[Finding]:
    """Start the factory as the platform does, and one guest of each family."""
    factory = ProcessFactory(
        new_instance_id(), run_dir, installations, GuestBounds(), NetworkSettings(api=str(run_dir / "api.sock"))
    )
    try:
        await factory.start()
    except ConfinementMissing as error:
        return [Finding("confinement", "bad", text) for text in error.missing]
    except StartupError as error:
        return [Finding("confinement", "bad", str(error))]
    try:
        networks = ", ".join(network.value for network in Network if network in factory.abilities.networks)
        found = [Finding("networks", "ok", networks)]
        found += [Finding("networks", "note", text) for text in factory.findings()]
        first: dict[str, str] = {}
        for one in installations:
            first.setdefault(one.family, one.kind)
        found += [await _try_guest(factory, family, kind) for family, kind in first.items()]
    finally:
        await factory.aclose()
    return found


async def _try_guest(factory: ProcessFactory, family: str, kind: str) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(_TRIAL_S):
            container = await factory.create(ContainerSpec(kind, _MEMORY_MB))
            try:
                outcome = await _run(container, _CODE[family])
            finally:
                await container.destroy()
    except (ContainerError, TimeoutError) as error:
        hints = host_check.namespace_findings() or [host_check.UNKNOWN]
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return Finding("confinement", "bad", f"a guest of kind {kind} did not work: {why}; {'; '.join(hints)}")
    took_ms = (time.monotonic() - began) * 1000
    if outcome:
        return Finding("confinement", "bad", f"a guest of kind {kind} answered wrongly: {outcome}")
    return Finding("confinement", "ok", f"a confined guest of kind {kind} ran in {took_ms:.0f} ms, its zygote's start included")


async def _run(container: Container, code: str) -> str:
    """Empty if the guest did what it should, else what it answered."""
    value = {"name": "doctor", "main": "main", "binary": False, "code": code, "env": {}}
    steps: tuple[tuple[str, dict[str, Any]], ...] = (("/init", {"value": value}), ("/run", {"value": {}}))
    for path, body in steps:
        answer = await container.post(path, json.dumps(body).encode(), timeout_s=_TRIAL_S, max_answer=_MAX_ANSWER)
        if answer.status != 200:
            return f"{path} {answer.status} {answer.body.decode(errors='replace')}"
    return "" if json.loads(answer.body) == {"ok": True} else answer.body.decode(errors="replace")


def outcome(findings: Sequence[Finding]) -> int:
    """1 if guests cannot be confined here."""
    return 1 if any(finding.mark == "bad" for finding in findings) else 0
