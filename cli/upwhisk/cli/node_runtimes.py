"""The runtimes of this node: what the manifest names and which interpreters are there, for factory and API."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from upwhisk.cli.container_choice import DOCKER, choose
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.settings import GuestSettings, Settings
from upwhisk.common.spi.containers import FactoryAbilities, Network
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.image_build import list_runtime_images
from upwhisk.invoker.containers.docker.image_names import missing_image
from upwhisk.invoker.containers.docker.registries import refusal
from upwhisk.invoker.containers.orphans import default_run_dir
from upwhisk.runtimes.discover import Interpreters, discover
from upwhisk.runtimes.installation import RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest
from upwhisk.runtimes.skeleton import SKELETON, is_skeleton

_CACHE = "interpreters.json"
_PYTHON = re.compile(r"\Apython:(\d+)\.(\d+)\Z")
_NODE = re.compile(r"\Anodejs:(\d+)\Z")
_SOMEWHERE = Path("/")
"""Where an interpreter is matters only to whoever runs it."""


@dataclass(frozen=True, slots=True)
class NodeRuntimes:
    """`prewarm`: kind -> containers to hold ready. `missing`: kind -> which interpreter or image is not here. `settings`: as
    given, with the kind of containers chosen; `note`: what a person should know of that choice."""

    settings: Settings
    manifest: Manifest
    installations: tuple[RuntimeInstallation, ...]
    missing: Mapping[str, str]
    prewarm: dict[str, int]
    run_dir: Path
    note: str = ""

    @classmethod
    def find(cls, settings: Settings) -> NodeRuntimes:
        """Looks for interpreters, or for the images of an engine. Blocking: a few ms for interpreters that were seen
        before, some hundred for an engine. `StartupError` says what is missing."""
        choice = choose(settings)
        run_dir = default_run_dir()
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if choice.settings.plugins.containers == DOCKER:
            return cls._of_engine(choice.settings, run_dir, choice.note)
        return cls._of_host(choice.settings, run_dir, choice.note)

    @classmethod
    def _of_engine(cls, settings: Settings, run_dir: Path, note: str) -> NodeRuntimes:
        docker = settings.docker
        images, _ = list_runtime_images(endpoint_of(docker, os.environ), docker.image_prefix)
        manifest = Manifest.load(_file(settings.guest), interpreters_of(images))
        kinds = (*manifest.kinds, BLACKBOX)
        missing = {kind: missing_image(docker.image_prefix, kind) for kind in kinds if kind not in images}
        return cls(settings, manifest, (), missing, manifest.prewarm(), run_dir, note)

    @classmethod
    def _of_host(cls, settings: Settings, run_dir: Path, note: str) -> NodeRuntimes:
        """What was seen is remembered for the host."""
        guest = settings.guest
        manifest = Manifest.load(_file(guest), discover(run_dir / _CACHE))
        python = _folder(guest.python_library, "guest.python_library")
        node = _folder(guest.node_library and f"{guest.node_library}/node_modules", "guest.node_library")
        installed = manifest.installations(library=python).values()
        found = tuple(replace(one, library=node) if one.family == "nodejs" else one for one in installed)
        return cls(settings, manifest, found, manifest.all_missing(), manifest.prewarm(), run_dir, note)

    def kinds(self, abilities: Callable[[], FactoryAbilities]) -> NodeKinds:
        return NodeKinds(self.manifest, self.missing, abilities, self.settings.docker.registries)


def _folder(path: str, setting: str) -> Path | None:
    if path and not Path(path).is_dir():
        raise ConfigurationError(setting, f"there is no folder '{path}'")
    return Path(path) if path else None


def _file(guest: GuestSettings) -> Path | None:
    return Path(guest.runtimes) if guest.runtimes else None


def interpreters_of(kinds: Iterable[str]) -> Interpreters:
    """As if a host had what these kinds need: for kinds that somebody else runs."""
    pythons = {(int(m[1]), int(m[2])): _SOMEWHERE for kind in kinds if (m := _PYTHON.match(kind))}
    nodes = {int(m[1]): _SOMEWHERE for kind in kinds if (m := _NODE.match(kind))}
    return Interpreters(pythons, nodes)


class NodeKinds:
    """What the API asks about kinds, images and networks. `registries`: where images may come from."""

    def __init__(
        self,
        manifest: Manifest,
        missing: Mapping[str, str],
        abilities: Callable[[], FactoryAbilities],
        registries: Sequence[str] = (),
    ) -> None:
        self._manifest = manifest
        self._missing = missing
        self._abilities = abilities
        self._registries = registries

    def resolve(self, kind: str) -> str | None:
        return self._manifest.resolve(kind)

    def deprecated(self, kind: str) -> bool:
        return self._manifest.is_deprecated(kind)

    def require_main(self, kind: str) -> bool:
        return self._manifest.require_main(kind)

    def valid(self) -> tuple[str, ...]:
        return (*self._manifest.kinds, BLACKBOX)

    def missing(self, kind: str) -> str | None:
        return self._missing.get(kind)

    def refuse_image(self, image: str) -> str | None:
        """Without a container engine only `wsk --native` works: its image stands for the native runtime."""
        if is_skeleton(image):
            return self._missing.get(BLACKBOX)
        if self._abilities().images:
            return refusal(image, self._registries)
        return f"image '{image}' needs --containers docker; without it only native actions ('{SKELETON}') run"

    def refuse_network(self, network: str) -> str | None:
        known = [n.value for n in Network]
        if network not in known:
            return f"annotation 'network' must be one of {', '.join(known)}, not '{network}'"
        if Network(network) not in self._abilities().networks:
            return f"network '{network}' is not available on this node (see 'upwhisk doctor')"
        return None

    def runtimes(self) -> dict[str, list[dict[str, Any]]]:
        return self._manifest.to_public()
