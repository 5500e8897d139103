"""What the start of a factory on a Docker engine tries before it says that it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog

from upwhisk.common.errors import ConfinementMissing, ContainerCreateFailed
from upwhisk.common.settings import DockerSettings
from upwhisk.common.spi.containers import Container, ContainerSpec, Network
from upwhisk.invoker.containers.docker import factory as factory_module
from upwhisk.invoker.containers.docker import making
from upwhisk.invoker.containers.docker.engine import Engine
from upwhisk.invoker.containers.docker.factory import DockerFactory
from upwhisk.invoker.containers.docker.image_names import labels
from upwhisk.invoker.containers.docker.rights import NO_NICE, NO_PTRACE


class OneImage(Engine):
    """Has the image of one runtime and no containers."""

    def __init__(self) -> None:
        return None

    async def start(self) -> None:
        return None

    async def aclose(self) -> None:
        return None

    async def info(self) -> dict[str, Any]:
        return {"CgroupDriver": "cgroupfs"}

    async def images(self, label: str) -> list[dict[str, Any]]:
        return [{"RepoTags": ["upwhisk/python:3.12"], "Labels": labels("python:3.12", "python", "python_proxy.py", "abc")}]

    async def containers(self, labels: list[str]) -> list[dict[str, Any]]:
        return []


class Trying(DockerFactory):
    """`tried`: what was asked for; it cannot be had."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__("1234abcd", run_dir, DockerSettings(host="unix:///nobody"))  # type: ignore[arg-type]
        self._engine = OneImage()
        self.tried: list[ContainerSpec] = []

    async def create(self, spec: ContainerSpec) -> Container:
        self.tried.append(spec)
        raise ContainerCreateFailed(NO_PTRACE)


@pytest.mark.parametrize(("may_enter", "network"), [(True, Network.API), (False, Network.NONE)])
async def test_the_trial_has_the_network_that_is_offered(
    may_enter: bool, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `none` a right that every guest wants was not missed before the first of them."""
    monkeypatch.setattr(factory_module, "may_enter", lambda: may_enter)
    factory = Trying(tmp_path)
    with structlog.testing.capture_logs(), pytest.raises(ConfinementMissing, match="CAP_SYS_PTRACE is missing"):
        await factory.start()
    assert [spec.network for spec in factory.tried] == [network]


def test_a_guest_that_cannot_step_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.sched_setscheduler", refuse)
    with pytest.raises(ContainerCreateFailed) as caught:
        making._step_back(1)
    assert str(caught.value) == NO_NICE
