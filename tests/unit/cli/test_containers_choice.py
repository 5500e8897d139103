"""Which containers a node uses when it may choose, and which images are built."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox.guests import probe, short_folder

from upwhisk.cli.container_choice import choose
from upwhisk.cli.fleet_kinds import FleetKinds
from upwhisk.cli.node_runtimes import NodeKinds
from upwhisk.cli.runtime_images import plans_of, wanted
from upwhisk.common.errors import StartupError
from upwhisk.common.ids import NodeId
from upwhisk.common.settings import DockerSettings, GuestSettings, PluginSettings, Settings
from upwhisk.common.spi.containers import FactoryAbilities
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.invoker.containers import host_check
from upwhisk.runtimes.discover import Interpreters
from upwhisk.runtimes.manifest import Manifest


@pytest.fixture
def engine() -> Iterator[str]:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        yield f"unix://{folder}/s"


def _confined(monkeypatch: pytest.MonkeyPatch, *findings: str) -> None:
    monkeypatch.setattr(host_check, "confinement_findings", lambda: findings)


def _settings(host: str, containers: str = "auto") -> Settings:
    return Settings(docker=DockerSettings(host=host), plugins=PluginSettings(containers=containers))


def test_processes_are_chosen_where_they_can_be_confined(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    _confined(monkeypatch)
    choice = choose(_settings(engine))
    assert (choice.settings.plugins.containers, choice.note) == ("process", "")


def test_an_engine_is_chosen_aloud_where_they_cannot(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    _confined(monkeypatch, "no cgroup")
    choice = choose(_settings(engine))
    assert choice.settings.plugins.containers == "docker"
    assert "no cgroup" in choice.note


def test_without_either_the_start_says_what_processes_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    _confined(monkeypatch, "no cgroup")
    assert choose(_settings("unix:///nowhere/at/all")).settings.plugins.containers == "process"
    assert choose(_settings("ssh://x")).settings.plugins.containers == "process"


@pytest.mark.parametrize("said", ["process", "docker"])
def test_what_was_said_is_done(monkeypatch: pytest.MonkeyPatch, engine: str, said: str) -> None:
    _confined(monkeypatch, "no cgroup")
    assert choose(_settings(engine, said)).settings.plugins.containers == said


def _kinds(*, images: bool, missing: dict[str, str], registries: tuple[str, ...] = ()) -> NodeKinds:
    abilities = FactoryAbilities(True, True, images, frozenset(), frozenset())
    return NodeKinds(Manifest.load(None, Interpreters()), missing, lambda: abilities, registries)


def test_images_are_taken_as_the_factory_can_run_them() -> None:
    assert _kinds(images=True, missing={}).refuse_image("me/mine:1") is None
    refusal = _kinds(images=False, missing={}).refuse_image("me/mine:1")
    assert refusal is not None
    assert "needs --containers docker" in refusal
    for images in (True, False):
        assert _kinds(images=images, missing={}).refuse_image("openwhisk/dockerskeleton:2") is None
        kinds = _kinds(images=images, missing={"blackbox": "make images"})
        assert kinds.refuse_image("openwhisk/dockerskeleton") == "make images"


def test_images_are_taken_from_registries_that_are_allowed() -> None:
    allowed = ("ghcr.io/acme", "registry.acme.org:5000")
    report = NodeReport(node=NodeId("n"), memory_mb=1, cores=1.0, kinds=("blackbox",), images=True)
    fleet = FleetKinds(GuestSettings(), allowed)
    of_docker = _kinds(images=True, missing={}, registries=allowed)
    for kinds in (of_docker, fleet):
        for _ in range(2):
            refused = kinds.refuse_image("me/mine:1")
            assert refused is not None
            assert refused.endswith("images may come from: ghcr.io/acme, registry.acme.org:5000")
            assert kinds.refuse_image("registry.acme.org:5000/x") is None
            assert kinds.refuse_image("openwhisk/dockerskeleton") is None
            fleet.update((report,))


def test_images_are_planned_from_what_is_here_and_what_is_given(tmp_path: Path) -> None:
    found = {"python:3.11": probe(), "blackbox": probe()}
    everything = plans_of(wanted((), ()), found, tmp_path)
    assert [(plan.kind, plan.base) for plan in everything] == [("python:3.11", None), ("blackbox", None)]
    assert [plan.library for plan in everything] == [tmp_path, None]
    given = plans_of(wanted((), ("nodejs:20=node:20",)), found, None)
    assert [(plan.kind, plan.base) for plan in given][-1] == ("nodejs:20", "node:20")
    one = plans_of(wanted(("python:3.12",), ("python:3.12-slim",)), found, None)
    assert [(plan.kind, plan.base, plan.installation) for plan in one] == [
        ("python:3.12", "python:3.12-slim", None)
    ]


def test_images_that_make_no_sense_are_refused() -> None:
    with pytest.raises(StartupError, match="needs --kind"):
        wanted((), ("python:3.12-slim",))
    with pytest.raises(StartupError, match="cobol"):
        plans_of(wanted(("cobol:1",), ()), {}, None)
